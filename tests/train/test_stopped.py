"""Trainings that others end say so, and what was trained stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.errors import TrainingError
from edgeseg.train.fit import fit


def test_sigterm_is_no_success(training: Any, tmp_path: Path) -> None:
    """A script that goes on after exit code 0 would ship what was never trained."""

    def told(done: int, *_: Any) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        fit(*training(), tmp_path, told)
    assert stopped.value.code == 143
    assert (tmp_path / "last.ckpt").is_file() and not (tmp_path / "finished.json").exists()
    rest: list[int] = []
    fit(*training(), tmp_path, lambda done, *_: rest.append(done))
    assert rest == [3, 4]


def test_sigterm_in_the_last_look_ends_the_command_too(training: Any, tmp_path: Path) -> None:
    def told(done: int, total: int, _: object) -> None:
        if done == total:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        fit(*training(), tmp_path, told)
    assert stopped.value.code == 143


@pytest.mark.parametrize("also_here", [False, True], ids=["the worker", "the whole group"])
def test_a_killed_image_worker_is_told_and_no_bug_of_ours(training: Any, tmp_path: Path, also_here: bool) -> None:
    def told(done: int, *_: Any) -> None:
        if done == 2:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGTERM if also_here else signal.SIGKILL)
                worker.join(10)
            if also_here:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises((TrainingError, SystemExit)) as stopped:
        fit(*training(workers=1), tmp_path, told)
    if also_here:
        assert isinstance(stopped.value, SystemExit) and stopped.value.code == 143
    else:
        assert "a process that loads images ended: DataLoader worker" in str(stopped.value)
        assert "lower train.workers" in str(stopped.value)
    assert (tmp_path / "last.ckpt").is_file() and not (tmp_path / "finished.json").exists()
