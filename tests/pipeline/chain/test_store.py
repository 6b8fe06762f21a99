"""A step's folder: whole under its own key and with untouched files, else not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.pipeline.chain.store import StepFolder, make_key


@pytest.fixture
def folder(tmp_path: Path) -> StepFolder:
    return StepFolder(tmp_path / "steps" / "one")


def finished(folder: StepFolder, key: str = "k") -> dict:
    folder.begin(key)
    (folder.files / "deep").mkdir()
    (folder.files / "deep" / "model.bin").write_bytes(b"weights")
    (folder.files / "note.txt").write_text("n")
    return folder.finish(key, {"dice": 0.5}, 1.234)


def test_the_key_follows_everything_it_is_made_of() -> None:
    key = make_key("a", 1, {"x": 1, "y": [1, 2]}, ["p"])
    assert key == make_key("a", 1, {"y": [1, 2], "x": 1}, ["p"])
    others = [
        ("b", 1, {"x": 1}, ["p"]),
        ("a", 2, {"x": 1}, ["p"]),
        ("a", 1, {"x": 2}, ["p"]),
        ("a", 1, {"x": 1}, ["q"]),
    ]
    assert len({make_key(*other) for other in [("a", 1, {"x": 1}, ["p"]), *others]}) == 5


def test_a_finished_step_is_whole_under_its_key_alone(folder: StepFolder) -> None:
    assert folder.load("k") is None
    record = finished(folder)
    assert folder.load("k") == record and folder.load("other") is None
    assert record["result"] == {"dice": 0.5} and record["wall_s"] == 1.23
    assert set(record["files"]) == {"deep/model.bin", "note.txt"}
    assert not folder.work.exists()


def test_partial_work_is_of_the_same_parents(folder: StepFolder) -> None:
    """Equal keys do not say that what was begun with is what the parents hold now."""

    def left(made_of: str | None) -> bool:
        folder.begin("k", made_of)
        known = (folder.work / "epoch").is_file()
        (folder.work / "epoch").write_text("3")
        return known

    assert [left("a"), left("a"), left("b"), left("b")] == [False, True, False, True]
    (folder.work / "key.json").write_text('{"key": "k"}')  # of an earlier version
    assert [left("c"), left("c"), left("d")] == [True, True, False]
    assert [left(None), left(None)] == [True, True]  # who knows no parents asks for the key alone


@pytest.mark.parametrize("change", ["missing", "longer", "same size", "no marker", "broken marker", "old marker"])
def test_a_touched_step_is_not_whole(folder: StepFolder, change: str) -> None:
    finished(folder)
    file, marker = folder.files / "deep" / "model.bin", folder.root / "done.json"
    if change == "missing":
        file.unlink()
    elif change == "longer":
        file.write_bytes(b"weights and more")
    elif change == "same size":
        file.write_bytes(b"WEIGHTS")
    elif change == "no marker":
        marker.unlink()
    elif change == "broken marker":
        marker.write_text('{"key": "k"')
    else:
        marker.write_text(json.dumps({"key": "k"}))
    assert folder.load("k") is None


def test_partial_work_is_kept_for_the_same_key_only(folder: StepFolder) -> None:
    folder.begin("k")
    (folder.work / "state").write_text("half")
    (folder.files / "half.bin").write_text("half")
    folder.begin("k")
    assert (folder.work / "state").read_text() == "half"
    assert not any(folder.files.iterdir())  # files that were being written are made anew
    folder.begin("other")
    assert not (folder.work / "state").exists()


def test_beginning_again_takes_the_marker_away_first(folder: StepFolder) -> None:
    finished(folder)
    folder.begin("k")
    assert folder.load("k") is None
