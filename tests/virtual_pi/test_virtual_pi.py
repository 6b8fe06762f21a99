"""The virtual Pi: what it leaves behind (nothing), what it believes to be, how masks are compared."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.files.user_cache import cache_folder

HERE = Path(__file__).parent


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module


@pytest.fixture
def userland() -> Path:
    """The userland, or the test is skipped: making one takes minutes and the network."""
    made = sorted(cache_folder("virtual-pi").glob("bookworm-*"))
    if not made or os.getuid() != 0:
        pytest.skip("no virtual Pi here, or no root to enter it: make virtual-pi")
    return made[-1]


def run(load, lines: list[str]) -> subprocess.CompletedProcess[str]:
    namespace: ModuleType = load("namespace")
    try:
        return namespace.run(lines, capture=True)
    except namespace.UnavailableError as err:
        pytest.skip(str(err))


def test_what_lines_mount_and_start_ends_with_them(load, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    lines = [
        f"mount -t tmpfs tmpfs {mine}",
        f"touch {mine}/file",
        "sleep 600 & echo $$ $(id -u) $(ls " + str(mine) + ")",
    ]
    done = run(load, lines)
    assert (done.returncode, done.stdout) == (0, "1 0 file\n"), done.stderr  # the shell is the first process, and root
    assert not list(mine.iterdir())
    assert str(mine) not in Path("/proc/mounts").read_text()
    assert run(load, ["false", "echo never"]).stdout == ""


@pytest.mark.virtual_pi
def test_a_command_runs_on_the_board_it_is_given_and_what_it_writes_is_kept_only_on_demand(
    load, userland: Path, tmp_path: Path
) -> None:
    entered, boards = load("userland").entered, load("board").BOARDS
    shared, state = tmp_path / "shared", tmp_path / "state"
    shared.mkdir()
    state.mkdir()
    mounts = Path("/proc/mounts").read_text()
    script = f"uname -m; grep -c asimddp /proc/cpuinfo; echo 1 > /srv/kept; cat > {shared}/said; exit 3"
    for name, kept in (("pi4", None), ("pi5", state)):
        lines = entered(userland, ["sh", "-c", f"echo said | ({script})"], boards[name], [shared], kept)
        done = run(load, lines)
        assert done.returncode == 3, done.stderr
        assert done.stdout.split() == ["aarch64", "0" if name == "pi4" else "4"]
        assert (shared / "said").read_text() == "said\n"
        again = run(load, entered(userland, ["cat", "/srv/kept"], boards[name], [], kept))
        assert again.stdout == ("1\n" if kept else "")
    assert not (userland / "root/srv/kept").exists() and not list((userland / "scratch").iterdir())
    assert Path("/proc/mounts").read_text() == mounts


@pytest.mark.virtual_pi
def test_the_command_line_hands_through_input_output_and_exit_code(userland: Path) -> None:
    order = [sys.executable, str(HERE / "enter.py"), "--board", "pi5", "--", "sh", "-c", "uname -m; cat; exit 7"]
    done = subprocess.run(order, input="given\n", capture_output=True, text=True, check=False)
    if "no virtual Pi here" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stdout) == (7, "aarch64\ngiven\n"), done.stderr


def test_a_signature_that_is_not_trusted_is_told(load) -> None:
    untrusted = load("compare").untrusted
    good, bad = ({"status": status, "reason": "why"} for status in ("trusted", "unknown key"))
    assert untrusted({"signatures": [good]}) == []
    assert untrusted({"signatures": [good, bad]}) == ["unknown key: why"]
    assert untrusted({"signatures": []}) == ["there is none"]


def test_pixels_that_differ_are_counted_by_kind_and_missing_masks_are_no_agreement(load) -> None:
    differing = load("compare").differing
    mask = np.zeros((4, 5), np.uint8)
    other = mask.copy()
    other[0, :3] = 2
    ours = {"golden/a.png": mask, "own/a.png": mask, "own/b.png": mask}
    theirs = {**ours, "own/b.png": other}
    assert differing(theirs, ours, "golden") == (0, 20)
    assert differing(theirs, ours, "own") == (3, 40)
    for wrong in ({"golden/a.png": mask}, {**ours, "own/b.png": mask[1:]}):
        with pytest.raises(EdgesegError, match="other masks there"):
            differing(wrong, ours, "own")
    with pytest.raises(EdgesegError, match="other masks there"):
        differing({}, {}, "own")
