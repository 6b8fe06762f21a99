"""What this machine has for running a bundle: the `doctor` of the device."""

from __future__ import annotations

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgeseg.runtime.cores import default_threads, fast_cores, usable_cores
from edgeseg.runtime.engines import ENGINES, installed_package, installed_version
from edgeseg.runtime.opening.selection import machine_kind, target_name
from edgeseg.runtime.processor import cpu_flags
from edgeseg.runtime.trt.gpu import ABSENT, find_gpu

_INTERESTING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


def doctor() -> dict[str, Any]:
    """Return what is installed and what each backend can do here, with the command that adds what is missing.

    Returns:
        JSON-able: `ok` (at least one engine can be imported), `python`, `platform`, `machine_kind`, `cpu_flags`,
        `cores` (usable), `fast_cores`, `default_threads`, `packages`, `backends` (`usable`, `package`, `version`,
        `target`, `reason`, `remedy`).
    """
    backends = {name: _backend(name) for name in ENGINES}
    flags = cpu_flags()
    return {
        "ok": any(row["usable"] for row in backends.values()),
        "edgeseg": _version("edgeseg"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine_kind": machine_kind(),
        "cpu_flags": [flag for flag in _INTERESTING_FLAGS if flag in flags],
        "cores": len(usable_cores()),
        "fast_cores": len(fast_cores()),
        "default_threads": default_threads(),
        "packages": {"numpy": _module_version("numpy"), "cv2": _module_version("cv2")},
        "backends": backends,
    }


def _backend(name: str) -> dict[str, Any]:
    entry = ENGINES[name]
    package = installed_package(name)
    row: dict[str, Any] = {"usable": False, "package": package, "version": None, "target": target_name(name)}
    if entry.needs_gpu and find_gpu() is None:
        return row | {"reason": ABSENT, "remedy": None}
    if package is None:
        tried = ", ".join(one.module for one in entry.packages)
        return row | {"reason": f"none of {tried} is installed", "remedy": entry.remedy}
    try:
        importlib.import_module(entry.backend[0])
        importlib.import_module(package)
    except Exception as err:
        return row | {"reason": f"{package} is installed but cannot be imported: {err}", "remedy": entry.remedy}
    found = installed_version(name)
    return row | {"usable": True, "version": found and found[1], "reason": None, "remedy": None}


def _module_version(name: str) -> str | None:
    try:
        return str(getattr(importlib.import_module(name), "__version__", "unknown"))
    except ImportError:
        return None


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
