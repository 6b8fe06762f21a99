"""From a bundle to a folder with an engine and its record, or with what a board builds it from."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepare import prepare
from edgeseg.export.formats import Origin, write_quantised
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.export.trt import modules
from edgeseg.export.trt.build import BuildOrder, build_engine
from edgeseg.export.trt.cache import CACHE, CACHE_SOURCE, CalibrationCache, read_trt_cache
from edgeseg.export.trt.classic import for_tensorrt_8
from edgeseg.export.trt.compile import CompileConfig
from edgeseg.export.trt.profile import profile_for
from edgeseg.runtime import engines
from edgeseg.runtime.errors import BackendError, BundleError, ConfigError, EdgesegError, ExportError
from edgeseg.runtime.spec.manifest import Geometry
from edgeseg.runtime.trt.gpu import find_gpu

from ..conftest import classes_of, frames, lived_in, planned, quiet_options, spec_of
from .api import needs_rtx

SM86 = CompileConfig("sm86")


def answer(content: bytes, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, quiet_options(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@needs_rtx
@pytest.mark.parametrize(("variant", "source"), [("trt-fp32", "onnx-fp32"), ("trt-int8", "onnx-int8")])
def test_an_engine_and_what_is_known_of_it(bundle, trt_files, tmp_path, variant, source) -> None:
    out = tmp_path / "engines"
    record, _ = build_engine(bundle, BuildOrder(variant, out, config=SM86))
    assert sorted(path.name for path in out.iterdir()) == [f"{variant}.sm86.engine", f"{variant}.sm86.json"]
    assert json.loads((out / f"{variant}.sm86.json").read_text()) == record
    engine = (out / f"{variant}.sm86.engine").read_bytes()
    assert record["engine"]["sha256"] == hashlib.sha256(engine).hexdigest() and record["engine"]["bytes"] == len(engine)
    content = trt_files("student").content(variant.removeprefix("trt-").replace("int8", "s8"))
    digest = hashlib.sha256(content).hexdigest()
    assert record["source"] == {"variant": source, "sha256": digest, "is_the_bundles": True}
    assert record["evidence"] == "built" and record["layers"] > 40 and record["seconds"] > 0
    assert record["profile"] == {key: [1, 64, 64, 1] for key in ("min", "opt", "max")}, "that of the golden frames"
    assert record["settings"]["capability"] == "sm86" and record["version"].startswith("1.")
    if find_gpu() is None:
        assert record["gpu"] is None and record["realised"]["layers"] is None and "GPU" in record["realised"]["reason"]


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        (
            {"variant": "trt-fp16"},
            ConfigError,
            "trt-fp16 is built from the variant onnx-fp16, which .* it has onnx-fp32, ",
        ),
        ({"variant": "trt-bf16"}, ConfigError, "--variant trt-bf16 is none of trt-int8, trt-fp16, trt-fp32"),
        ({"trtexec": "7.1"}, ConfigError, r"--trtexec 7.1 is none of 8.2, 8.5"),
        ({"variant": "trt-fp32", "calibration": Path("c")}, ConfigError, "--calibration is for trt-int8, not for"),
        ({"calibration": Path("none/c.cache")}, ExportError, r"none/c.cache is for the file fp32.onnx beside it"),
        ({"sizes": ((64, 65),)}, ConfigError, "--size 64x65 is off the network's stride of 8 px; 64x72 would fit"),
        ({"sizes": ((64, 64), (32, 32))}, ConfigError, "--size 64x64,32x32 are 2 sizes; give one, or three"),
        ({"sizes": ((64, 64), (32, 64), (96, 96))}, ConfigError, "out of order: give smallest, usual and largest"),
        (
            {"out": None, "config": SM86},
            ConfigError,
            "--out DIR is needed: .*own GPU, and (no NVIDIA GPU|this one is for)",
        ),
        ({"trtexec": "8.5", "config": SM86}, ConfigError, r"TensorRT 8.5 has no --capability. Leave it out"),
    ],
)
def test_what_cannot_be_built_is_said_before_anything_is_written(bundle, tmp_path, order, error, message) -> None:
    with pytest.raises(error, match=message):
        build_engine(bundle, BuildOrder(**({"variant": "trt-int8", "out": tmp_path / "out"} | order)))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@needs_rtx
def test_a_calibration_cache_is_not_for_a_builder_without_calibrators(bundle, trt_files, tmp_path) -> None:
    cache = trt_files("student").s8.with_name(CACHE)
    with pytest.raises(ConfigError, match=r"has no calibrators. Leave out --calibration: the Q/DQ file is for it"):
        build_engine(bundle, BuildOrder("trt-int8", tmp_path / "out", calibration=cache, config=SM86))


def test_hardware_levels_are_not_for_a_named_capability() -> None:
    with pytest.raises(ConfigError, match="--hardware has no effect on an engine for --capability sm75"):
        CompileConfig("sm75", hardware="ampere_plus")


def test_a_missing_bundle_or_folder_is_named(bundle, tmp_path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        build_engine(tmp_path / "none.edgeseg", BuildOrder("trt-fp32", tmp_path / "out"))
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgesegError, match=r"Cannot make the folder .*file/out .*choose another --out"):
        build_engine(bundle, BuildOrder("trt-fp32", tmp_path / "file" / "out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(bundle, tmp_path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(EdgesegError, match=r"No permission to write into .*closed"):
        build_engine(bundle, BuildOrder("trt-fp32", tmp_path / "closed"))


def test_a_file_of_somebody_else_is_kept(bundle, tmp_path) -> None:
    (tmp_path / "trt-fp32.engine").write_text("theirs")
    with pytest.raises(ConfigError, match=r"trt-fp32.engine was not written by edgeseg and would be replaced"):
        build_engine(bundle, BuildOrder("trt-fp32", tmp_path))
    assert (tmp_path / "trt-fp32.engine").read_text() == "theirs"


def test_without_tensorrt_the_command_that_adds_it_is_said(bundle, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"No TensorRT is installed. .*pip install 'edgeseg\[trt-rtx\]'.*Jetson"):
        build_engine(bundle, BuildOrder("trt-fp32", tmp_path, config=SM86))


def test_an_older_module_is_sent_to_trtexec(tmp_path, monkeypatch) -> None:
    (tmp_path / "tensorrt.py").write_text("__version__ = '8.5.2.2'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(
        BackendError, match=r"tensorrt 8.5.2.2 is older than 10.3, .*pass --trtexec 8.2 or --trtexec 8.5"
    ):
        modules.find_tensorrt(for_capability=False)
    sys.modules.pop("tensorrt", None)


# -- TensorRT 8, by trtexec on the board


def test_the_command_for_jetpack_5(bundle, tmp_path) -> None:
    record, _ = build_engine(bundle, BuildOrder("trt-int8", tmp_path, ((64, 64), (64, 96), (128, 128)), trtexec="8.5"))
    assert record["trtexec"]["command"] == [
        "trtexec",
        "--onnx=trt-int8.onnx",
        "--saveEngine=trt-int8.engine",
        "--minShapes=image:1x64x64x1",
        "--optShapes=image:1x64x96x1",
        "--maxShapes=image:1x128x128x1",
        "--noTF32",
        "--int8",
        "--timingCacheFile=trt-int8.timing",
        "--profilingVerbosity=detailed",
        "--exportLayerInfo=trt-int8.layers.json",
    ]
    assert record["evidence"] is None and "was not run" in record["evidence_reason"]
    assert (tmp_path / "trt-int8.onnx").exists() and not (tmp_path / "trt-int8.engine").exists()


def test_the_command_for_jetpack_4_with_a_calibration_cache(bundle, trt_files, tmp_path) -> None:
    cache = trt_files("student").s8.with_name(CACHE)
    config = CompileConfig(workspace_mib=512, dla_core=0)
    order = BuildOrder("trt-int8", tmp_path, calibration=cache, trtexec="8.2", config=config)
    record, _ = build_engine(bundle, order)
    words = record["trtexec"]["command"]
    assert {"--int8", "--calib=trt-int8.calibration", "--workspace=512", "--useDLACore=0", "--allowGPUFallback"} <= set(
        words
    )
    written = read_trt_cache(tmp_path / "trt-int8.calibration")
    assert written == replace(read_trt_cache(cache), tensorrt=(8, 2, 1)), "another version's is ignored without a word"
    assert record["source"]["variant"] == "onnx-fp32" and record["source"]["is_the_bundles"]
    graph = onnx.load(tmp_path / "trt-int8.onnx").graph
    assert set(written.scales) - {"_to_copy"} <= {"image", *(node.output[0] for node in graph.node)}
    assert "QuantizeLinear" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize("prepared", ["equalized", "corrected", "equalized+corrected"])
def test_a_calibration_cache_of_a_prepared_network(bundle, student, tmp_path, prepared) -> None:
    """What was equalized or corrected for INT8 is still the bundle's network, in a file of other numbers."""
    changed = prepare(fold_batch_norm(student), [np.stack(frames(8, seed=1))], "mse", prepared).network
    export_onnx(changed, tmp_path / CACHE_SOURCE, spec_of(student), classes_of(student), dynamic=True)
    (tmp_path / CACHE).write_text(CalibrationCache({"image": 1.0}).to_text())
    order = BuildOrder("trt-int8", tmp_path / "out", calibration=tmp_path / CACHE, trtexec="8.5")
    assert not build_engine(bundle, order).record["source"]["is_the_bundles"]


