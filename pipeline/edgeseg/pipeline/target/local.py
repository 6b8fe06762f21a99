"""A target of a search: layers and whole networks, in the engine and precision that will ship.

A layer is timed on a file of its own (see `export.layers.graph` for how a layer's time is told from its file's), in
fresh processes of `benchmarks.layers.worker`. A network is exported as the chain exports it, FP32 of fixed size and
then INT8 from calibrated ranges, and its whole pipeline is timed by the harness of `bench run`, a shorter one by
default.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.layers.job import LayerConfig, LayerFiles
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.compress.calibration.set import MIN_IMAGES
from edgeseg.compress.int8.calibrate import Method
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepare import Network, prepare
from edgeseg.compress.search.probe import Layer, Measurement
from edgeseg.export.fits import fixed_size
from edgeseg.export.formats import FORMATS, Origin, format_of_engine, write_float, write_quantised
from edgeseg.export.layers.graph import Precision
from edgeseg.export.patch import patch
from edgeseg.pipeline.target.machine import METHOD, Machine, ThisMachine, metered
from edgeseg.pipeline.target.yardstick import Timed, Yardstick, timed_rows
from edgeseg.runtime.engines import ENGINES, engine_of_target
from edgeseg.runtime.errors import BackendError, ConfigError, ExportError, MeasureError
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.train.models import SegmentationNet

# What one copy of a layer should add at least, so that the difference of two files is more than a clock's tick: so
# many multiply-accumulates, or bytes moved, take about 0.1 ms.
_WORK = 4_000_000
_MOST_COPIES, _MOST_BYTES = 16, 16 << 20


def brief(threads: int) -> HarnessConfig:
    """About 5 s a network, spread over three processes: enough to choose by, not to print."""
    return HarnessConfig(
        threads=threads, processes=3, blocks=4, seconds=1.5, min_samples=60, warmup_cap_s=3.0, timeout_s=120.0
    )


@dataclass(frozen=True)
class LocalProbe:
    """A `Probe` of a machine: this one, or one elsewhere. Files are always written here.

    Attributes:
        target: `ARCHITECTURE-ENGINE` as everywhere, such as `x86-ort` or `x86-litert`.
        input_spec: Colour, geometry with a size, and a stride that is a multiple of every candidate's.
        classes: Class names by id.
        frame: The frame that is timed, uint8, (H, W) or (H, W, 3) RGB.
        calibration: Training images as the runtime prepares them, uint8 (N, H, W, C), to take ranges from. Empty:
            ranges are of made-up images (seeded noise), good for timing, since integer kernels take as long whatever
            the numbers, but the files' masks mean nothing.
        method: How ranges of several images are joined.
        network: Whose tensors are quantised.
        threads: Threads given to the engine.
        precision: `int8` as it ships, or `fp32`.
        layer_config: How much is measured of each layer; its threads are `threads`.
        harness: How a whole network is timed; by default `brief`. Its threads are `threads`.
        yardstick: Measured in turns with every network of `measure`, whose times are then as if the machine ran at the
            yardstick's pace; None for times as they are.
        timed: Whether anything is timed. Files are written, and MACs and bytes counted, on any machine.
        machine: Who measures.

    Raises:
        ConfigError: If the target is unknown, or the calibration images are fewer than 8.
        MeasureError: If this machine is not that target.
    """

    target: str
    input_spec: InputSpec
    classes: tuple[str, ...]
    frame: Frame
    calibration: Sequence[np.ndarray] = ()
    method: Method = "minmax"
    network: Network = "plain"
    threads: int = 2
    precision: Precision = "int8"
    layer_config: LayerConfig = field(default_factory=LayerConfig)
    harness: HarnessConfig | None = None
    yardstick: Yardstick | None = None
    timed: bool = True
    machine: Machine = field(default_factory=ThisMachine)

    def __post_init__(self) -> None:
        n_images = sum(len(batch) for batch in self.calibration)
        if 0 < n_images < MIN_IMAGES:
            raise ConfigError(f"{n_images} calibration images are given; at least {MIN_IMAGES} are needed, or none.")
        if not self.timed:
            return
        self.machine.check(self.target, self.engine)
        kind = self.target.partition("-")[0]
        if format_of_engine(self.engine) == "onnx" and self.precision == "int8" and kind != "x86":
            raise MeasureError(
                f"INT8 layers in ONNX are known in the u8s8 form of x86 only, this is {kind}. "
                f"Use {kind}-litert, or precision fp32."
            )

    @property
    def engine(self) -> str:
        """Name of the engine that runs the target's files."""
        found = engine_of_target(self.target)
        if found is None:
            known = ", ".join(engine.short for engine in ENGINES.values())
            raise ConfigError(f"target {self.target!r} names no engine; it ends in one of {known}.")
        return found.name

    @property
    def identity(self) -> str:
        """Device, engine version, precision and threads."""
        known = self.machine.identity(self.engine)
        return " | ".join([self.target, known, self.precision, f"{self.threads} threads", METHOD])

    @property
    def depthwise_step(self) -> int:
        """Multiple that the exporter widens depthwise convolutions to."""
        return FORMATS[format_of_engine(self.engine)].depthwise_step if self.precision == "int8" else 1

    def layers_ms(self, layers: Sequence[Layer]) -> list[float]:
        """Measure layers, in fresh processes; see `Probe.layers_ms`.

        Raises:
            MeasureError: If the engine refuses a layer, or its process died.
        """
        if not layers:
            return []
        with tempfile.TemporaryDirectory(prefix="edgeseg-layers-") as folder:
            files = [self._write(layer, Path(folder), index) for index, layer in enumerate(layers)]
            config = dataclasses.replace(self.layer_config, threads=self.threads)
            return self.machine.layers_ms(self.engine, files, config)

    def measure(self, model: SegmentationNet) -> Measurement:
        """Measure one network, beside the yardstick where there is one; see `measure_all`."""
        if self.yardstick is None:
            return self.measure_all([model])[0]
        _, found = self._timed([self.yardstick.model, model])
        return found.at_pace(self.yardstick.total_ms)

    def size(self, model: SegmentationNet) -> int:
        """Bytes of the file that ships; see `Probe.size`."""
        with tempfile.TemporaryDirectory(prefix="edgeseg-size-") as folder:
            return self.export(model, Path(folder)).model.stat().st_size

    def measure_all(self, models: Sequence[SegmentationNet]) -> list[Measurement]:
        """Export networks and time their whole pipelines in turns, so that they can be held against each other.

        Returns:
            One by one, in the order given; a network that cannot be exported or run has a reason and no times.

        Raises:
            MeasureError: If no measuring process can be started.
        """
        return [one.measurement for one in self._timed(models)]

    def _timed(self, models: Sequence[SegmentationNet]) -> list[Timed]:
        with tempfile.TemporaryDirectory(prefix="edgeseg-candidates-") as folder:
            subjects: dict[int, Subject] = {}
            found: dict[int, Timed] = {}
            for index, model in enumerate(models):
                try:
                    subjects[index] = self.export(model, Path(folder) / str(index))
                except (ExportError, BackendError) as err:
                    found[index] = Timed(Measurement(None, None, None, None, str(err)), None)
            if subjects:
                found |= dict(zip(subjects, self.time(list(subjects.values())), strict=True))
            return [found[index] for index in range(len(models))]

    def time(self, subjects: Sequence[Subject]) -> list[Timed]:
        """Time whole pipelines of exported files in turns.

        Args:
            subjects: Of any precision, named differently.

        Raises:
            MeasureError: If no measuring process can be started.
        """
        config = dataclasses.replace(self.harness or brief(self.threads), threads=self.threads)
        return timed_rows(*self.machine.measure(subjects, self.frame, metered(config, self.machine.meter)))

    def export(self, model: SegmentationNet, folder: Path) -> Subject:
        """Write the file that would ship into `folder`, and return it as something to be measured.

        Raises:
            ExportError: If the network cannot be exported.
        """
        name = format_of_engine(self.engine)
        suffix = FORMATS[name].suffix
        path, source = folder / f"model{suffix}", folder / f"fp32{suffix}"
        spec = write_float(name, model, source if self.precision == "int8" else path, self.input_spec, self.classes)
        if self.precision == "int8":
            spec, _ = write_quantised(name, self._origin(model, source, spec), path)
        return Subject(folder.name, path, dataclasses.replace(spec, backend=self.engine))

    def _origin(self, model: SegmentationNet, source: Path, spec: ModelSpec) -> Origin:
        """What the INT8 file is made of, as the chain's; of made-up images the plain network's."""
        folded, network = fold_batch_norm(model), self.network if self.calibration else "plain"
        prepared = prepare(folded, self.calibration or [self._made_up()], self.method, network)
        if prepared.network is folded:
            return Origin(model, prepared.plan, source, spec)
        patched = source.with_name(f"prepared{source.suffix}")
        patch(source, patched, model, prepared.network)
        return Origin(prepared.network, prepared.plan, patched, spec)

    def _made_up(self) -> np.ndarray:
        """Coarse noise, uint8 (8, H, W, C), for ranges that are only there to make a file."""
        height, width = fixed_size(self.input_spec)
        coarse = np.random.default_rng(0).integers(0, 256, (MIN_IMAGES, height // 8 + 1, width // 8 + 1))
        planes = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width].astype(np.uint8)
        return planes[..., None].repeat(self.input_spec.channels, axis=3)

    def _write(self, layer: Layer, folder: Path, index: int) -> LayerFiles:
        extra, form = extra_copies(layer), FORMATS[format_of_engine(self.engine)]
        few_file, many_file = (folder / f"{index}.{name}{form.suffix}" for name in ("few", "many"))
        files = LayerFiles(layer.key, few_file, many_file, extra)
        few, many = form.layer_writer(layer, self.precision, extra)
        files.few.write_bytes(few)
        files.many.write_bytes(many)
        return files


def extra_copies(layer: Layer) -> int:
    """How many copies more than one make a layer's time plain, without filling the caches with their results."""
    grows = layer.stride if layer.kind in ("transposed", "resize") else 1
    shrinks = layer.stride if layer.kind in ("conv", "depthwise", "pool") else 1
    pixels = layer.height_px * layer.width_px * grows**2 // shrinks**2
    written = pixels * layer.out_channels
    products = {"conv": layer.in_channels * layer.kernel**2, "transposed": layer.in_channels}
    work = written * products.get(layer.kind, layer.kernel**2 if layer.kind == "depthwise" else 4)
    wanted = min(-(-_WORK // max(work, 1)), _MOST_COPIES, _MOST_BYTES // max(written, 1))
    return max(wanted, 2)
