"""From ONNX to an engine: every name held against the recorded modules, and real builds by TensorRT for RTX."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeseg.export.trt.compile import CompileConfig, compile_engine
from edgeseg.export.trt.modules import find_tensorrt
from edgeseg.export.trt.profile import Profile
from edgeseg.export.trt.realised import inspect_engine
from edgeseg.runtime.errors import ConfigError, ExportError

from .api import NATIVE_VERSIONS, VERSIONS, needs_rtx, recorded

FIXED = Profile(*[(1, 64, 64, 1)] * 3)
FREE = Profile((1, 32, 32, 1), (1, 64, 64, 1), (1, 128, 96, 1))
CAPABILITIES = ("sm75", "sm86", "sm89", "sm120")


def values_of(log: list[Any], key: str) -> list[Any]:
    return [entry[1] for entry in log if entry[0] == key]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_exists_in_every_version(version) -> None:
    trt = recorded(version)
    rtx = version.startswith("rtx")
    config = CompileConfig("sm86" if rtx else None, 512, 4, not rtx, "none" if rtx else "ampere_plus", 1)
    compiled = compile_engine(trt, b"onnx", FREE, config, timings=b"known")
    assert (compiled.plan, compiled.layers, compiled.timings) == (b"plan", 7, None if rtx else b"timings")
    log, module = trt.module.log, trt.module
    # One bit in each version, another number in 10 than in 11: hard-coded, it would ask for something else.
    (typed,) = values_of(log, "Builder.create_network")
    assert typed == (2 if version in ("t103", "t1016") else 1)
    flags = module.BuilderFlag
    asked = [flags.GPU_FALLBACK] if rtx else [flags.VERSION_COMPATIBLE, flags.GPU_FALLBACK]
    assert values_of(log, "IBuilderConfig.set_flag") == asked
    assert values_of(log, "IBuilderConfig.clear_flag") == [flags.TF32], "FP32 is FP32, not multiplied in 19 bits"
    assert ("IBuilderConfig.set_memory_pool_limit", module.MemoryPoolType.WORKSPACE, 512 << 20) in log
    assert ("IBuilderConfig.builder_optimization_level", 4) in log and ("IBuilderConfig.DLA_core", 1) in log
    assert ("IBuilderConfig.default_device_type", module.DeviceType.DLA) in log
    level = ("IBuilderConfig.hardware_compatibility_level", module.HardwareCompatibilityLevel.AMPERE_PLUS)
    assert (level in log) is not rtx
    assert ("IOptimizationProfile.set_shape", "image", *FREE) in log
    assert values_of(log, "IBuilderConfig.create_timing_cache") == ([] if rtx else [b"known"])
    if rtx:
        assert ("IBuilderConfig.set_compute_capability", module.ComputeCapability.SM86, 0) in log
    with pytest.raises(ExportError, match="says nothing of its layers"):
        inspect_engine(trt, b"plan")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_parser_refuses_is_named(version) -> None:
    with pytest.raises(ExportError, match=r"cannot read the file: node node_x \(Odd\): the reason. Export it again"):
        compile_engine(recorded(version, OnnxParser__parse=False), b"onnx", FREE, CompileConfig())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_calibration_cache_is_used_where_there_are_calibrators(version) -> None:
    trt, cache = recorded(version), "TRT-100300-EntropyCalibration2\nimage: 40008102\n"
    if version not in ("t103", "t1016"):
        with pytest.raises(ConfigError, match=r"has no calibrators. Leave out --calibration"):
            compile_engine(trt, b"onnx", FREE, CompileConfig(), cache)
        return
    compile_engine(trt, b"onnx", FREE, CompileConfig(), cache)
    assert values_of(trt.module.log, "Builder.create_network") == [0], "typed, the builder could choose nothing"
    assert values_of(trt.module.log, "IBuilderConfig.set_flag") == [trt.module.BuilderFlag.INT8]
    (calibrator,) = values_of(trt.module.log, "IBuilderConfig.int8_calibrator")
    assert calibrator.read_calibration_cache() == cache.encode() and calibrator.get_batch(["image"]) is None
    assert {"get_batch_size", "get_batch", "read_calibration_cache", "write_calibration_cache"} <= calibrator.names


@pytest.mark.parametrize("version", NATIVE_VERSIONS)
def test_a_timing_cache_of_another_gpu_is_started_anew(version) -> None:
    trt = recorded(version, IBuilderConfig__set_timing_cache=False)
    compile_engine(trt, b"onnx", FREE, CompileConfig(), timings=b"of another GPU")
    assert values_of(trt.module.log, "IBuilderConfig.create_timing_cache") == [b"of another GPU", b""]


@pytest.mark.parametrize(
    ("version", "config", "message"),
    [
        (
            "t114",
            {"capability": "sm86"},
            r"tensorrt 11.4.0.106 builds for the GPU of its own machine.*edgeseg\[trt-rtx\]",
        ),
        ("rtx171", {"capability": "sm90"}, "--capability sm90 is none that .* builds for; it knows sm75, sm80, sm86"),
        ("t103", {"hardware": "same_compute_capability"}, "has no hardware compatibility .*; it has none, ampere_plus"),
        ("t103", {"dla_core": 2}, "--dla-core 2: this machine has 2 DLA cores, counted from 0"),
    ],
)
def test_what_a_version_or_a_machine_has_not_is_said(version, config, message) -> None:
    with pytest.raises(ConfigError, match=message):
        compile_engine(recorded(version), b"onnx", FREE, CompileConfig(**config))


def test_no_engine_is_an_error_although_tensorrt_raises_none() -> None:
    with pytest.raises(ExportError, match=r"tensorrt 10.3.0 builds no engine of this file: it does not say why"):
        compile_engine(recorded("t103", Builder__build_serialized_network=None), b"onnx", FREE, CompileConfig())


# -- a real parser and compiler, without a GPU


@needs_rtx
@pytest.mark.parametrize("profile", [FIXED, FREE], ids=["fixed", "free"])
@pytest.mark.parametrize("kind", ["fp32", "fp16", "s8"])
def test_every_capability_compiles_every_file(trt_files, kind, profile) -> None:
    trt, content = find_tensorrt(for_capability=True), trt_files("student").content(kind)
    built = [compile_engine(trt, content, profile, CompileConfig(name)) for name in CAPABILITIES]
    assert all(one.layers > 40 and one.plan[:4] == b"vtrt" for one in built)
    assert all(a.plan != b.plan for a, b in pairwise(built)), "each for its own capability"


@needs_rtx
@pytest.mark.parametrize("name", ["student_rgb", "unet_transposed", "lite_unet"])
@pytest.mark.parametrize("kind", ["fp32", "fp16", "s8"])
def test_every_kind_of_network_compiles(trt_files, name, kind) -> None:
    files = trt_files(name)
    shape = (1, 64, 64, files.origin.input.channels)
    trt = find_tensorrt(for_capability=True)
    assert compile_engine(trt, files.content(kind), Profile(shape, shape, shape), CompileConfig("sm86")).plan


@needs_rtx
def test_the_file_for_x86_is_refused_with_node_and_reason(trt_files) -> None:
    content = trt_files("student").origin.int8.read_bytes()
    with pytest.raises(ExportError, match=r"cannot read the file: node \S+ \(\w+\): .*(UINT8|UInt8|uint8|zero)"):
        compile_engine(find_tensorrt(for_capability=True), content, FIXED, CompileConfig("sm86"))


@needs_rtx
def test_pixels_moved_as_integers_are_refused(trt_files) -> None:
    """Why the deploy graph casts first: as our files began until 2026-11."""
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["image", "axis"], ["moved"], "node_squeeze"),
            helper.make_node("Cast", ["moved"], ["scores"], "node_cast", to=TensorProto.FLOAT),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "h", "w"])],
        [onnx.numpy_helper.from_array(np.array([3]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    with pytest.raises(ExportError, match=r"node node_squeeze \(Squeeze\): .*UInt8.*Export it again with this edgeseg"):
        compile_engine(find_tensorrt(for_capability=True), model.SerializeToString(), FIXED, CompileConfig("sm86"))


@needs_rtx
@pytest.mark.parametrize(
    ("profile", "config", "message"),
    [
        (Profile(*[(1, 64, 64, 3)] * 3), {}, "builds no engine of this file: .*Dimension mismatch for tensor image"),
        (Profile(*[(1, 65, 65, 1)] * 3), {}, "builds no engine of this file: .*dimensions must be equal"),
        (Profile(*reversed(FREE)), {}, "refuses the sizes .*MIN<=OPT<=MAX"),
        (FIXED, {"dla_core": 0}, "this machine has 0 DLA cores"),
        (FIXED, {"version_compatible": True}, "lacks the library for --version-compatible. Leave it out"),
    ],
)
def test_tensorrts_own_words_are_passed_on(trt_files, profile, config, message) -> None:
    content = trt_files("student").content("fp32")
    with pytest.raises((ExportError, ConfigError), match=message) as err:
        compile_engine(find_tensorrt(for_capability=True), content, profile, CompileConfig("sm86", **config))
    assert "cudaError" not in str(err.value), "a missing driver is not the cause"
