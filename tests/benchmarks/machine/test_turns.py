"""Turns: a training makes way between batches, and nobody who was killed or suspended holds a measurement up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.benchmarks.machine.turns import Turns

# A training in another process: when each batch begins, by the clock that all processes share; each as long as told.
TRAINING = """
import sys, time
from pathlib import Path
from edgeseg.benchmarks.machine.turns import Turns
with Turns(Path(sys.argv[1])).training() as turns:
    while True:
        turns.next_batch()
        print(time.monotonic(), flush=True)
        time.sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def training(folder: Path, batch_s: float = 0.01) -> Iterator[tuple[subprocess.Popen[str], list[float]]]:
    """The process, and when each of its batches began; it has begun one."""
    command = [sys.executable, "-c", TRAINING, str(folder), str(batch_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    began: list[float] = []

    def read() -> None:
        assert process.stdout is not None
        began.extend(float(line) for line in process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_for(lambda: bool(began))
        yield process, began
    finally:
        process.kill()
        process.wait()
        reader.join()


def wait_for(happened: object, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_no_batch_begins_while_anybody_measures(tmp_path: Path) -> None:
    with training(tmp_path) as (_, began):
        with Turns(tmp_path).measuring():
            start = time.monotonic()
            time.sleep(0.3)
            end = time.monotonic()
        wait_for(lambda: began[-1] > end)
        assert not [moment for moment in began if start < moment < end]


def test_a_measurement_waits_for_the_end_of_a_batch(tmp_path: Path) -> None:
    with training(tmp_path, batch_s=0.7) as (_, began):
        with Turns(tmp_path).measuring():
            start = time.monotonic()
        wait_for(lambda: began[-1] > start)
        assert start - max(moment for moment in began if moment < start) >= 0.7


def test_trainings_do_not_hold_each_other_up(tmp_path: Path) -> None:
    with training(tmp_path, batch_s=5.0), training(tmp_path) as (_, second):
        wait_for(lambda: len(second) > 5, limit_s=3.0)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_training_that_was_killed_or_suspended_stops_nobody(tmp_path: Path, sent: signal.Signals) -> None:
    with training(tmp_path, batch_s=30.0) as (process, _):
        os.kill(process.pid, sent)
        start = time.monotonic()
        with Turns(tmp_path, batch_s=0.4).measuring():
            took_s = time.monotonic() - start
        assert (took_s >= 0.4) is (sent is signal.SIGSTOP)


def test_measurements_wait_for_one_another(tmp_path: Path) -> None:
    inside, order = threading.Event(), []

    def other() -> None:
        with Turns(tmp_path).measuring():
            order.append("second")

    thread = threading.Thread(target=other)
    with Turns(tmp_path).measuring():
        thread.start()
        inside.wait(0.2)
        order.append("first")
    thread.join(10.0)
    assert order == ["first", "second"]


def test_a_measurement_within_another_of_its_thread_has_its_turn_already(tmp_path: Path) -> None:
    with Turns(tmp_path).measuring():
        start = time.monotonic()
        with Turns(tmp_path, measurement_s=2.0).measuring():
            assert time.monotonic() - start < 1.0
        with Turns(tmp_path, measurement_s=0.2).training() as turns:  # the inner one has given nothing back
            start = time.monotonic()
            turns.next_batch()
            assert time.monotonic() - start >= 0.2


def test_the_locks_are_for_their_user_alone(tmp_path: Path) -> None:
    with Turns(tmp_path / "turns").measuring():
        pass
    assert (tmp_path / "turns").stat().st_mode & 0o077 == 0
    (tmp_path / "turns" / "turn").unlink()
    (tmp_path / "turns" / "turn").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="turn"), Turns(tmp_path / "turns").measuring():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_measurement_that_does_not_end_is_passed_by_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Turns(tmp_path).measuring(), Turns(tmp_path, measurement_s=0.2).training() as turns:
        turns.next_batch()
    assert "a measurement of another edgeseg process did not end" in caplog.text


def test_containers_can_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESEG_TURNS", str(tmp_path / "shared"))
    assert Turns().folder == tmp_path / "shared"
    monkeypatch.delenv("EDGESEG_TURNS")
    assert str(os.getuid()) in Turns().folder.name
