"""The TensorRT that is installed: `tensorrt` on a device, or TensorRT for RTX anywhere. Names that differ are here.

TensorRT for RTX compiles for a named compute capability without a GPU; `tensorrt` compiles for the GPU it runs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.engines import ENGINES, installed_package
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.trt.module import import_tensorrt, logger_of

NATIVE, RTX = "tensorrt", "tensorrt-rtx"  # of `ENGINES`
INSTALL = ENGINES[RTX].remedy
_NO_DRIVER = "catchCudaError"  # is reported beside every error where no GPU is; parsing and compiling need none


@dataclass(frozen=True)
class TensorRt:
    """An imported module.

    Attributes:
        module: What was imported.
    """

    module: Any

    @property
    def name(self) -> str:
        """Of the module."""
        return str(self.module.__name__)

    @property
    def version(self) -> str:
        """As the module says it."""
        return str(self.module.__version__)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The first three numbers of the version."""
        major, minor, patch, *_ = (*map(int, re.findall(r"\d+", self.version)), 0, 0, 0)
        return major, minor, patch

    @property
    def capabilities(self) -> dict[str, Any]:
        """Compute capabilities that can be named, `sm86` by name; empty where the module builds for its own GPU."""
        named = getattr(self.module, "ComputeCapability", None)
        members = {} if named is None else named.__members__
        return {name.lower(): value for name, value in members.items() if name.startswith("SM")}

    @property
    def is_rtx(self) -> bool:
        """Whether it is TensorRT for RTX, whose timing caches do nothing."""
        return bool(self.capabilities)

    @property
    def calibrator(self) -> Any:
        """Base class of calibrators fed from a cache; None from TensorRT 11 on, and in TensorRT for RTX."""
        return getattr(self.module, "IInt8EntropyCalibrator2", None)

    @property
    def hardware_levels(self) -> dict[str, Any]:
        """Levels of hardware compatibility by name in lower case."""
        return {name.lower(): value for name, value in self.module.HardwareCompatibilityLevel.__members__.items()}

    def describe(self) -> str:
        """Module and version, for messages."""
        return f"{self.name} {self.version}"


def find_tensorrt(*, for_capability: bool) -> TensorRt:
    """Import the TensorRT that fits.

    Args:
        for_capability: A compute capability is named, which only TensorRT for RTX builds for. Else `tensorrt` goes
            first, which builds for the GPU that is here.

    Raises:
        BackendError: If none is installed, it cannot be loaded, or it is too old.
    """
    order = (RTX, NATIVE) if for_capability else (NATIVE, RTX)
    engine = next((name for name in order if installed_package(name) is not None), None)
    if engine is None:
        raise BackendError(
            f"No TensorRT is installed. On x86-64 Linux run {INSTALL}, which needs no GPU; for the GPU of this machine "
            f"{ENGINES[NATIVE].remedy}."
        )
    try:
        return TensorRt(import_tensorrt(engine))
    except BackendError as err:
        raise BackendError(f"{err} For a board with TensorRT 8 pass --trtexec 8.2 or --trtexec 8.5.") from err


def listener(trt: TensorRt) -> tuple[Any, list[str]]:
    """The process's one logger, and the list that it puts errors and warnings into from now on."""
    logger, said = logger_of(trt.module)
    said.clear()
    return logger, said


def reasons(said: list[str]) -> str:
    """What was heard, in a line."""
    return condensed("; ".join(one for one in said if _NO_DRIVER not in one) or "it does not say why")


def parse_errors(parser: Any) -> Iterator[str]:
    """What an ONNX parser has refused: node, operator and reason."""
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        reason = "; ".join(line for line in error.desc().splitlines() if _NO_DRIVER not in line)
        yield f"node {error.node_name() or error.node()} ({error.node_operator() or 'no operator'}): {reason}"
