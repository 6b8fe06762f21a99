"""Whether other programs are noticed while something is measured."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.benchmarks.machine.others import TRIES, foreign_seconds, quietly
from edgeseg.benchmarks.machine.turns import Turns

SPIN = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


def clock(*shares: float) -> object:
    """A meter by which others take these shares of the CPUs, one a measurement."""
    state = {"at": time.monotonic(), "taken": 0.0, "calls": 0}

    def look() -> float:
        now = time.monotonic()
        if state["calls"] % 2:
            state["taken"] += shares[int(state["calls"] // 2)] * (now - state["at"]) * len(os.sched_getaffinity(0))
        state["at"], state["calls"] = now, state["calls"] + 1
        return state["taken"]

    return look


@pytest.mark.parametrize(
    ("shares", "taken"),
    [((0.01,), 0), ((0.5, 0.02), 1), ((0.5, 0.2, 0.3), 1), ((0.3, 0.6, 0.9), 0)],
)
def test_the_first_quiet_result_or_the_quietest(shares: tuple[float, ...], taken: int) -> None:
    done: list[int] = []

    def work() -> int:
        time.sleep(0.02)
        done.append(len(done))
        return done[-1]

    value, share = quietly(work, clock(*shares))  # type: ignore[arg-type]
    assert value == taken and len(done) == len(shares) <= TRIES
    assert share == pytest.approx(shares[taken], rel=0.2)


def test_whoever_is_waited_for_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another measurement keeps the CPUs busy until it ends; only then is this one's turn."""
    monkeypatch.setenv("EDGESEG_TURNS", str(tmp_path))
    began, ended = threading.Event(), threading.Event()

    def other() -> None:
        with Turns().measuring():
            began.set()
            time.sleep(0.3)
            ended.set()

    thread = threading.Thread(target=other)
    thread.start()
    began.wait(5.0)
    done: list[int] = []

    def work() -> None:
        with Turns().measuring():  # as the harness does
            done.append(1)

    # What others have taken: all of it before they had ended.
    _, share = quietly(work, lambda: 1.0 if ended.is_set() else 0.0)
    thread.join()
    assert (done, share) == ([1], 0.0)


def test_a_machine_that_does_not_tell_is_measured_once() -> None:
    done: list[int] = []
    assert quietly(lambda: done.append(1), lambda: None) == (None, None) and len(done) == 1


@pytest.mark.parametrize(("autogroups", "counted"), [(None, 100_000), ("0\n", 100_000), ("1\n", 150_000)])
def test_usable_cpus_are_counted_and_niced_programs_where_they_do_not_yield(
    tmp_path: Path, autogroups: str | None, counted: int
) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    if autogroups is not None:
        (tmp_path / "proc/sys/kernel/sched_autogroup_enabled").write_text(autogroups)
    number = min(os.sched_getaffinity(0))

    def stat(user: int, nice: int) -> float:
        lines = [
            f"cpu  9 9 9 9 9 9 9 9 0 0\ncpu{number} {user} {nice} 0 0 0 0 0 0 0 0\ncpu9999 {user} 0 0 0 0 0 0 0 0 0"
        ]
        (tmp_path / "proc/stat").write_text("\n".join(lines))
        found = foreign_seconds(tmp_path)
        assert found is not None
        return found

    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    first = stat(0, 0)
    assert stat(100_000, 50_000) - first == pytest.approx(counted * tick_s, abs=5.0)
    (tmp_path / "proc/stat").unlink()
    assert foreign_seconds(tmp_path) is None


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """This process and its children on one CPU, so that others cannot take more than the time that passes."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    yield
    os.sched_setaffinity(0, usable)


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="no /proc/stat")
def test_our_own_finished_children_are_not_others(one_cpu: None) -> None:
    """What a child takes counts as foreign while it runs, and no longer once it is waited for."""
    child = subprocess.Popen([sys.executable, "-c", SPIN, "2"])
    time.sleep(1.5)
    meanwhile, start, before_s = foreign_seconds(), time.monotonic(), os.times().children_user
    child.wait()
    after, took_s, child_s = foreign_seconds(), time.monotonic() - start, os.times().children_user - before_s
    assert meanwhile is not None and after is not None
    if child_s < 0.5:
        pytest.skip("others left the child too little CPU time to tell it from theirs")
    # All of the child's time has left the account; of others' at most what passed has come to it.
    assert after - meanwhile < took_s - child_s + 0.3
