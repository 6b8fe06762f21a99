"""Opening a model file in its engine, which is imported only then. The table of engines is in `engines.py`."""

from __future__ import annotations

import importlib
from pathlib import Path

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engines import ENGINES, installed_package
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.spec.manifest import ModelSpec


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
    engine = ENGINES[spec.backend]
    if installed_package(spec.backend) is None:
        tried = ", ".join(package.module for package in engine.packages)
        raise BackendError(f"No engine for backend {spec.backend!r} is installed (tried {tried}). Run: {engine.remedy}")
    module, class_name = engine.backend
    backend_class: type[Backend] = getattr(importlib.import_module(module), class_name)
    return backend_class(model, spec, threads)
