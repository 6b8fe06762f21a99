"""The module of a TensorRT: `tensorrt` on a device, TensorRT for RTX on PCs. Names are the same where we use them."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any

from edgeseg.runtime.engines import ENGINES, installed_package
from edgeseg.runtime.errors import BackendError

OLDEST = (10, 3)  # of `tensorrt`: JetPack 6.1; names are held against its API and those up to 11.4


def import_tensorrt(engine: str) -> Any:
    """Import the module that serves an engine.

    Args:
        engine: `tensorrt` or `tensorrt-rtx`.

    Raises:
        BackendError: If it is not installed, cannot be loaded, or is too old.
    """
    name = installed_package(engine)
    if name is None:
        raise BackendError(f"No module for {engine} is installed. Run: {ENGINES[engine].remedy}")
    try:
        module = import_module(name)
    except (ImportError, OSError) as err:
        raise BackendError(f"{name} is installed but cannot be loaded ({err}). Run: {ENGINES[engine].remedy}") from err
    version = str(module.__version__)
    if engine == "tensorrt" and tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BackendError(
            f"tensorrt {version} is older than {oldest}, which is the first that edgeseg runs. Update it."
        )
    return module


@cache
def logger_of(module: Any) -> tuple[Any, list[str]]:
    """The logger of this process, and the list that it appends errors and warnings to; empty it before a call.

    One for all: TensorRT keeps the first that it is given, and calls it for as long as the process lives.
    """
    said: list[str] = []

    class Collecting(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (module.ILogger.INTERNAL_ERROR, module.ILogger.ERROR, module.ILogger.WARNING):
                said.append(message)

    return Collecting(), said
