"""Files for TensorRT of a small network, and a bundle of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgeseg.export.formats import Origin, write_quantised
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

from ...runtime.conftest import tiny_bundle, tiny_onnx  # noqa: F401  fixtures
from ...runtime.trt.board import board, driver  # noqa: F401  fixtures
from ..conftest import Exported, frames


@dataclass(frozen=True)
class TrtFiles:
    """FP32, typed FP16 and symmetric INT8 of a network, of free size."""

    origin: Exported
    fp16: Path
    s8: Path
    s8_spec: ModelSpec

    def content(self, kind: str) -> bytes:
        return {"fp32": self.origin.fp32, "fp16": self.fp16, "s8": self.s8}[kind].read_bytes()


@pytest.fixture(scope="session")
def trt_files(onnx_files, tmp_path_factory) -> Callable[[str], TrtFiles]:
    made: dict[str, TrtFiles] = {}

    def get(name: str) -> TrtFiles:
        if name not in made:
            files, folder = onnx_files(name), tmp_path_factory.mktemp(name)
            origin = Origin(files.model, files.plan, files.fp32, files.fp32_spec)
            write_quantised("onnx", origin, folder / "fp16.onnx", "fp16")
            spec, _ = write_quantised("onnx-s8", origin, folder / "s8.onnx")
            made[name] = TrtFiles(files, folder / "fp16.onnx", folder / "s8.onnx", spec)
        return made[name]

    return get


@pytest.fixture(scope="session")
def packed(trt_files, tmp_path_factory) -> Path:
    """A bundle that takes frames of any size, with golden ones of 64x64; without `onnx-fp16`."""
    files = trt_files("student")
    native = [
        replace(one, input=replace(one.input, geometry=Geometry("native")))
        for one in (files.origin.fp32_spec, files.s8_spec)
    ]
    sources = [
        VariantSource("onnx-fp32", files.origin.fp32, native[0]),
        VariantSource("onnx-int8", files.s8, native[1]),
    ]
    path = tmp_path_factory.mktemp("packed") / "small.edgeseg"
    pack(path, BundleInfo("small", "1", "a test", native[0].input), sources, [one[:, :, 0] for one in frames(2)])
    return path


@pytest.fixture
def bundle(packed, tmp_path) -> Path:
    return Path(shutil.copy(packed, tmp_path / "small.edgeseg"))
