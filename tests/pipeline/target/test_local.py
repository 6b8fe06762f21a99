"""This machine as a target, with its real engines; no time is asserted, a busy machine has none to give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.layers.job import LayerConfig
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.probe import Layer, Measurement
from edgeseg.pipeline.target.local import LocalProbe, extra_copies
from edgeseg.pipeline.target.yardstick import Timed, Yardstick
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.opening.selection import machine_kind, target_name
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

SIZE = 32
ARCH = efficient_unet_arch(1, 3, width=0.25, stages=2)
CLASSES = ("background", "scratch", "pit")
LAYERS = [Layer("conv", 8, 16, 1, 1, 16, 16), Layer("depthwise", 16, 16, 3, 1, 16, 16), Layer("add", 8, 8, 1, 1, 8, 8)]
TINY = HarnessConfig(threads=1, processes=1, blocks=1, seconds=0.02, min_samples=4, warmup_cap_s=0.1, settle_cap_s=0.05)

pytestmark = pytest.mark.skipif(not machine_kind().startswith("x86"), reason="INT8 of ONNX Runtime is u8s8 of x86")


def probe(engine: str, **changes) -> LocalProbe:
    return LocalProbe(
        target_name(engine),
        InputSpec("gray", Geometry("resize", SIZE, SIZE), 4),
        CLASSES,
        np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8),
        threads=1,
        layer_config=LayerConfig(processes=1, rounds=1, block_s=0.0005, settle_cap_s=0.0),
        harness=TINY,
        **changes,
    )


@pytest.mark.parametrize("engine", sorted(name for name, engine in ENGINES.items() if not engine.needs_gpu))
def test_layers_are_measured_into_a_table(engine: str, tmp_path: Path) -> None:
    table = LatencyTable(probe(engine), tmp_path / "layers.json")
    table.ensure(LAYERS)
    assert len(table) == len(LAYERS) and table.predict_ms(LAYERS) >= 0
    assert probe(engine).layers_ms([]) == []


def test_float_layers_as_well() -> None:
    assert len(probe("onnxruntime", precision="fp32").layers_ms(LAYERS)) == len(LAYERS)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_whole_network_is_measured(engine: str) -> None:
    torch.manual_seed(0)
    model = build_model(ARCH)
    trained = model.training
    found = probe(engine).measure(model)
    assert found.total_ms > found.infer_ms > 0 and found.bytes > 1000
    assert found.energy_mj is None and found.reason == "no power meter was named"
    assert model.training == trained


def test_beside_a_yardstick_times_are_as_if_the_machine_ran_at_its_pace() -> None:
    torch.manual_seed(0)
    model = build_model(ARCH)
    slow = probe("onnxruntime", yardstick=Yardstick(model, total_ms=1e6)).measure(model)
    assert 0 < slow.pace < 0.1 and slow.total_ms > slow.infer_ms > 100  # the machine is much faster than it was


def test_a_machine_that_runs_at_two_thirds_of_its_pace() -> None:
    found = Measurement(3.0, 2.4, None, 1000)
    assert Timed(found, 0.2).at_pace(10.0) == Measurement(2.0, pytest.approx(1.6), None, 1000, pace=1.5)
    failed = Measurement(None, None, None, 1000, "it crashed")
    assert Timed(failed, None).at_pace(10.0) == failed
    assert Timed(found, None).at_pace(10.0) == found and found.pace is None


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_is_a_row_with_its_reason_beside_the_others() -> None:
    images = [np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 1), dtype=np.uint8)]
    rgb = build_model(efficient_unet_arch(3, 3, width=0.25, stages=2))
    first, second = probe("litert", calibration=images).measure_all([rgb, build_model(ARCH)])
    assert first.total_ms is None and "3 input channels" in str(first.reason)
    assert second.total_ms > 0


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("litert", marks=pytest.mark.slow)])
def test_the_file_that_is_scored_is_of_the_network_that_ships(engine: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(ARCH).eval()
    images = [np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 1), dtype=np.uint8)]

    def content(network: str, calibration: list[np.ndarray]) -> bytes:
        folder = tmp_path / f"{network} {len(calibration)}"
        return probe(engine, calibration=calibration, network=network).export(model, folder).model.read_bytes()

    assert content("plain", images) != content("corrected", images)
    assert content("plain", []) == content("corrected", [])  # of made-up images: made to be timed


def test_the_identity_names_what_times_depend_on() -> None:
    here = probe("onnxruntime")
    other = [
        probe("litert"),
        dataclasses.replace(here, threads=2),
        dataclasses.replace(here, precision="fp32"),
    ]
    assert here.identity == probe("onnxruntime").identity
    assert len({one.identity for one in [here, *other]}) == 4
    assert "onnxruntime" in here.identity and "int8" in here.identity and "1 threads" in here.identity


def test_what_is_widened_depends_on_the_engine() -> None:
    assert probe("onnxruntime").depthwise_step == 16
    assert probe("onnxruntime", precision="fp32").depthwise_step == 1
    assert probe("litert").depthwise_step == 1


@pytest.mark.parametrize("target", ["arm64-litert", "riscv-ort"])
def test_another_machine_is_refused(target: str) -> None:
    with pytest.raises(MeasureError, match=f"target {target} is another machine"):
        dataclasses.replace(probe("litert"), target=target)


def test_an_unknown_engine_and_too_few_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="names no engine"):
        dataclasses.replace(probe("litert"), target="x86-tvm")
    with pytest.raises(ConfigError, match="7 calibration images"):
        probe("litert", calibration=[np.zeros((7, SIZE, SIZE, 1), np.uint8)])


@pytest.mark.parametrize("layer", [*LAYERS, Layer("conv", 64, 512, 3, 1, 256, 256), Layer("conv", 8, 8, 1, 1, 1, 1)])
def test_copies_are_enough_and_not_too_many(layer: Layer) -> None:
    n = extra_copies(layer)
    assert 2 <= n <= 16
    assert n == 2 or n * layer.out_channels * layer.height_px * layer.width_px <= 16 << 20
