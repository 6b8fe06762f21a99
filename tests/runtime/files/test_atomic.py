"""A file is old or new, never half."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.files import atomic


def test_writes_text_bytes_and_json_and_makes_folders(tmp_path):
    atomic.write_bytes(tmp_path / "a" / "b.bin", b"\x00\x01")
    atomic.write_text(tmp_path / "t.txt", "Grüße\r\n")
    atomic.write_json(tmp_path / "j.json", {"b": 1, "a": None})
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "t.txt").read_bytes() == "Grüße\r\n".encode()
    assert list(json.loads((tmp_path / "j.json").read_text())) == ["b", "a"]


def test_a_writer_may_choose_its_format_by_the_temporary_suffix(tmp_path):
    with atomic.replacing(tmp_path / "x.npz") as tmp:
        np.savez(tmp, a=np.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing(target) as tmp:
        tmp.write_text("half")
        raise RuntimeError("killed here")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "No space left"), (errno.EACCES, "No permission"), (errno.EDQUOT, "free some")]
)
def test_a_full_disk_is_said_plainly_and_loses_nothing(tmp_path, monkeypatch, number, says):
    target = tmp_path / "kept.txt"
    target.write_text("old")

    def full(_):
        raise OSError(number, "as the system says it")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(EdgesegError, match=says) as caught:
        atomic.write_text(target, "new")
    assert str(target) in str(caught.value)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    atomic.write_json(tmp_path / "j.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "j.json", float("nan"))
    assert (tmp_path / "j.json").read_text() == "1\n"


def test_a_file_where_a_folder_should_be_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgesegError, match="Cannot write"):
        atomic.write_text(tmp_path / "file" / "inside.txt", "y")
    (tmp_path / "folder").mkdir()
    with pytest.raises(EdgesegError, match="Cannot write"):
        atomic.write_text(tmp_path / "folder", "y")


def test_a_name_too_long_is_told_by_the_name_that_was_asked_for(tmp_path) -> None:
    with pytest.raises(EdgesegError, match=r"xxx\.png: the name is too long for this disk"):
        atomic.write_bytes(tmp_path / ("x" * 252 + ".png"), b"")
    assert not any(tmp_path.iterdir())


def test_a_temporary_file_that_cannot_be_removed_hides_no_cause(tmp_path, monkeypatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("write_bytes", "unlink"):
        monkeypatch.setattr(f"pathlib.Path.{name}", read_only)
    with pytest.raises(EdgesegError, match=r"No permission to write .*x\.bin: choose another output folder"):
        atomic.write_bytes(tmp_path / "x.bin", b"")


def test_a_folder_is_replaced_whole_and_the_old_one_stands_until_then(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "step"
    with atomic.new_folder(folder) as made:
        (made / "old.txt").write_text("old")
    with atomic.new_folder(folder, replace=True) as made:
        (made / "new.txt").write_text("new")
        assert [path.name for path in folder.iterdir()] == ["old.txt"]
    assert [path.name for path in folder.iterdir()] == ["new.txt"] and list(tmp_path.iterdir()) == [folder]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(EdgesegError, match="No space left"), atomic.new_folder(folder, replace=True) as made:
        (made / "half.txt").write_text("half")
    assert [path.name for path in folder.iterdir()] == ["new.txt"] and list(tmp_path.iterdir()) == [folder]


def test_what_stands_in_the_place_of_a_new_folder_is_not_touched(tmp_path) -> None:
    place = tmp_path / "new"
    place.mkdir()
    with atomic.new_folder(place) as made:  # an empty one may be there
        (made / "a.txt").write_text("a")
    with pytest.raises(ConfigError, match="new is not empty, and nothing in it is touched"), atomic.new_folder(place):
        pass
    with pytest.raises(ConfigError, match=r"a\.txt is there and no folder"), atomic.new_folder(place / "a.txt"):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="link is there and no folder"), atomic.new_folder(tmp_path / "link"):
        pass
    late = tmp_path / "late"
    with pytest.raises(ConfigError, match="late was filled meanwhile"), atomic.new_folder(late) as made:
        (made / "mine.txt").write_text("mine")
        late.mkdir()
        (late / "other.txt").write_text("other")
    assert [path.name for path in late.iterdir()] == ["other.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "link", "new"]


def test_an_error_of_what_was_read_says_nothing_of_what_is_written(tmp_path) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "source.png"))
    for place in (atomic.new_folder(tmp_path / "new"), atomic.replacing(tmp_path / "new.bin")):
        with pytest.raises(PermissionError) as caught, place:
            raise denied
        assert caught.value is denied


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path) -> None:
    """As root `--out /dev/null` would leave every program of the machine without one."""
    pipe, null, stdout, link, missing = (tmp_path / name for name in ("pipe", "null", "stdout", "link", "missing"))
    os.mkfifo(pipe)
    null.symlink_to("/dev/null")
    stdout.symlink_to("/proc/self/fd/1")  # which may be a file
    link.symlink_to("stdout")
    for path in (pipe, null, stdout, link, Path("/dev/fd/1"), Path("/proc/self/fd/1")):
        with pytest.raises(EdgesegError, match="it is a device or a pipe"):
            atomic.write_text(path, "result")
    assert Path("/dev/null").is_char_device() and null.is_symlink() and pipe.is_fifo()
    assert link.is_symlink() and stdout.is_symlink()
    missing.symlink_to(tmp_path / "nowhere")
    atomic.write_text(missing, "result")
    assert missing.read_text() == "result"
