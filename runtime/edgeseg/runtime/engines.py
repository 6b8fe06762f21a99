"""The engines that run model files: one table of plain data, read by everybody. No engine is imported here.

A new engine is an entry of this table and its file in `backends/`; docs/architecture.md goes through one step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple


class Package(NamedTuple):
    """What brings an engine.

    Attributes:
        module: Name it is imported by.
        distributions: What it is installed and versioned as, the usual one first.
    """

    module: str
    distributions: tuple[str, ...]


class Feature(NamedTuple):
    """Something a processor has, which a file may need for its masks to be those it was accepted for.

    Attributes:
        machine_kind: Of the processors that have it.
        architecture: Kind of those of the same architecture that have it not.
        without: What is wrong on those.
    """

    machine_kind: str
    architecture: str
    without: str


FEATURES = {
    # Unsigned activations times signed weights saturate in the 16-bit sums of x86 processors without VNNI, in engines
    # that do not look after it: OpenVINO, and ONNX Runtime with a file whose weights share a zero point.
    "vnni": Feature(
        "x86-vnni",
        "x86",
        "this processor has no VNNI instructions, so that sums of unsigned times signed bytes saturate",
    )
}


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: As specs and manifests name it.
        short: As targets name it: `x86-ort`.
        suffixes: Of the files it runs.
        backend: Module of ours that imports it, and the `Backend` in it.
        packages: That can serve it, the preferred first.
        extra: Of pyproject.toml, which brings the preferred one; "" where none does.
        u8s8_needs: What an x86 processor must have (see `FEATURES`) for files of unsigned activations and
            signed weights to give the masks they were accepted for.
        any_batch: It takes another number of frames in a call without setting itself up anew.
        needs_gpu: It runs on an NVIDIA GPU, and its files are built for that very one: no run writes them.
        install: Command that adds it, where no extra does.
    """

    name: str
    short: str
    suffixes: tuple[str, ...]
    backend: tuple[str, str]
    packages: tuple[Package, ...]
    extra: str
    u8s8_needs: tuple[str, ...] = ()
    any_batch: bool = False
    needs_gpu: bool = False
    install: str = ""

    @property
    def remedy(self) -> str:
        """Command that adds it."""
        return self.install or f"pip install 'edgeseg[{self.extra}]'"


_TABLE = (
    Engine(
        name="onnxruntime",
        short="ort",
        suffixes=(".onnx",),
        backend=("edgeseg.runtime.backends.ort", "OrtBackend"),
        packages=(Package("onnxruntime", ("onnxruntime", "onnxruntime-gpu")),),
        extra="ort",
        any_batch=True,
    ),
    Engine(
        name="litert",
        short="litert",
        suffixes=(".tflite",),
        backend=("edgeseg.runtime.backends.litert", "LiteRtBackend"),
        packages=(
            Package("ai_edge_litert", ("ai-edge-litert",)),
            Package("tflite_runtime", ("tflite-runtime",)),
            Package("tensorflow", ("tensorflow",)),
        ),
        extra="litert",
    ),
    Engine(
        name="openvino",
        short="openvino",
        suffixes=(".onnx",),
        backend=("edgeseg.runtime.backends.openvino", "OpenVinoBackend"),
        packages=(Package("openvino", ("openvino",)),),
        extra="openvino",
        u8s8_needs=("vnni",),
    ),
    Engine(
        name="tensorrt",
        short="trt",
        suffixes=(".engine",),
        backend=("edgeseg.runtime.backends.trt", "TrtBackend"),
        packages=(Package("tensorrt", ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")),),
        extra="",  # JetPack brings its own, which an extra would pull the registry's over
        needs_gpu=True,
        install="sudo apt install python3-libnvinfer on a Jetson, pip install tensorrt elsewhere",
    ),
    Engine(
        name="tensorrt-rtx",
        short="trt-rtx",
        suffixes=(".engine",),
        backend=("edgeseg.runtime.backends.trt", "TrtBackend"),
        packages=(
            Package("tensorrt_rtx", ("tensorrt-rtx", "tensorrt-rtx-cu12")),
            Package("tensorrt_rtx_bindings", ("tensorrt-rtx-cu12-bindings",)),
        ),
        extra="trt-rtx",
        needs_gpu=True,
    ),
)

ENGINES: dict[str, Engine] = {engine.name: engine for engine in _TABLE}

# Where a run's files are timed and gated: the host is an x86 machine.
TARGETS: tuple[str, ...] = tuple(f"x86-{engine.short}" for engine in _TABLE if not engine.needs_gpu)

# Where a budget may be held: there too where the run is told of such a device.
BUDGET_TARGETS: tuple[str, ...] = (*TARGETS, "arm64-litert")

# What the model file of a step's folder is called.
MODEL_NAMES: tuple[str, ...] = tuple(dict.fromkeys(f"model{suffix}" for engine in _TABLE for suffix in engine.suffixes))


def installed_package(engine: str) -> str | None:
    """Return the first importable module that serves an engine, without importing it, or None."""
    modules = (package.module for package in ENGINES[engine].packages)
    return next((module for module in modules if find_spec(module) is not None), None)


def installed_version(engine: str) -> tuple[str, str] | None:
    """Return distribution and version of what `installed_package` finds, or None where nothing says."""
    from importlib.metadata import PackageNotFoundError, version  # brings `email`, a third of opening a bundle

    module = installed_package(engine)
    for package in ENGINES[engine].packages:
        for distribution in package.distributions if package.module == module else ():
            try:
                return distribution, version(distribution)
            except PackageNotFoundError:
                continue
    return None


def missing(engine: str) -> str | None:
    """Return that an engine is not installed and the command that adds it, or that its GPU is not here, or None."""
    needs_gpu = ENGINES[engine].needs_gpu
    if installed_package(engine) is None:
        gpu = " (it needs an NVIDIA GPU)" if needs_gpu else ""
        return f"no engine for {engine} is installed{gpu}, run {ENGINES[engine].remedy}"
    if needs_gpu:  # asked last: a process that has looked for it can no longer fork children that use it
        from edgeseg.runtime.trt.gpu import ABSENT, find_gpu

        return ABSENT if find_gpu() is None else None
    return None


def engine_of_suffix(suffix: str) -> Engine | None:
    """Return the engine that runs a file by default, by its suffix with the dot, or None."""
    return next((engine for engine in _TABLE if suffix in engine.suffixes), None)


def engine_of_target(target: str) -> Engine | None:
    """Return the engine that a target names, such as `x86-ort`, or None."""
    return next((engine for engine in _TABLE if target.endswith(f"-{engine.short}")), None)
