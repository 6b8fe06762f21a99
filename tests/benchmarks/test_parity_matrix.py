"""The parity matrix: exact shares of a run's kept masks, targets by precision, reasons; a bundle is run here."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.png import encode_mask
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

from ..runtime.conftest import tiny_bundle, tiny_onnx  # noqa: F401  fixtures
from ..runtime.data_folders import write_folder

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "files"
SIDE = 100  # [px]; two images, so that 2 pixels are 0.01 %


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch", reason="it reads a run")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("parity_matrix")


def put(root: Path, step: str, precision: str, flipped: int, *, status: str = "ok", reason: str | None = None) -> None:
    """A variant that differs from zeros in so many pixels of its second image, from the last one on."""
    record = {"status": status, "reason": reason, "bytes": 2000, "parity": None, "read_back": None}
    (root / "steps" / step).mkdir(parents=True)
    done = json.dumps({"wall_s": 1.5, "result": record | {"precision": precision}})
    (root / "steps" / step / "done.json").write_text(done)
    if status != "ok":
        return
    folder = root / "steps" / f"test_{step}" / "files" / "masks"
    folder.mkdir(parents=True)
    for stem, n in (("a", 0), ("b", flipped)):
        mask = np.zeros(SIDE * SIDE, np.uint8)
        mask[mask.size - n :] = 1
        (folder / f"{stem}.png").write_bytes(encode_mask(mask.reshape(SIDE, SIDE)))


def test_shares_are_exact_and_a_share_at_its_target_holds(script: ModuleType, tmp_path: Path) -> None:
    put(tmp_path, "onnx_fp32", "fp32", 0)
    put(tmp_path, "onnx_fp16", "fp16", 20)
    put(tmp_path, "tflite_fp32", "fp32", 3)
    put(tmp_path, "tflite_int8", "int8", 201)
    found = script.matrix_of(script.entries_of_run(tmp_path, "test"), "test")
    rows = {row["name"]: row for row in found["variants"]}
    assert list(rows) == ["onnx-fp32", "onnx-fp16", "tflite-fp32", "tflite-int8"]
    assert rows["onnx-fp16"]["agreement"] == [1 - 20 / 2e4, 1.0, 1 - 17 / 2e4, 1 - 181 / 2e4]
    assert [row["agreement"][0] for row in found["variants"]] == rows["onnx-fp32"]["agreement"], "as rows, as columns"
    # 99.9 % of FP16 is just held; 99.985 % of FP32 and 98.995 % of INT8 are not.
    assert [row["holds"] for row in found["variants"]] == [True, True, False, False]
    text = "\n".join(script.markdown(found))
    assert "| `tflite-int8` | **98.9950** |" in text and "| `onnx-fp16` | 99.9000 |" in text
    assert "`tflite-fp32` is below its target: 99.9850 % of onnx-fp32's pixels, 99.99 % are asked" in text
    assert script.percent(1 - 1e-9) == "99.9999", "never rounded up to all"


def test_pixels_to_be_ignored_do_not_count(script: ModuleType, tmp_path: Path) -> None:
    for step, value in (("onnx_fp32", 0), ("tflite_fp32", 1)):
        put(tmp_path, step, "fp32", 0)
        mask = np.full((2, 4), IGNORED, np.uint8)
        mask[0, 0], mask[0, 1] = 0, value
        for stem in "ab":
            (tmp_path / "steps" / f"test_{step}" / "files" / "masks" / f"{stem}.png").write_bytes(encode_mask(mask))
    found = script.matrix_of(script.entries_of_run(tmp_path, "test"), "test")
    assert found["variants"][0]["agreement"] == [1.0, 0.5]


def test_a_reason_that_the_run_has_is_told(script: ModuleType, tmp_path: Path) -> None:
    put(tmp_path, "onnx_fp32", "fp32", 0)
    put(tmp_path, "onnx_int8", "int8", 4000)
    put(tmp_path, "tflite_fp32", "fp32", 0, status="failed", reason="no converter is installed")
    row = {"name": "onnx_int8", "reason": "val Dice is 9.00 points below its parent", "engine": "onnxruntime 1.2.3"}
    (tmp_path / "report.json").write_text(json.dumps({"steps": [row]}))
    (tmp_path / "int8_doctor.json").write_text(json.dumps({"verdict": {"sentence": "Keep 2 layers in float"}}))
    text = "\n".join(script.markdown(script.matrix_of(script.entries_of_run(tmp_path, "test"), "test")))
    asked = "`onnx-int8-x86` is below its target: 80.0000 % of onnx-fp32's pixels, 99 % are asked: "
    assert f"{asked}val Dice is 9.00 points below its parent; doctor int8: Keep 2 layers in float." in text
    assert "`tflite-fp32` is not in it: no converter is installed." in text
    assert "| `onnx-int8-x86` | onnxruntime 1.2.3 | int8 | 99 | – | 2 | 1.5 | – |" in text


def test_what_cannot_be_compared_is_refused(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no exported variant"):
        script.entries_of_run(tmp_path, "test")
    put(tmp_path, "onnx_int8", "int8", 1)
    with pytest.raises(ConfigError, match="no FP32 file has masks on test"):
        script.matrix_of(script.entries_of_run(tmp_path, "test"), "test")
    put(tmp_path, "onnx_fp32", "fp32", 1)
    (tmp_path / "steps" / "test_onnx_int8" / "files" / "masks" / "a.png").unlink()
    with pytest.raises(ConfigError, match="onnx-int8-x86 has masks of 1 images of test, onnx-fp32 of 2"):
        script.matrix_of(script.entries_of_run(tmp_path, "test"), "test")


def test_a_bundle_is_run_over_the_data_here(
    script: ModuleType,
    tiny_bundle: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_folder(tmp_path / "data")
    assert len(open_dataset(data).split("test")) == 2
    arguments = [str(tiny_bundle), "--data", str(data), "--json", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", ["parity_matrix.py", *arguments])
    assert script.main() == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["images"] == 2 and found["variants"][0]["agreement"][0] == 1.0
    assert f"| `{found['reference']}` | 100.0000 |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["parity_matrix.py", str(tiny_bundle)])
    assert script.main() == 2 and "say --data DIR as well" in capsys.readouterr().err


def test_what_a_run_has_not_scored_is_run_over_the_data_here(
    script: ModuleType,
    tiny_onnx: Callable[..., tuple[Path, ModelSpec]],  # noqa: F811
    tmp_path: Path,
) -> None:
    geometry = Geometry("resize", height_px=64, width_px=96)
    model, spec = tiny_onnx(geometry=geometry)
    root, data = tmp_path / "run", open_dataset(write_folder(tmp_path / "data"))
    for step in ("onnx_fp32", "onnx_fp16"):
        put(root, step, step[-4:], 0)
        shutil.rmtree(root / "steps" / f"test_{step}")
        files = root / "steps" / step / "files"
        files.mkdir()
        shutil.copy(model, files / "model.onnx")
        (files / "spec.json").write_text(json.dumps(spec.to_json()))
    put(root, "tflite_fp32", "fp32", 0, status="failed", reason="no converter is installed")
    assert {one.reason for one in script.entries_of_run(root, "test")[:2]} == {"the run holds no masks of it on test"}
    entries = script.entries_of_run(root, "test", script.Here(data, "test", tmp_path / "work"))
    found = script.matrix_of(entries, "test")
    assert [row["agreement"] for row in found["variants"]] == [[1.0, 1.0], [1.0, 1.0], None] and found["images"] == 2
    assert [row["reason"] for row in found["variants"]] == [None, None, "no converter is installed"]
