"""The engines that can run a model file, each imported only when a file of its kind is opened."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.manifest import ModelSpec


class BackendEntry(NamedTuple):
    """Where a backend lives and what it needs.

    Attributes:
        module: Module of ours that imports the engine.
        class_name: The `Backend` in it.
        packages: Importable names that can serve it, the preferred first.
        remedy: Command that adds the preferred one.
    """

    module: str
    class_name: str
    packages: tuple[str, ...]
    remedy: str


BACKENDS: dict[str, BackendEntry] = {
    "onnxruntime": BackendEntry(
        "edgeseg.runtime.backends.ort", "OrtBackend", ("onnxruntime",), "pip install 'edgeseg[ort]'"
    ),
    "litert": BackendEntry(
        "edgeseg.runtime.backends.litert",
        "LiteRtBackend",
        ("ai_edge_litert", "tflite_runtime", "tensorflow"),
        "pip install 'edgeseg[litert]'",
    ),
}


def installed_package(backend: str) -> str | None:
    """Return the first importable package that serves a backend, without importing it, or None."""
    return next((package for package in BACKENDS[backend].packages if find_spec(package) is not None), None)


def open_backend(model: Path | bytes, spec: ModelSpec, threads: int | None = None) -> Backend:
    """Open a model file with the engine its spec names.

    Args:
        model: Path or content of the file.
        spec: Its description.
        threads: Threads the engine may use; None takes `default_threads()`.

    Returns:
        An open backend; close it, or use it as a context manager.

    Raises:
        BackendError: If no engine for it is installed, or the engine refuses the file.
    """
    entry = BACKENDS[spec.backend]
    if installed_package(spec.backend) is None:
        tried = ", ".join(entry.packages)
        raise BackendError(f"No engine for backend {spec.backend!r} is installed (tried {tried}). Run: {entry.remedy}")
    backend_class: type[Backend] = getattr(importlib.import_module(entry.module), entry.class_name)
    return backend_class(model, spec, threads)
