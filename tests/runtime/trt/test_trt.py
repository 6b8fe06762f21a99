"""Running TensorRT engines, as far as that goes without a GPU: names, flow, ties to a machine, the real refusal."""

from __future__ import annotations

import ast
import ctypes
import dataclasses
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.export.trt import parser_word
from edgeseg.runtime.backends import open_backend, trt
from edgeseg.runtime.device.machine import doctor
from edgeseg.runtime.errors import BackendError, BundleError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import rank, target_name, unfit_reason
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.engine_record import EngineRecord
from edgeseg.runtime.spec.manifest import ModelSpec
from edgeseg.runtime.trt import built_engine, gpu
from edgeseg.runtime.trt import module as tensorrt_module
from edgeseg.runtime.trt.built_engine import engine_folder
from edgeseg.runtime.trt.gpu import find_gpu

from .board import ORIN, engine, record, write
from .fake_tensorrt import fake_tensorrt

APIS = sorted((Path(__file__).resolve().parents[2] / "data" / "tensorrt_api").glob("*.api"))
RTX = next((name for name in ("tensorrt_rtx", "tensorrt_rtx_bindings") if find_spec(name)), None)
# What a variable of our modules holds; `self._x` counts as `x`.
CLASSES = {"engine": "ICudaEngine", "context": "IExecutionContext", "runtime": "Runtime"}
PARSING = {"builder": "Builder", "parser": "OnnxParser", "one": "ParserError"}


# -- names


def used(source: Path, classes: dict[str, str]) -> set[tuple[str, str]]:
    """(class or enumeration, name) of all that a module of ours takes from TensorRT; class "" for the module's own."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Attribute) or node.attr.startswith("__"):
            continue
        match node.value:
            case ast.Name(id="module"):
                found.add(("", node.attr))
            case ast.Attribute(value=ast.Name(id="module"), attr=attr) if not attr.startswith("__"):
                found.add((attr, node.attr))
            case ast.Name(id=name) if name in classes:
                found.add((classes[name], node.attr))
            case ast.Attribute(value=ast.Name(id="self"), attr=attr) if (
                attr.removeprefix("_") in classes and attr[0] == "_"
            ):
                found.add((classes[attr[1:]], node.attr))
    return found


def recorded(api: Path) -> dict[str, set[str]]:
    """Names by class of one version, "" for the module's own."""
    names: dict[str, set[str]] = {"": set()}
    for line in api.read_text().splitlines()[1:]:
        its, _, members = line.partition(" ")[2].partition(":")
        names[its] = {member.partition("=")[0] for member in members.split()}
        names[""].add(its)
    return names


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.stem)
def test_every_name_we_use_is_in_every_version(api: Path) -> None:
    names = recorded(api)
    ours = used(Path(trt.__file__), CLASSES) | used(Path(tensorrt_module.__file__), {})
    ours |= used(Path(parser_word.__file__), PARSING)
    assert len(ours) > 20 and ("IExecutionContext", "execute_async_v3") in ours
    assert [one for one in sorted(ours) if one[1] not in names[one[0]]] == []
    kinds = set(trt._NUMPY_NAMES) - names["DataType"]
    assert not kinds


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.stem)
def test_the_stand_in_has_recorded_names_only(api: Path) -> None:
    names = recorded(api)
    for name, its in vars(fake_tensorrt(ctypes.CDLL(None))).items():
        if not name.startswith("__"):
            assert {member for member in vars(its) if not member.startswith("_")} <= names[name]


# -- the real module, without a GPU

real = pytest.mark.skipif(RTX is None or find_gpu() is not None, reason="needs TensorRT for RTX, and no GPU")


def real_module() -> Any:
    return tensorrt_module.import_tensorrt("tensorrt-rtx")