def test_a_calibration_cache_of_a_network_trained_for_int8(bundle, student, trt_files, tmp_path) -> None:
    """Its kernels are in the bundle's INT8 file alone: the float file is of the network before."""
    trained, files = lived_in(copy.deepcopy(student), seed=1), trt_files("student")
    spec = export_onnx(trained, tmp_path / CACHE_SOURCE, spec_of(student), classes_of(student), dynamic=True)
    origin = Origin(trained, planned(trained), tmp_path / CACHE_SOURCE, spec)
    int8_spec, _ = write_quantised("onnx-s8", origin, tmp_path / "s8.onnx")
    sources = [
        VariantSource("onnx-fp32", files.origin.fp32, files.origin.fp32_spec),
        VariantSource("onnx-int8", tmp_path / "s8.onnx", int8_spec),
    ]
    images = [one[:, :, 0] for one in frames(2)]
    pack(tmp_path / "qat.edgeseg", BundleInfo("qat", "1", "a test", spec.input), sources, images)
    order = BuildOrder("trt-int8", tmp_path / "out", calibration=tmp_path / CACHE, trtexec="8.5")
    assert not build_engine(tmp_path / "qat.edgeseg", order).record["source"]["is_the_bundles"]
    with pytest.raises(ExportError, match="is another network"):
        build_engine(bundle, order)


