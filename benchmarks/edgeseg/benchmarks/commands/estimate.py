"""`bench estimate`: the variants of a bundle on a device that is not at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.estimate.devices import DEVICES, HERE, Peak, peak_of
from edgeseg.benchmarks.estimate.measured import measured_rows
from edgeseg.benchmarks.estimate.of_bundle import estimates_of
from edgeseg.benchmarks.estimate.roofline import Estimate, calibrated
from edgeseg.benchmarks.results.table import align
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.text.terminal import put, put_json

_COLUMNS = ("variant", "precision", "ms", "low", "high", "bound by", "scaled by", "evidence")
_REMARK = "estimate, not measured: the engine alone, of {of}, by its layers and the device's peaks ({source})"


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
        if measured is None and measured_of is not None:
            raise ConfigError(f"--measured-of {measured_of}: give the result of it too, with --measured")
        plain = estimates_of(bundle, peak, threads)
        found = [one for one, _, _ in plain.rows]
        if measured is not None:
            found = calibrated(found, measured_rows(measured, measured_of or bundle, peak, threads))
        if as_json:
            rows = [one.to_json() for one in found]
            put_json({"device": device, "source": peak.source, "of": plain.of, "rows": rows}, indent=None)
        else:
            put(_lines(found, plain.of, peak))


def _lines(found: list[Estimate], of: str, peak: Peak) -> str:
    """The table and what it is."""
    rows = [
        (
            *(one.name, one.precision, *(f"{ms:.2f}" for ms in (one.ms, one.low_ms, one.high_ms))),
            *(one.bound_by, f"{one.calibrated_by} measured" if one.calibrated_by else "peaks", "estimate"),
        )
        for one in found
    ]
    scaled = "; scaled by what was measured" if found and found[0].calibrated_by else ""
    return "\n".join([align(_COLUMNS, rows), "", _REMARK.format(of=of, source=peak.source) + scaled])