def real_engine(path: Path) -> bytes:
    """An engine of the tiny model for SM86."""
    module = real_module()
    logger, said = tensorrt_module.logger_of(module)
    builder = module.Builder(logger)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, logger)
    assert parser.parse(path.read_bytes()), said
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(module.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    profile.set_shape("image", *[(1, 64, 64, 1)] * 3)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, said
    return bytes(plan)


@real
def test_a_real_engine_is_refused_without_a_gpu(tiny_onnx: Callable[..., tuple[Path, ModelSpec]]) -> None:
    path, spec = tiny_onnx()
    engine = real_engine(path)
    with pytest.raises(BackendError, match=r"refused the model: .*Build it on this machine") as caught:
        trt.deserialize(real_module(), engine)
    assert caught.value.exit_code == 1 and "CUDA driver version is insufficient" in str(caught.value)
    assert "ignored" not in str(caught.value)  # the logger; TensorRT knows one a process
    with pytest.raises(BackendError, match="no NVIDIA GPU with its driver is here"):
        open_backend(engine, dataclasses.replace(spec, backend="tensorrt-rtx"))


@real
def test_what_is_no_engine_is_refused_by_the_real_module() -> None:
    with pytest.raises(BackendError, match="refused the model"):
        trt.deserialize(real_module(), b"no engine at all")


# -- on the stand-ins


def frames_of(n: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(n + side).integers(0, 256, (n, side, side, 1), np.uint8)


@pytest.fixture
def spec(tiny_onnx: Callable[..., tuple[Path, ModelSpec]]) -> ModelSpec:
    return dataclasses.replace(tiny_onnx()[1], backend="tensorrt")


@pytest.fixture
def expected(tiny_onnx: Callable[..., tuple[Path, ModelSpec]]) -> Callable[[np.ndarray], np.ndarray]:
    def run(frames: np.ndarray) -> np.ndarray:
        with open_backend(*tiny_onnx()) as backend:
            return backend.infer(frames)

    return run


def test_one_shape_becomes_a_graph(board: Callable[[str], int], spec: ModelSpec, expected: Any) -> None:
    assert find_gpu() == ORIN
    launched = board("stub_launches")
    with open_backend(engine(), spec) as backend:
        assert backend.engine == "tensorrt 10.3.0"
        results = [(frame, backend.infer(frame)) for frame in (frames_of(1), frames_of(1) // 2, frames_of(1) // 3)]
    assert board("stub_launches") == launched + 2  # the first run comes before the capture
    for frame, found in results:  # each is the caller's own
        np.testing.assert_allclose(found, expected(frame), atol=1e-4)


def test_what_cannot_be_captured_runs_without(board: Any, driver: ctypes.CDLL, spec: ModelSpec, expected: Any) -> None:
    capturable = ctypes.c_int.in_dll(driver, "stub_capturable")
    capturable.value = 0
    try:
        with open_backend(engine(), spec) as backend:
            for frame in (frames_of(1), frames_of(1) // 2):
                np.testing.assert_allclose(backend.infer(frame), expected(frame), atol=1e-4)
    finally:
        capturable.value = 1


def test_buffers_follow_the_shape_and_a_batch_goes_in_parts(board: Any, spec: ModelSpec, expected: Any) -> None:
    with open_backend(engine((1, 32, 32, 1), (2, 128, 128, 1)), spec) as backend:
        for frame in (frames_of(1), frames_of(2), frames_of(5), frames_of(1, 128), frames_of(1)):
            np.testing.assert_allclose(backend.infer(frame), expected(frame), atol=1e-4)
        live = board("stub_live")
        backend.infer(frames_of(1) // 2)
        assert board("stub_live") == live  # memory of a shape is taken once
        with pytest.raises(
            BackendError, match=r"takes inputs of \(1, 32, 32, 1\) to \(2, 128, 128, 1\), found \(1, 256"
        ):
            backend.infer(frames_of(1, 256))
        np.testing.assert_allclose(backend.infer(frames_of(1)), expected(frames_of(1)), atol=1e-4)


def test_memory_that_runs_out_is_said(board: Any, spec: ModelSpec) -> None:
    with open_backend(engine((1, 32, 32, 1), (1, 16384, 16384, 1)), spec) as backend:
        with pytest.raises(BackendError, match="Memory ran out in tensorrt"):
            backend.infer(np.zeros((1, 9000, 9000, 1), np.uint8))
        assert backend.infer(frames_of(1)).shape == (1, 3, 32, 32)


def test_foreign_engines_are_refused(board: Any, spec: ModelSpec) -> None:
    with pytest.raises(BackendError, match=r"refused the model: .*magic tag.*edgeseg build"):
        open_backend(b"no engine", spec)
    warning = "Using an engine plan file across different models of devices is not recommended"
    with pytest.raises(BackendError, match="different models of devices"):
        open_backend(engine(warning=warning), spec)
    with pytest.raises(BackendError, match="'scores' of the engine is HALF, its spec says float32"):
        open_backend(engine(output="HALF"), spec)


def test_an_old_tensorrt_is_named(
    board: Any, driver: ctypes.CDLL, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver, "8.5.2.2"))
    with pytest.raises(BackendError, match=r"tensorrt 8\.5\.2\.2 is older than 10\.3"):
        open_backend(engine(), spec)


# -- what an engine is tied to


SETTINGS = {"capability": None, "version_compatible": False, "hardware": "none"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpu": ORIN._replace(name="Xavier")._asdict()}, "built for the GPU Xavier, here is Orin"),
        ({"gpu": ORIN._replace(capability="sm72")._asdict()}, "compute capability sm72, here is sm87"),
        ({"gpu": ORIN._replace(cuda="11.4")._asdict()}, r"a driver of CUDA 11\.4, here is 12\.6"),
        ({"version": "10.7.0"}, r"built by tensorrt 10\.7\.0, here is 10\.3\.0"),
        ({"module": "tensorrt_rtx"}, "built by tensorrt_rtx, which is not tensorrt"),
        ({"settings": SETTINGS | {"capability": "sm86"}, "gpu": None}, r"built for sm86, here is Orin \(sm87\)"),
        ({"engine": {"sha256": "0" * 64}}, "is not the engine of its record"),
        ({"version": "10.7.0", "settings": SETTINGS | {"version_compatible": True}}, None),
        ({"gpu": ORIN._replace(name="A2")._asdict(), "settings": SETTINGS | {"hardware": "ampere_plus"}}, None),
        ({}, None),
    ],
)
def test_an_engine_of_another_machine_is_refused(
    board: Any, spec: ModelSpec, tmp_path: Path, changes: dict[str, Any], words: str | None
) -> None:
    path = write(tmp_path, engine(), **changes)
    if words is None:
        with open_backend(path, spec) as backend:
            assert backend.infer(frames_of(1)).shape == (1, 3, 32, 32)
        return
    with pytest.raises(BackendError, match=words):
        open_backend(path, spec)


def test_an_engine_without_its_record_is_refused(board: Any, spec: ModelSpec, tmp_path: Path) -> None:
    path = write(tmp_path, engine())
    path.with_suffix(".json").unlink()
    with pytest.raises(BackendError, match=r"no record beside it \(trt-fp32\.json: No such file"):
        open_backend(path, spec)


def test_an_engine_built_here_is_opened_by_name(board: Any, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        source = bundle.variant("onnx-fp32").sha256
    folder = engine_folder(source, "tensorrt", "10.3.0", ORIN)
    assert folder.parts[-3:] == ("engines", source, "orin-sm87-tensorrt-10.3.0-cuda-12.6")
    write(folder, engine((1, 64, 96, 1)))
    frame = np.random.default_rng(3).integers(0, 256, (50, 60), np.uint8)
    with Segmenter.open(tiny_bundle, "trt-fp32") as built, Segmenter.open(tiny_bundle, "onnx-fp32") as float32:
        assert (built.engine, built.name) == ("tensorrt 10.3.0", "trt-fp32")
        np.testing.assert_array_equal(built(frame).mask, float32(frame).mask)
    with pytest.raises(BundleError, match="no variant 'trt-int8'"):
        Segmenter.open(tiny_bundle, "trt-int8")
    with Segmenter.open(tiny_bundle) as chosen:  # never by itself: no gate has accepted it
        assert chosen.name.startswith("onnx-")
    monkeypatch.setattr(built_engine, "find_gpu", lambda: ORIN._replace(cuda="12.8"))
    with pytest.raises(BundleError, match="no variant 'trt-fp32'"):  # of the driver before the update
        Segmenter.open(tiny_bundle, "trt-fp32")


# -- selection and doctor


def test_an_engine_is_never_chosen_without_its_gpu_or_module(
    tiny_bundle: Path, driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        manifest = bundle.manifest
    first, *others = manifest.variants
    spec = dataclasses.replace(first.spec, backend="tensorrt")
    proven = EngineRecord.from_json(record(first.sha256, evidence="device"), "record")
    fast = dataclasses.replace(first, spec=spec, engine=proven)
    manifest = dataclasses.replace(manifest, variants=(fast, *others))
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver))
    monkeypatch.setattr(gpu, "LIBRARY", "libno-such-driver.so")
    find_gpu.cache_clear()
    assert fast not in rank(manifest) and unfit_reason(fast) == "no NVIDIA GPU with its driver is here"
    row = doctor()["backends"]["tensorrt"]
    assert not row["usable"] and row["reason"] == unfit_reason(fast) and row["remedy"] is None
    board = request.getfixturevalue("board")
    assert board and unfit_reason(fast) is None and rank(manifest)[0] is fast, "nothing else is made for this GPU"
    monkeypatch.setattr(built_engine, "find_gpu", lambda: ORIN._replace(cuda="12.8"))
    assert fast not in rank(manifest) and unfit_reason(fast) == "it was built for a driver of CUDA 12.6, here is 12.8"
    monkeypatch.setattr(built_engine, "find_gpu", find_gpu)
    refused = dataclasses.replace(fast, measured=({"target": target_name("tensorrt"), "status": "refused"},))
    assert rank(dataclasses.replace(manifest, variants=(refused, *others)))[-1] is refused
    monkeypatch.delitem(sys.modules, "tensorrt")
    if find_spec("tensorrt") is None:
        reason = str(unfit_reason(fast))
        assert fast not in rank(manifest) and "needs an NVIDIA GPU" in reason and "python3-libnvinfer" in reason