def test_a_calibration_cache_of_another_run_is_refused(bundle, student, trt_files, tmp_path) -> None:
    """Its engine would be found as the bundle's own."""
    (tmp_path / CACHE).write_text(trt_files("student").s8.with_name(CACHE).read_text())
    order = BuildOrder("trt-int8", tmp_path / "out", calibration=tmp_path / CACHE, trtexec="8.5")
    other = lived_in(copy.deepcopy(student), seed=1)
    export_onnx(other, tmp_path / CACHE_SOURCE, spec_of(student), classes_of(student), dynamic=True)
    with pytest.raises(ExportError, match=r"fp32.onnx is another network than that of .*small.edgeseg: its kernels"):
        build_engine(bundle, order)
    (tmp_path / CACHE_SOURCE).write_bytes(trt_files("student_rgb").content("fp32"))
    with pytest.raises(ExportError, match="is another network"):
        build_engine(bundle, order)
    (tmp_path / CACHE_SOURCE).write_bytes(b"no file")
    with pytest.raises(ExportError, match=r"fp32.onnx is no valid ONNX file"):
        build_engine(bundle, order)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["fp32", "fp16", "s8"])
def test_the_file_for_tensorrt_8_answers_the_same(trt_files, kind) -> None:
    content = trt_files("student").content(kind)
    older = for_tensorrt_8(content)
    model = onnx.load_from_string(older)
    assert model.opset_import[0].version == 17 and model.graph.input[0].type.tensor_type.elem_type == 1
    for image in frames(2):
        found = answer(older, image[None].astype(np.float32))
        np.testing.assert_array_equal(found, answer(content, image[None]))


def test_a_file_that_does_not_cast_first_is_not_made_over(trt_files) -> None:
    with pytest.raises(ExportError, match="begins with Reshape, not with a cast of its pixels"):
        for_tensorrt_8(trt_files("student").origin.int8.read_bytes())
    with pytest.raises(ExportError, match="cannot be written for TensorRT 8"):
        for_tensorrt_8(b"no file")


# -- sizes


def test_sizes_follow_from_the_geometry(trt_files) -> None:
    spec = trt_files("student").s8_spec

    def shapes(geometry: Geometry, sizes=(), seen=()) -> list[tuple[int, int]]:
        changed = replace(spec, input=replace(spec.input, geometry=geometry))
        return [shape[1:3] for shape in profile_for(changed, sizes, seen)]

    assert shapes(Geometry("resize", 60, 100)) == [(64, 104)] * 3, "padded as the runtime pads"
    assert shapes(Geometry("tile", tile_px=64, overlap_px=16)) == [(64, 64)] * 3
    assert shapes(Geometry("native"), seen=[(60, 100), (30, 130)]) == [(32, 104), (64, 104), (64, 136)]
    assert shapes(Geometry("native"), ((32, 32), (64, 64), (96, 96))) == [(32, 32), (64, 64), (96, 96)]
    assert shapes(Geometry("resize", 64, 64), ((32, 32), (64, 64), (96, 96))) == [(32, 32), (64, 64), (96, 96)]
    with pytest.raises(ConfigError, match="could not take the 64x104 px that the bundle's geometry makes"):
        shapes(Geometry("resize", 60, 100), ((64, 64),))
    with pytest.raises(ConfigError, match="takes frames of any size; say which with --size"):
        shapes(Geometry("native"))
    fixed = replace(spec, dynamic=False)
    with pytest.raises(ConfigError, match="the variant's file has one size, 64x64"):
        profile_for(fixed, ((32, 32), (64, 64), (96, 96)), [])
