"""The C++ file: compiled and run here, its masks and decisions are the runtime's, its refusals say what to do."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from edgeseg.export.cpp.contract import CODE, CONTRACT
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.export.unpack import unpack
from edgeseg.pipeline import cli
from edgeseg.runtime.decision import decide
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.frame.regions import find_regions
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import Decision, Geometry, ModelSpec

from ...runtime.conftest import tiny_spec, write_tiny_onnx

_COMPILER = shutil.which("g++") or shutil.which("clang++")
_LIBRARY = next(iter(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*")), None)
_FLAGS = ("-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror")

compiled = pytest.mark.skipif(
    _COMPILER is None or _LIBRARY is None,
    reason="no C++ compiler (apt install g++)" if _COMPILER is None else "this onnxruntime wheel has no libonnxruntime",
)


def smooth(shape: tuple[int, ...], seed: int, depth: Any = np.uint8) -> np.ndarray:
    """A frame whose classes have wide regions and long borders."""
    rng = np.random.default_rng(seed)
    large = cv2.resize(rng.random((6, 7, *shape[2:]), np.float32), shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return (np.clip(large, 0, 1) * np.iinfo(depth).max).astype(depth).reshape(shape)


def grainy(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A smooth frame with noise, of which `linear` takes single pixels where others take a mean."""
    noise = np.random.default_rng(seed).integers(-60, 60, shape)
    return (smooth(shape, seed).astype(int) + noise).clip(0, 255).astype(np.uint8)


def packed(folder: Path, spec: ModelSpec, frames: list[np.ndarray]) -> Path:
    model = write_tiny_onnx(folder / "tiny.onnx", spec)
    info = BundleInfo("tiny", "1", "tests", spec.input)
    pack(folder / "tiny.edgeseg", info, [VariantSource("onnx-fp32", model, spec)], frames)
    return folder / "tiny.edgeseg"


def windowed(spec: ModelSpec, lo: int, hi: int) -> ModelSpec:
    return dataclasses.replace(spec, input=dataclasses.replace(spec.input, window=(lo, hi)))


_U8 = {"dtype": "uint8", "scale": 0.1, "zero_point": 100, "precision": "int8"}
_I8 = {"dtype": "int8", "scale": 0.1, "zero_point": -28, "precision": "int8"}
CASES: dict[str, tuple[ModelSpec, list[np.ndarray]]] = {
    # Sides of no multiple: padding, and scores that become pixels in two steps.
    "native": (tiny_spec(), [smooth((30, 41), 0), smooth((33, 64, 3), 1), smooth((3, 50), 2)]),
    "linear": (tiny_spec(geometry=Geometry("resize", 64, 96), **_U8), [smooth((50, 61), 3), smooth((128, 192), 4)]),
    "area": (
        tiny_spec(geometry=Geometry("resize", 48, 56, interpolation="area"), color="rgb", layout="NHWC", **_I8),
        [smooth((130, 150, 3), 5), smooth((96, 112), 6)],
    ),
    "halving": (  # both sides, one side, odd sides, and what linear then does of the rest
        tiny_spec(geometry=Geometry("resize", 48, 56, interpolation="halving"), color="rgb"),
        [grainy((413, 250, 3), 9), grainy((96, 300), 10), grainy((192, 224, 3), 11), grainy((40, 500), 12)],
    ),
    "window": (
        windowed(tiny_spec(activation="sigmoid", decision=Decision(0.7, "val", "recall", 40)), 1000, 50000),
        [smooth((40, 44), 7, np.uint16), np.zeros((20, 20), np.uint16)],
    ),
    "int8 input": (tiny_spec(input_dtype="int8", activation="sigmoid", **_U8), [smooth((41, 40), 8)]),
}


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_its_masks_and_decisions_are_the_runtime_s(case: str, tmp_path: Path) -> None:
    spec, frames = CASES[case]
    out = tmp_path / "out"
    with Bundle.open(packed(tmp_path, spec, frames)) as bundle:
        unpack(bundle, out, "onnx-fp32", with_code=True)
    done = subprocess.run(
        [str(_COMPILER), *_FLAGS, CODE, "-o", "segment", "-ldl"], cwd=out, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    contract = json.loads((out / CONTRACT).read_text())
    assert len(contract["golden"]) == len(frames)
    seen = set[int]()
    for golden in contract["golden"]:
        ran = segment(out, golden["frame"])
        assert ran.returncode == 0, ran.stderr
        found, expected = (cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED) for name in ("mask.pgm", golden["mask"]))
        assert found.shape == expected.shape
        seen |= set(np.unique(expected))
        assert np.mean(found != expected) <= golden["max_differing_share"] / 5, case
        verdict = decide(find_regions(found), spec.decision)
        reasons = [{"class_id": one.class_id, "area_px": one.area_px} for one in verdict.reasons]
        printed = json.loads(ran.stdout)
        assert printed["decision"] == verdict.decision
        assert sorted(map(str, printed["reasons"])) == sorted(map(str, reasons))
    assert seen == set(range(len(spec.classes))), "the frames show every class"
    refused = segment(out, CONTRACT)
    assert refused.returncode == 1 and refused.stderr.startswith("error: contract.json: expected a binary PGM")
    absent = segment(out, "absent.pgm")
    assert absent.returncode == 1 and "absent.pgm: cannot be read" in absent.stderr
    highest = 255 if spec.input.window is None else 65535
    (out / "claims.pgm").write_bytes(b"P5 65536 65536 %d\n" % highest + bytes(99))
    cut = segment(out, "claims.pgm", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32)))
    assert cut.returncode == 1 and "claims.pgm: ends before its last pixel" in cut.stderr


