"""What an export costs: a real one in a fresh process, whose file is the run's own or is said not to be."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgeseg.runtime.errors import ConfigError, EdgesegError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "files" / "export_cost.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch", reason="the script exports")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("export_cost")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="the script exports")
    from ..pipeline.int8_cases import torch_infer, unet, write_data, write_run

    folder, net = tmp_path_factory.mktemp("cost"), unet("outlier")
    root = write_run(folder / "toy", write_data(folder / "data", torch_infer(net)), net)
    (root / "report.json").write_text(json.dumps({"recipe": {"settings": {"quantize": {"float_paths": []}}}}))
    files = root / "steps" / "onnx_s8" / "files"
    files.mkdir(parents=True)
    (files / "model.onnx").write_bytes(b"another file")
    (files.parent / "done.json").write_text(json.dumps({"result": {}}))
    return root


@pytest.mark.slow
def test_each_variant_is_written_in_a_process_of_its_own(script: ModuleType, run: Path) -> None:
    before = sorted(run.rglob("*"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(run), "--processes", "1", "--json", str(run.parent / "cost.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(run.rglob("*")) == before, "the run's folder is only read"
    found = json.loads((run.parent / "cost.json").read_text())["variants"]
    assert list(found) == ["onnx-fp32", "onnx-int8"]
    ((whole,), (s8,)) = found.values()
    assert whole["same_as_run"] and whole["bytes"] == (run / "steps/onnx_fp32/files/model.onnx").stat().st_size
    assert not s8["same_as_run"] and "`onnx-int8` (not the run's bytes)" in done.stdout
    for one in (whole, s8):
        assert one["cpu_s"] > 0 and one["wall_s"] > 0
        if sys.platform == "linux":
            assert one["peak_mib"] >= one["loaded_mib"] > 50, "torch alone is more than that"


def test_what_is_no_run_and_what_fails_is_said(script: ModuleType, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no exported variant"):
        script.variants_of(tmp_path)
    whole = script.variants_of(run)[0]
    with pytest.raises(EdgesegError, match=r"writing onnx-fp32 failed: error: .* holds no exported variant"):
        script.in_fresh_process(tmp_path, whole)


def test_the_table_has_medians_and_a_dash_for_what_is_not_known(script: ModuleType) -> None:
    exports = [script.Export(cpu, 2 * cpu, 100.0, peak, 5000, True) for cpu, peak in ((1, 300), (9, 310), (2, 290))]
    row = script.row_of("onnx-fp32", exports)
    assert row == "| `onnx-fp32` | 2.0 (1.0 to 9.0) | 4.0 | 300 | 100 | 5 |"
    row = script.row_of("onnx-fp32", [script.Export(1, 1, None, None, 5000, True)])
    assert row == "| `onnx-fp32` | 1.0 (1.0 to 1.0) | 1.0 | – | – | 5 |"
