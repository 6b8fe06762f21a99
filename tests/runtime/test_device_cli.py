"""The device's commands in a process of their own: JSON on stdout, the documented exit codes, messages on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.runtime import entry
from edgeseg.runtime.__main__ import main
from edgeseg.runtime.device import commands

from .opening.test_bundle import contents, renamed, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set without dataset.yaml, whose truth is what the tiny model sees."""
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    lines = ["stem,split,kind"]
    for index in range(4):
        mask = np.random.default_rng(index).integers(0, 3, (2, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
        stem = f"part{index}"
        cv2.imwrite(str(root / "images" / f"{stem}.png"), mask * 100 + 20)
        cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
        lines.append(f"{stem},test,{'odd' if index % 2 else 'even'}")
    (root / "meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any, str]:
    """Run a command in this process; give the exit code, the JSON or None, and stderr."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_as_a_module(tiny_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeseg.runtime", "verify", str(tiny_bundle), "--allow-unsigned"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]


@pytest.mark.parametrize("command", [[], ["verify"], ["predict"], ["evaluate"], ["doctor"]])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["veryfy"],
        ["verify"],
        ["predict", "b", "--out", "x"],
        ["predict", "b", "i"],
        ["verify", "b", "--threads", "0"],
        *(["evaluate", "b", "--data", "d", "--min-dice", dice] for dice in ("60", "-0.1", "nan")),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("shape", ["OUT --overlay INPUT", "--overlay INPUT OUT", "INPUT OUT --overlay", "OUT -- INPUT"])
def test_options_may_stand_before_the_inputs(
    tiny_bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    image = next((data / "images").iterdir())
    words = {"INPUT": [image], "OUT": ["--out", tmp_path / "masks"]}
    arguments = [part for word in shape.split() for part in words.get(word, [word])]
    code, report, _ = run(capsys, "predict", tiny_bundle, *arguments)
    assert code == 0 and report["counts"]["ok"] == 1


def test_verify_codes(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, err = run(capsys, "verify", tiny_bundle)
    assert code == 3 and not report["ok"] and "signature: NOT CHECKED: it is not signed" in err
    code, report, err = run(capsys, "verify", tiny_bundle, "--allow-unsigned")
    assert code == 0 and report["ok"] and "signature: NOT CHECKED: it is not signed" in err
    entries = contents(tiny_bundle)
    changed = entries | {"variants/onnx-fp32.onnx": b"x"}
    code, report, _ = run(capsys, "verify", write(tmp_path / "damaged.edgeseg", changed), "--allow-unsigned")
    assert code == 1
    assert report["damaged"]
    changed = renamed(entries | {"golden/000.onnx-fp32.png": entries["golden/001.onnx-fp32.png"]})
    assert run(capsys, "verify", write(tmp_path / "other.edgeseg", changed), "--allow-unsigned")[0] == 3
    code, report, err = run(capsys, "verify", tmp_path / "gone.edgeseg")
    assert (code, report) == (1, None)
    assert err.startswith("error: ")
    assert "no such file" in err


def test_predict_writes_masks_and_reports_regions(
    tiny_bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((data / "images").iterdir())
    out = tmp_path / "masks"
    code, report, _ = run(capsys, "predict", tiny_bundle, *images, "--out", out, "--decision")
    assert code == 0
    for image, row in zip(images, report["images"], strict=True):
        found = cv2.imread(str(out / image.name), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(data / "masks" / image.name), cv2.IMREAD_UNCHANGED)
        assert (found != truth).mean() < 0.05
        assert row["status"] == "ok"
        assert row["decision"] in ("good", "reject")
        assert row["timings_ms"]["total"] > 0


def test_predict_goes_on_after_an_image_it_cannot_read(
    tiny_bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.png").touch()
    good = data / "images" / "part0.png"
    out = tmp_path / "masks"
    arguments = ("predict", tiny_bundle, tmp_path / "empty.png", tmp_path / "gone.png", good, "--out", out)
    code, report, err = run(capsys, *arguments)
    assert code == 1
    assert [row["status"] for row in report["images"]] == ["failed", "failed", "ok"]
    assert (out / "part0.png").exists()
    assert "empty.png" in err
    assert "gone.png" in err


def test_predict_never_overwrites(
    tiny_bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = data / "images" / "part0.png"
    before = image.read_bytes()
    code, _, err = run(capsys, "predict", tiny_bundle, image, "--out", data / "images")
    assert code == 2
    assert "would replace it" in err
    assert image.read_bytes() == before
    code, _, err = run(capsys, "predict", tiny_bundle, image, tmp_path / "part0.jpg", "--out", tmp_path / "m")
    assert code == 2
    assert "both write" in err


def test_evaluate_scores_by_column_and_gates(tiny_bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, _ = run(capsys, "evaluate", tiny_bundle, "--data", data, "--by", "kind", "--variant", "onnx-fp32")
    assert code == 0
    assert report["variant"] == "onnx-fp32"
    assert report["accuracy"]["dice_mean"] > 0.9
    assert report["accuracy"]["n_images"] == 4
    assert {value: row["n_images"] for value, row in report["by"]["kind"].items()} == {"even": 2, "odd": 2}
    assert run(capsys, "evaluate", tiny_bundle, "--data", data, "--min-dice", "0.5")[0] == 0
    with pytest.raises(SystemExit, match="2"):  # percent
        run(capsys, "evaluate", tiny_bundle, "--data", data, "--min-dice", "50")
    code, report, _ = run(capsys, "evaluate", tiny_bundle, "--data", data, "--min-dice", "0.9999")
    assert code == 3
    assert report["gate"] == {"min_dice": 0.9999, "passed": False}


@pytest.mark.parametrize(
    ("more", "wrong", "words"),
    [
        (["--by", "colour"], 2, "Known: group, kind, split"),
        (["--split", "val"], 1, "val"),
        (["--variant", "x"], 1, "no variant"),
    ],
)
def test_evaluate_says_what_is_wrong(
    tiny_bundle: Path, data: Path, capsys: pytest.CaptureFixture[str], more: list[str], wrong: int, words: str
) -> None:
    code, report, err = run(capsys, "evaluate", tiny_bundle, "--data", data, *more)
    assert (code, report) == (wrong, None)
    assert words in err


def test_doctor_says_what_runs(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, _ = run(capsys, "doctor", tiny_bundle)
    assert code == 0
    assert report["backends"]["onnxruntime"]["usable"]
    assert report["bundle"]["chosen"] in {"onnx-fp32", "onnx-int8-x86"}


def test_doctor_without_engines_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.runtime.device.machine.installed_package", lambda name: None)
    code, report, _ = run(capsys, "doctor")
    assert code == 1
    assert report["backends"]["litert"]["remedy"] == "pip install 'edgeseg[litert]'"


def test_a_fault_of_ours_is_not_hidden(tiny_bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "evaluate", fail)
    with pytest.raises(ZeroDivisionError):
        main(["evaluate", str(tiny_bundle), "--data", str(data)])


def test_the_script_falls_back_to_the_device_s_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "edgeseg.pipeline.cli", None)
    monkeypatch.setattr(sys, "argv", ["edgeseg", "doctor"])
    assert entry.main() in (0, 1)
    out, err = capsys.readouterr()
    assert "backends" in json.loads(out)
    assert "edgeseg[pipeline]" in err


def test_bench_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "edgeseg.benchmarks.cli", None)
    assert entry.bench() == 1
    assert "edgeseg[bench]" in capsys.readouterr().err


def test_only_the_host_s_packages_may_be_missing() -> None:
    assert entry._is_host_only(ModuleNotFoundError(name="typer"))
    assert entry._is_host_only(ModuleNotFoundError(name="edgeseg.pipeline.cli"))
    assert not entry._is_host_only(ModuleNotFoundError(name="numpy"))
    assert not entry._is_host_only(ModuleNotFoundError(name="edgeseg.runtime.nonsense"))
