"""The command line that builds an engine on boards whose TensorRT is older than our builder: JetPack 4 and 5.

Argument names by version: NVIDIA/TensorRT, samples/common/sampleOptions.cpp of 8.2 and 8.5. Never run by us.
"""

from __future__ import annotations

from typing import Literal

from edgeseg.export.onnx.export import INPUT
from edgeseg.export.trt.cache import JETPACK_5, Version
from edgeseg.export.trt.compile import CompileConfig
from edgeseg.export.trt.profile import Profile
from edgeseg.runtime.errors import ConfigError

VERSIONS: dict[str, Version] = {"8.2": (8, 2, 1), "8.5": JETPACK_5}  # of JetPack 4.6.1 on, and of JetPack 5.1
_WORKSPACE = {"8.2": "--workspace={}", "8.5": "--memPoolSize=workspace:{}"}  # [MiB]


def trtexec_command(
    version: str,
    stem: str,
    precision: Literal["fp32", "fp16", "int8"],
    profile: Profile,
    config: CompileConfig,
    cache: str | None = None,
) -> tuple[str, ...]:
    """Return the words of the command, to be run where the files are.

    Args:
        version: Of `VERSIONS`.
        stem: Files are named by it: STEM.onnx is read, STEM.engine, STEM.layers.json and STEM.timing are written.
        precision: Of the engine.
        profile: Shapes of the input.
        config: How it is built.
        cache: Name of a calibration cache, or None where the file holds Q/DQ pairs or is float.

    Raises:
        ConfigError: If this version has not what `config` asks for.
    """
    lacking = {
        "--capability": config.capability is not None,
        "--version-compatible": config.version_compatible,
        "--hardware": config.hardware != "none",
        "--optimization-level": config.optimization_level != CompileConfig.optimization_level,
    }
    if asked := [option for option, given in lacking.items() if given]:
        raise ConfigError(f"TensorRT {version} has no {', '.join(asked)}. Leave it out")
    words = ["trtexec", f"--onnx={stem}.onnx", f"--saveEngine={stem}.engine"]
    for name, shape in profile.to_json().items():
        words.append(f"--{name}Shapes={INPUT}:{'x'.join(map(str, shape))}")
    words += ["--noTF32", *([] if precision == "fp32" else [f"--{precision}"])]
    words += [] if cache is None else [f"--calib={cache}"]
    words += [] if config.workspace_mib is None else [_WORKSPACE[version].format(config.workspace_mib)]
    words += [] if config.dla_core is None else [f"--useDLACore={config.dla_core}", "--allowGPUFallback"]
    words += [
        f"--timingCacheFile={stem}.timing",
        "--profilingVerbosity=detailed",
        f"--exportLayerInfo={stem}.layers.json",
    ]
    return tuple(words)
