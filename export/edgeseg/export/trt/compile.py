"""From an ONNX file to an engine, by whichever TensorRT is installed: one way for 10.3 to 11.4 and for RTX.

Precision is the file's own (strongly typed), except where a calibration cache is given: then the builder of TensorRT 10
chooses INT8 layer by layer, as it did before Q/DQ pairs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from edgeseg.export.onnx.export import INPUT
from edgeseg.export.trt.classic import cached_calibrator
from edgeseg.export.trt.modules import INSTALL, TensorRt, listener, parse_errors, reasons
from edgeseg.export.trt.profile import Profile
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError, ExportError

Hardware = Literal["none", "ampere_plus", "same_compute_capability"]


@dataclass(frozen=True)
class CompileConfig:
    """How an engine is built.

    Attributes:
        capability: Compute capability as `sm86`, or None: of the GPU that is here, or with RTX of every one from
            8.0 on that its documentation names.
        workspace_mib: Most memory that a layer may take [MiB], or None for all there is.
        optimization_level: 0 (fast to build) to 5 (looks at every kernel).
        version_compatible: Newer TensorRT versions can run it.
        hardware: Which other GPUs can run it.
        dla_core: Deep-learning accelerator of a Jetson, which leaves what it cannot run to the GPU; None for the GPU.
    """

    capability: str | None = None
    workspace_mib: int | None = None
    optimization_level: int = 3
    version_compatible: bool = False
    hardware: Hardware = "none"
    dla_core: int | None = None

    def __post_init__(self) -> None:
        if self.capability is not None and self.hardware != "none":
            raise ConfigError(
                f"--hardware has no effect on an engine for --capability {self.capability}, which all GPUs of it run. "
                "Leave out one of them"
            )


@dataclass(frozen=True)
class Compiled:
    """An engine.

    Attributes:
        plan: Its bytes.
        layers: Operators of the network that was parsed, before fusion.
        seconds: From reading the file to the engine [s].
        timings: The timing cache for the next build; None with RTX, whose caches do nothing.
    """

    plan: bytes
    layers: int
    seconds: float
    timings: bytes | None


def compile_engine(
    trt: TensorRt,
    content: bytes,
    profile: Profile,
    config: CompileConfig,
    cache: str | None = None,
    timings: bytes = b"",
) -> Compiled:
    """Parse and build.

    Args:
        trt: The module.
        content: ONNX file whose input is `image`.
        profile: Shapes of the input.
        config: How.
        cache: Text of a calibration cache for a float file, or None where the file says its precision.
        timings: Timing cache of an earlier build; one of another GPU or version is not used.

    Raises:
        ConfigError: If the module, or this machine, does not have what `config` asks for.
        ExportError: If the file is refused or no engine comes of it; says why in TensorRT's words.
    """
    started = time.perf_counter()
    logger, said = listener(trt)
    builder = trt.module.Builder(logger)
    # Weakly typed only for a calibrator. By name: its number is another one in every version.
    typed = 0 if cache is not None else 1 << int(trt.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.module.OnnxParser(network, logger)
    if not parser.parse(content):
        refused = "; ".join(parse_errors(parser)) or reasons(said)
        raise ExportError(f"TensorRT cannot read the file: {condensed(refused)}. Export it again with this edgeseg.")
    settings = _settings(trt, builder, config)
    shapes = builder.create_optimization_profile()
    shapes.set_shape(INPUT, *profile)
    if settings.add_optimization_profile(shapes) < 0:
        raise ExportError(f"TensorRT refuses the sizes {profile.to_json()}: {reasons(said)}.")
    if cache is not None:
        _calibrate(trt, settings, shapes, cache)
    if not trt.is_rtx:
        _use_timings(settings, timings)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:  # and nothing is raised
        raise ExportError(f"{trt.describe()} builds no engine of this file: {reasons(said)}.")
    kept = None if trt.is_rtx else bytes(settings.get_timing_cache().serialize())
    return Compiled(bytes(plan), network.num_layers, time.perf_counter() - started, kept)


def _settings(trt: TensorRt, builder: Any, config: CompileConfig) -> Any:
    module, settings = trt.module, builder.create_builder_config()
    settings.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # or the inspector would know names alone
    settings.builder_optimization_level = config.optimization_level
    settings.clear_flag(module.BuilderFlag.TF32)  # on by default: float32 would be multiplied with 10 bits of mantissa
    if config.workspace_mib is not None:
        settings.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
    if config.version_compatible:
        if trt.is_rtx:
            raise ConfigError(f"{trt.describe()} lacks the library for --version-compatible. Leave it out")
        settings.set_flag(module.BuilderFlag.VERSION_COMPATIBLE)
    if config.hardware != "none":
        if config.hardware not in trt.hardware_levels:
            known = ", ".join(trt.hardware_levels)
            raise ConfigError(f"{trt.describe()} has no hardware compatibility {config.hardware}; it has {known}")
        settings.hardware_compatibility_level = trt.hardware_levels[config.hardware]
    if config.capability is not None:
        _name_capability(trt, settings, config.capability)
    if config.dla_core is not None:
        _use_dla(module, builder, settings, config.dla_core)
    return settings


def _name_capability(trt: TensorRt, settings: Any, name: str) -> None:
    known = trt.capabilities
    if not known:
        raise ConfigError(
            f"{trt.describe()} builds for the GPU of its own machine. Leave out --capability, or run {INSTALL}, which "
            "builds for others"
        )
    if name not in known:
        raise ConfigError(f"--capability {name} is none that {trt.describe()} builds for; it knows {', '.join(known)}")
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(known[name], 0)


def _use_dla(module: Any, builder: Any, settings: Any, core: int) -> None:
    # Without the check TensorRT would build for the GPU and say nothing.
    if not 0 <= core < builder.num_DLA_cores:
        raise ConfigError(f"--dla-core {core}: this machine has {builder.num_DLA_cores} DLA cores, counted from 0")
    settings.default_device_type = module.DeviceType.DLA
    settings.DLA_core = core
    settings.set_flag(module.BuilderFlag.GPU_FALLBACK)


def _calibrate(trt: TensorRt, settings: Any, shapes: Any, cache: str) -> None:
    settings.int8_calibrator = cached_calibrator(trt, cache)
    settings.set_flag(trt.module.BuilderFlag.INT8)
    settings.set_calibration_profile(shapes)


def _use_timings(settings: Any, timings: bytes) -> None:
    if not settings.set_timing_cache(settings.create_timing_cache(timings), False):
        settings.set_timing_cache(settings.create_timing_cache(b""), False)
