"""Small networks with lived-in batch norm statistics, calibrated and exported once a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.tflite.export import export_tflite
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, ModelSpec
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import Decoder, efficient_unet_arch
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch

SIZE = 64


def quiet_options() -> onnxruntime.SessionOptions:
    """One thread, no warnings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return options


@dataclass(frozen=True)
class Exported:
    """A network, its plan and its files."""

    model: nn.Module
    plan: Plan
    classes: tuple[str, ...]
    input: InputSpec
    fp32: Path
    fp32_spec: ModelSpec
    int8: Path
    int8_spec: ModelSpec


def lived_in(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norm the statistics of data and random weights: fresh ones leave degenerate ranges."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.weight.data = torch.rand(module.weight.shape, generator=generator) + 0.5
            module.bias.data = 0.3 * torch.randn(module.bias.shape, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data = torch.randn(module.weight.shape, generator=generator) / module.weight[0].numel() ** 0.5
    model.train()
    with torch.no_grad():
        for image in frames(2, 1 if color_of(model) == "gray" else 3):
            model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    return model.eval()


def color_of(model: nn.Module) -> str:
    return "gray" if model.arch["in_channels"] == 1 else "rgb"


def frames(n: int, channels: int = 1, seed: int = 0) -> list[np.ndarray]:
    """Smooth and noisy pixels, uint8 (64, 64, C)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8, channels)).repeat(8, axis=1).repeat(8, axis=2)
    noisy = np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255)
    return list(noisy.astype(np.uint8))


def spec_of(model: nn.Module) -> InputSpec:
    return InputSpec(color_of(model), Geometry("resize", SIZE, SIZE), model.stride)


def planned(model: nn.Module, float_paths: tuple[str, ...] = ()) -> Plan:
    folded = fold_batch_norm(model)
    images = np.stack(frames(8, 1 if color_of(model) == "gray" else 3, seed=1))
    return make_plan(folded, collect_ranges(folded, [images]), float_paths)


ARCHS: dict[str, Callable[[], dict]] = {
    "student": lambda: efficient_unet_arch(1, 3, width=0.25, stages=3),
    "student_stride_4": lambda: efficient_unet_arch(1, 3, width=0.25, stages=3, decoder=Decoder(0.5, 4)),
    "student_stride_8": lambda: efficient_unet_arch(3, 1, width=0.25, depth=0.34, stages=4, decoder=Decoder(0.5, 8)),
    "student_rgb": lambda: efficient_unet_arch(3, 1, width=0.25, stages=3),
    "unet_transposed": lambda: unet_arch(1, 3, base=8, depth=3),
    "lite_unet": lambda: lite_unet_arch(1, 3, width=0.25, depth=0.34, decoder=(8, 8, 8, 8)),
    "unet_bilinear": lambda: unet_arch(1, 3, base=8, depth=3, upsampling="bilinear"),
}


def classes_of(model: nn.Module) -> tuple[str, ...]:
    return ("background", "defect") if model.n_outputs == 1 else ("background", "scratch", "pit")


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lived_in(build_model(ARCHS[name]()))


@pytest.fixture(scope="session")
def student() -> nn.Module:
    return network("student")


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """ONNX FP32 (any size) and INT8 (u8s8) of a network by its name in ARCHS."""
    made: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            model = network(name)
            plan, classes, its = planned(model), classes_of(model), spec_of(model)
            fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
            fp32_spec = export_onnx(model, fp32, its, classes, dynamic=True)
            int8_spec = write_int8_onnx(model, plan, fp32, fp32_spec, int8)
            made[name] = Exported(model, plan, classes, its, fp32, fp32_spec, int8, int8_spec)
        return made[name]

    return get


@pytest.fixture(scope="session")
def tflite_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """TFLite FP32 and INT8 of a network by its name in ARCHS."""
    made: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            model = network(name)
            plan, classes, its = planned(model), classes_of(model), spec_of(model)
            fp32, int8 = folder / "fp32.tflite", folder / "int8.tflite"
            fp32_spec = export_tflite(model, fp32, its, classes)
            int8_spec = write_int8_tflite(model, plan, fp32, fp32_spec, int8)
            made[name] = Exported(model, plan, classes, its, fp32, fp32_spec, int8, int8_spec)
        return made[name]

    return get
