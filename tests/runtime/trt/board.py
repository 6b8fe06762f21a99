"""A machine with a GPU and TensorRT, as far as the runtime can tell: stand-ins of the driver and of the module."""

from __future__ import annotations

import ctypes
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.trt import cuda, gpu
from edgeseg.runtime.trt.gpu import Gpu, find_gpu

from .fake_tensorrt import fake_tensorrt

ORIN = Gpu("Orin", "sm87", "12.6")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc, which compiles the stand-in of the driver")
    library = tmp_path_factory.mktemp("cuda") / "libcuda.so.1"
    source = Path(__file__).with_name("cuda_stub.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture
def board(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """A machine with a GPU and TensorRT 10.3; gives the driver's counters by name. Nothing may be left in it."""
    monkeypatch.setattr(cuda, "LIBRARY", driver._name)
    monkeypatch.setattr(gpu, "LIBRARY", driver._name)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    find_gpu.cache_clear()

    def counter(name: str) -> int:
        return ctypes.c_int.in_dll(driver, name).value

    before = counter("stub_live")
    yield counter
    find_gpu.cache_clear()
    assert counter("stub_live") == before


def engine(low: tuple[int, ...] = (1, 64, 64, 1), high: tuple[int, ...] | None = None, **more: Any) -> bytes:
    return json.dumps({"min": low, "max": high or low, "output": "FLOAT"} | more).encode()


def record(sha256: str, **changes: Any) -> dict[str, Any]:
    """What the builder writes beside an engine."""
    return {
        "schema_version": 1,
        "variant": "trt-fp32",
        "source": {"variant": "onnx-fp32", "sha256": "0" * 64},
        "settings": {"capability": None, "version_compatible": False, "hardware": "none"},
        "engine": {"file": "trt-fp32.engine", "sha256": sha256, "bytes": 1},
        "module": "tensorrt",
        "version": "10.3.0",
        "gpu": ORIN._asdict(),
        "evidence": "built",
    } | changes


def write(folder: Path, content: bytes, **changes: Any) -> Path:
    """An engine with its record, as the builder writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trt-fp32.engine"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(record(hashlib.sha256(content).hexdigest(), **changes)))
    return path
