"""`edgeseg predict`: a line for each image as soon as it is done, what was left out, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.pipeline import cli
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.spec.model_spec import ModelSpec

GBK = os.fsdecode("检测".encode("gbk"))
EDGESEG = (sys.executable, "-c", "import sys; from edgeseg.runtime.entry import main; sys.exit(main())")


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The doctor's probe as a bundle: bright pixels are class 1."""
    spec = ModelSpec.from_json(json.loads((FOLDER / "specs.json").read_text())["fp32.onnx"])
    path = tmp_path_factory.mktemp("bundle") / "bright.edgeseg"
    variants = [VariantSource("onnx-fp32", FOLDER / "fp32.onnx", spec)]
    pack(path, BundleInfo("bright", "1", "tests only", spec.input), variants, [probe_frame()[0]])
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.png", "b/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "in" / name), probe_frame()[0])
    (tmp_path / "in" / "notes.txt").touch()
    return tmp_path / "in"


def test_lines(bundle: Path, images: Path, tmp_path: Path) -> None:
    (images / "bad.png").write_bytes(b"")
    done = edgeseg("predict", bundle, images, "--out", tmp_path / "out", "--overlay", "--decision")
    assert done.exit_code == 1, done.stderr
    lines = done.stdout.splitlines()
    assert "onnxruntime" in lines[0] and f"{images / 'a.png'} -> {tmp_path / 'out' / 'a.png'}" in lines[2]
    assert "FAILED: the file has 0 bytes" in lines[4]
    assert lines[5:7] == ["2 segmented, 1 failed", "1 file(s) of the folders not taken:"] and "notes.txt" in lines[7]
    assert (tmp_path / "out" / "b" / "c.png").is_file() and (tmp_path / "out" / "overlays" / "b" / "c.png").is_file()


def test_json_and_the_same_again(bundle: Path, images: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = edgeseg("predict", bundle, images, "--out", tmp_path / "out", "--json")
        assert done.exit_code == 0 and json.loads(done.stdout)["counts"] == {"ok": 2, "failed": 0, "not_taken": 1}
    (tmp_path / "out" / "a.png").write_bytes((images / "a.png").read_bytes())
    done = edgeseg("predict", bundle, images, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 2 and "--overwrite" in done.stderr and not done.stdout
    assert edgeseg("predict", bundle, images, "--out", tmp_path / "out", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--every", "0"], "--every is 0"),
        (["--frames", "0"], "--frames is 0"),
        (["--camera", "0"], "inputs and --camera"),
    ],
)
def test_usage(bundle: Path, images: Path, tmp_path: Path, more: list[str], words: str) -> None:
    done = edgeseg("predict", bundle, images, "--out", tmp_path / "out", *more)
    assert done.exit_code == 2 and words in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("locale", ["utf-8:strict", "ascii", "cp1252"])
@pytest.mark.parametrize("as_json", [False, True])
def test_names_in_any_locale(bundle: Path, images: Path, tmp_path: Path, locale: str, as_json: bool) -> None:
    names = [f"{GBK}.png", "检测.png", "e\x1b[2Jsc.png", "li\nne.png"]
    for name in names:
        (images / name).write_bytes((images / "a.png").read_bytes())
    (images / f"bad{GBK}\x1b.png").touch()
    command = [*EDGESEG, "predict", bundle, images, "--out", tmp_path / "out", *(["--json"] if as_json else [])]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": locale})
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"\x1b" not in done.stdout + done.stderr
    assert all((tmp_path / "out" / name).is_file() for name in names)
    if as_json:
        rows = json.loads(done.stdout.decode("utf-8"))["images"]
        assert {Path(row["image"]).name for row in rows if row["status"] == "ok"} >= set(names)
    else:
        lines = done.stdout.splitlines()
        assert len(lines) == 2 + 7 + 3 and b"e\\x1b[2Jsc.png" in done.stdout and b"li\\nne.png" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command", [["predict", "BUNDLE", "IN", "--out", "OUT"], ["verify", "BUNDLE", "--allow-unsigned"], ["--help"]]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_full_disk_is_one_line(bundle: Path, images: Path, tmp_path: Path, command: list[str], as_json: bool) -> None:
    places = {"BUNDLE": bundle, "IN": images, "OUT": tmp_path / "out"}
    words = [str(places.get(word, word)) for word in command] + (
        ["--json"] if as_json and command != ["--help"] else []
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*EDGESEG, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and b"No space left" in done.stderr
    assert command[0] != "predict" or (tmp_path / "out" / "b" / "c.png").is_file()


def test_controls_in_messages_are_escaped(tmp_path: Path) -> None:
    done = edgeseg("verify", tmp_path / "no\x1b[2J.edgeseg")
    assert done.exit_code == 1 and "\x1b[2J" not in done.stderr and r"\x1b[2J" in done.stderr
    done = edgeseg("data", "check", tmp_path / "no\x1b[2J")
    assert "\x1b[2J" not in done.stdout + done.stderr
