"""A bundle's variants by the layers of its FP32 ONNX file: estimates of one run of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeseg.benchmarks.estimate.devices import Peak
from edgeseg.benchmarks.estimate.graph import layers_of
from edgeseg.benchmarks.estimate.roofline import Estimate, network_time
from edgeseg.benchmarks.network_input import NetworkInput, network_input
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.input_spec import InputSpec


@dataclass(frozen=True)
class Estimates:
    """The variants of a bundle, and what their times are of.

    Attributes:
        given: What the network runs on once.
        tiled: That is a tile of a frame, not all of one.
        rows: Each estimate with its file's SHA-256 and input.
    """

    given: NetworkInput
    tiled: bool
    rows: tuple[tuple[Estimate, str, InputSpec], ...]

    @property
    def of(self) -> str:
        """Such as `one tile of 256x256 px`."""
        return f"one {'tile' if self.tiled else 'frame'} of {self.given.words}"


def estimates_of(path: Path, peak: Peak, threads: int) -> Estimates:
    """Every variant of a bundle by the layers of its FP32 ONNX file.

    Raises:
        ConfigError: The bundle has no FP32 ONNX file.
        MeasureError: Its layers cannot be counted.
    """
    with Bundle.open(path) as bundle, TemporaryDirectory(prefix="edgeseg-estimate-") as folder:
        entries = bundle.manifest.variants
        plain = next((v for v in entries if v.file.endswith(".onnx") and v.spec.precision == "fp32"), None)
        if plain is None:
            raise ConfigError(f"{path} has no FP32 ONNX variant, whose layers an estimate counts: pack onnx-fp32 too")
        given = _given(path, bundle, plain.spec.input)
        file = Path(folder) / "model.onnx"
        file.write_bytes(bundle.read(plain.file))
        layers = layers_of(file, (1, given.height_px, given.width_px, plain.spec.input.channels))
        times = (
            network_time(v.name, v.spec.backend, layers, v.spec.precision or "fp32", peak, threads) for v in entries
        )
        rows = tuple((one, v.sha256, v.spec.input) for one, v in zip(times, entries, strict=True))
        return Estimates(given, plain.spec.input.geometry.mode == "tile", rows)


def _given(path: Path, bundle: Bundle, spec: InputSpec) -> NetworkInput:
    """What the layers are counted for: a tile, the size that the spec says, or that of the bundle's first frame."""
    geometry = spec.geometry
    height, width = geometry.height_px or geometry.tile_px, geometry.width_px or geometry.tile_px
    if height is None or width is None:
        if not bundle.manifest.golden:
            raise ConfigError(f"{path} takes frames of any size and has no golden frame to take the size of")
        name = bundle.manifest.golden[0].input
        height, width = decode_png(bundle.read(name), name).shape[:2]
    return network_input((height, width), spec)
