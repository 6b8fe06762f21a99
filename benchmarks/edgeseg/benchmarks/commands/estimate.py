"""`bench estimate`: the variants of a bundle on a device that is not at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.estimate.devices import DEVICES, HERE, Peak, peak_of
from edgeseg.benchmarks.estimate.graph import layers_of
from edgeseg.benchmarks.estimate.roofline import Estimate, calibrated, network_time
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.results.table import align
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.text.terminal import put, put_json

_COLUMNS = ("variant", "precision", "ms", "low", "high", "bound by", "scaled by", "evidence")
_REMARK = "estimate, not measured: the engine alone (of one tile), by its layers and the device's peaks ({source})"


def estimate(
    bundle: Annotated[Path, typer.Argument(help="A .edgeseg bundle with an FP32 ONNX variant.")],
    *,
    device: Annotated[str, typer.Option(help=f"{', '.join(DEVICES)}; or {HERE}.")],
    threads: Annotated[int, typer.Option("--threads", "--num_threads", help="Cores of the device that are used.")] = 4,
    measured: Annotated[Path | None, typer.Option(help="A result of that device, to scale by.")] = None,
    measured_of: Annotated[
        Path | None, typer.Option(help="The bundle that --measured is of. Default: this one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Estimate how long a bundle's variants take on a device that is not at hand: no measurement, with error bars."""
    with errors():
        if threads < 1:
            raise ConfigError(f"--threads {threads}: it must be at least 1")
        peak = peak_of(device)
        found = estimates_of(bundle, peak, threads, measured, measured_of)
        if as_json:
            put_json({"device": device, "source": peak.source, "rows": [one.to_json() for one in found]}, indent=None)
        else:
            put(_lines(found, peak))


def estimates_of(
    path: Path, peak: Peak, threads: int, measured: Path | None = None, measured_of: Path | None = None
) -> list[Estimate]:
    """Every variant of a bundle by the layers of its FP32 ONNX file.

    Args:
        path: The bundle.
        peak: The device.
        threads: Of its cores.
        measured: A result of that device, with files of this bundle or of `measured_of`.
        measured_of: Another bundle, whose network says how far estimates of that device are off.

    Raises:
        ConfigError: A bundle has no FP32 ONNX file, or `measured_of` has no result with it.
        MeasureError: Its layers cannot be counted, or the result has none of these files, is no device's, or of
            another number of threads.
    """
    if measured is None and measured_of is not None:
        raise ConfigError(f"--measured-of {measured_of}: give the result of it too, with --measured")
    found = [one for one, _ in _by_layers(path, peak, threads)]
    return found if measured is None else calibrated(found, measured_rows(measured, measured_of or path, peak, threads))


def measured_rows(result: Path, bundle: Path, peak: Peak, threads: int) -> list[tuple[Estimate, float]]:
    """What a result has measured of a bundle's files: each estimate, and the engine's median time [ms].

    Raises:
        ConfigError: The bundle has no FP32 ONNX file.
        MeasureError: The result has none of its files, is no device's, or of another number of threads.
    """
    times = _measured_ms(result, threads)
    found = ((one, times.get((sha256, one.engine))) for one, sha256 in _by_layers(bundle, peak, threads))
    rows = [(one, ms) for one, ms in found if ms is not None]
    if not rows:
        raise MeasureError(f"{result} has measured none of the files of {bundle}, so it calibrates nothing")
    return rows


def _by_layers(path: Path, peak: Peak, threads: int) -> list[tuple[Estimate, str]]:
    """An estimate of each variant, and the SHA-256 of its file."""
    with Bundle.open(path) as bundle, TemporaryDirectory(prefix="edgeseg-estimate-") as folder:
        entries = bundle.manifest.variants
        plain = next((v for v in entries if v.file.endswith(".onnx") and v.spec.precision == "fp32"), None)
        if plain is None:
            raise ConfigError(f"{path} has no FP32 ONNX variant, whose layers an estimate counts: pack onnx-fp32 too")
        geometry = plain.spec.input.geometry
        height, width = geometry.height_px or geometry.tile_px, geometry.width_px or geometry.tile_px
        if height is None or width is None:
            if not bundle.manifest.golden:
                raise ConfigError(f"{path} takes frames of any size and has no golden frame to take the size of")
            name = bundle.manifest.golden[0].input
            height, width = decode_png(bundle.read(name), name).shape[:2]
        file = Path(folder) / "model.onnx"
        file.write_bytes(bundle.read(plain.file))
        stride = plain.spec.input.stride_px or 1
        sides = [-(-side // stride) * stride for side in (height, width)]
        layers = layers_of(file, (1, *sides, 1 if plain.spec.input.color == "gray" else 3))
        return [
            (network_time(v.name, v.spec.backend, layers, v.spec.precision or "fp32", peak, threads), v.sha256)
            for v in entries
        ]


def _lines(found: Sequence[Estimate], peak: Peak) -> str:
    """The table and what it is."""
    rows = [
        (
            *(one.name, one.precision, *(f"{ms:.2f}" for ms in (one.ms, one.low_ms, one.high_ms))),
            *(one.bound_by, f"{one.calibrated_by} measured" if one.calibrated_by else "peaks", "estimate"),
        )
        for one in found
    ]
    scaled = "; scaled by what was measured" if found and found[0].calibrated_by else ""
    return "\n".join([align(_COLUMNS, rows), "", _REMARK.format(source=peak.source) + scaled])


def _measured_ms(path: Path, threads: int) -> dict[tuple[str, str], float]:
    """The engine's median time by SHA-256 of the file and engine [ms]: two engines may run one file."""
    result = read_result(path)
    if result.evidence != "device":
        raise MeasureError(f"--measured {path} is {result.evidence}: estimates are scaled by what a device measured")
    if result.config is not None and result.config.threads != threads:
        raise MeasureError(
            f"--measured {path} used {result.config.threads} threads, the estimate is of {threads}: say --threads "
            f"{result.config.threads}, or measure with {threads}"
        )
    rows = [((row.model.sha256, row.backend), row.distribution("infer")) for row in result.rows]
    return {(sha256, backend): found.p50 for (sha256, backend), found in rows if sha256 and backend and found}
