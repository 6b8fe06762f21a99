"""What `init` writes and prints is what the next commands take, whatever the folder is called."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from edgeseg.pipeline import cli
from edgeseg.pipeline.commands.init import init_folder
from edgeseg.pipeline.recipe.recipe import find_data, load_recipe
from edgeseg.pipeline.recipe.yaml_word import yaml_word
from edgeseg.runtime.data.dataset import open_dataset

from .test_init import write_folder

NAMES = (
    *("2024", "no", "007", "2024-01-05", "true", "1e3", "0x10", "1_000", "12:30:00", "~", "null", "=", ".inf", "y"),
    *("Off", " leading", "trailing ", "two words", "a: b", "#hash", "[x]", "{y}", "- x", "-dash", "--json", "it's"),
    *('"q"', "$HOME", "`id`", "a&b;c", "*", "!x", "%y", "@z", "检测", "ñandú", "\U0001f642", "new\nline"),
    *("back\\slash", "x" * 240, "synthetic"),
)  # fmt: skip


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def commands(printed: str) -> list[list[str]]:
    """The commands that `init` has printed, split as a shell does."""
    words = shlex.split(printed.partition("then:\n")[2])
    starts = [index for index, word in enumerate(words) if word == "edgeseg"]
    return [words[start + 1 : end] for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]


def taken(printed: str) -> None:
    """Run `data check` as printed, and `run` up to its first step, which trains nothing."""
    check, run = commands(printed)
    done = edgeseg(*check)
    assert done.exit_code == 0 and "6 images and 6 masks taken" in done.output
    done = edgeseg(*run, "--only", "reference", "--out", "runs out")
    assert done.exit_code == 0 and "6 images with masks" in done.stderr, done.output


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_commands_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / name)
    done = edgeseg("init", f"./{name}")
    assert done.exit_code == 0, done.output
    taken(done.stdout)
    recipe = load_recipe(tmp_path / name / "recipe.yaml")
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    found = find_data(recipe, None)
    assert found is not None and found.resolve() == (tmp_path / name).resolve()
    assert recipe.name == open_dataset(tmp_path / name).name


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d").rename(tmp_path / os.fsdecode("检".encode("gbk")))
    init_folder(root)
    assert load_recipe(root / "recipe.yaml").data.name == root.name


@pytest.mark.parametrize("name", ["out", "2024", "two words", "-x"])
def test_out_leaves_the_folder_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_folder(tmp_path / "parts")
    (root / "meta.csv").write_text("stem,kind\n" + "".join(f"{i:02d},a\n" for i in range(6)))
    before = sorted(path.name for path in root.iterdir())
    for folder in (root, root / "images", root / "masks"):
        folder.chmod(0o555)
    done = edgeseg("init", "parts", "--out", f"./{name}")
    assert done.exit_code == 0, done.output
    taken(done.stdout)
    assert sorted(path.name for path in root.iterdir()) == before
    data = open_dataset(tmp_path / name)
    assert data.name == "parts" and data.samples[0].columns == {"kind": "a"}
    done = edgeseg("init", "parts", "--out", f"./{name}")
    assert done.exit_code == 2 and "not overwritten" in done.stderr


def test_out_takes_a_description_along_and_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts")
    (root / "dataset.yaml").write_text("name: 007\nclasses: [nothing, crack]\ncolor: gray\n")
    report = json.loads(edgeseg("init", root, "--out", tmp_path / "o", "--json").stdout)
    assert report["wrote"] == [str(tmp_path / "o" / name) for name in ("dataset.yaml", "recipe.yaml")]
    assert open_dataset(tmp_path / "o").classes == ("nothing", "crack") and open_dataset(tmp_path / "o").name == "007"
    (tmp_path / "full" / "images").mkdir(parents=True)
    done = edgeseg("init", root, "--out", tmp_path / "full")
    assert done.exit_code == 2 and "no link to" in done.stderr and not (tmp_path / "full" / "recipe.yaml").exists()
    (tmp_path / "file").write_text("x")
    done = edgeseg("init", root, "--out", tmp_path / "file")
    assert done.exit_code == 2 and "is no folder" in done.stderr


def test_what_is_taken_what_not_and_the_shares_are_said(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", values=(1, 0))  # the foreground is around the squares
    (root / "images" / "more.gif").write_text("x")
    (root / "masks" / "alone.png").write_bytes((root / "masks" / "00.png").read_bytes())
    rows = [f"{index:02d},{split},p{index // 2}" for index, split in enumerate(("train", "val", "test") * 2)]
    (root / "meta.csv").write_text("\n".join(["stem,split,patient", *rows]))
    report = json.loads(edgeseg("init", root, "--json").stdout)
    assert [(one["where"], one["files"]) for one in report["not_taken"]] == [("images/", ["more.gif"])]
    assert [one["name"] for one in report["unused_columns"]] == ["patient"]
    assert report["foreground"][1]["pixels"] == pytest.approx(1 - 24 * 24 / (96 * 128))
    assert {one["kind"] for one in report["warnings"]} == {
        *("column across splits", "mask without image", "background not largest"),
    }
    (root / "recipe.yaml").unlink()
    printed = edgeseg("init", root).stdout
    assert "6 images with masks" in printed and "more.gif (1): a .gif file" in printed and "rename patient" in printed


def test_swapped_folders_are_told_before_anything_is_written(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d")
    (root / "images").rename(root / "x")
    (root / "masks").rename(root / "images")
    (root / "x").rename(root / "masks")
    done = edgeseg("init", root)
    assert done.exit_code == 1 and "rename the two folders" in done.stderr and not (root / "dataset.yaml").exists()


@pytest.mark.parametrize(
    "text",
    [*NAMES, "", " ", "a\x07b", "\x85", "\ud83d", "\udcbc", "\ufeff", "a\tb", "0b_", "1:2", "<<", "N", "é", "a-b c_d"],
)
def test_a_word_in_yaml_is_read_as_it_is(text: str) -> None:
    assert yaml.safe_load(f"a: {yaml_word(text)} # note\nb: [{yaml_word(text)}, x]") == {"a": text, "b": [text, "x"]}
    assert "\n" not in yaml_word(text)