@compiled
@pytest.mark.slow
def test_nan_and_infinity_are_no_good_part(tmp_path: Path) -> None:
    spec, frames = CASES["native"]
    out = tmp_path / "out"
    with Bundle.open(packed(tmp_path, spec, frames)) as bundle:
        unpack(bundle, out, "onnx-fp32", with_code=True)
    subprocess.run([str(_COMPILER), *_FLAGS, CODE, "-o", "segment", "-ldl"], cwd=out, check=True)
    model = onnx.load(out / "model.onnx")
    (bias,) = [one for one in model.graph.initializer if one.name == "b"]
    for value in (np.nan, np.inf, -np.inf):
        bias.CopyFrom(numpy_helper.from_array(np.array([0, 0, value], np.float32), "b"))
        onnx.save(model, out / "model.onnx")
        ran = segment(out, "golden/000.pgm")
        assert (ran.returncode, ran.stdout) == (1, "") and not (out / "mask.pgm").exists()
        assert ran.stderr.startswith("error: the model returned NaN or infinity") and "nothing is known" in ran.stderr


def segment(folder: Path, frame: str, **options: Any) -> subprocess.CompletedProcess[str]:
    words = ["./segment", str(_LIBRARY), "model.onnx", frame, "mask.pgm"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, **options)


def test_the_contract_names_what_it_is_of(tmp_path: Path) -> None:
    spec, frames = CASES["native"]
    out = tmp_path / "out"
    with Bundle.open(packed(tmp_path, spec, frames)) as bundle:
        files = unpack(bundle, out, "onnx-fp32", with_code=True)
        bundle_id = bundle.manifest.bundle_id
    assert sorted(files) == sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    contract = json.loads((out / CONTRACT).read_text())
    assert contract["sha256"] == sha256_file(out / "model.onnx") and contract["bundle_id"] == bundle_id
    assert ModelSpec.from_json(contract["spec"]) == spec
    code = (out / CODE).read_text()
    assert contract["sha256"] in code and "@CONTRACT@" not in code


def test_a_class_name_cannot_leave_its_comment(tmp_path: Path) -> None:
    spec = dataclasses.replace(tiny_spec(), classes=("a", "b\\", "c\nint main() {}"))
    with Bundle.open(packed(tmp_path, spec, [smooth((20, 20), 0)])) as bundle:
        unpack(bundle, tmp_path / "out", "onnx-fp32", with_code=True)
    lines = [line for line in (tmp_path / "out" / CODE).read_text().splitlines() if "kPlanes =" in line]
    assert lines == ["constexpr int kPlanes = 3;  // a, b?, c?int main() {}"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"geometry": Geometry("tile", tile_px=32, overlap_px=8)}, "tiles"),
        ({"geometry": Geometry("resize", 32, 32, interpolation="nearest")}, "nearest neighbours"),
        ({"backend": "openvino"}, "Variants for that here: none"),
    ],
)
def test_what_it_cannot_run_is_refused_and_nothing_written(changes: dict, words: str, tmp_path: Path) -> None:
    path = packed(tmp_path, tiny_spec(**changes), [smooth((40, 40), 0)])
    with Bundle.open(path) as bundle, pytest.raises(ExportError, match=words):
        unpack(bundle, tmp_path / "out", "onnx-fp32", with_code=True)
    assert not (tmp_path / "out").exists()


def test_the_command_needs_a_variant(tmp_path: Path) -> None:
    bundle = packed(tmp_path, *CASES["native"])
    words = ["unpack", str(bundle), "--out", str(tmp_path / "out"), "--with-code"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 2 and "--variant" in done.stderr
    done = CliRunner().invoke(cli.app, [*words, "--variant", "onnx-fp32", "--json"])
    assert done.exit_code == 0 and CODE in json.loads(done.stdout)["files"]
