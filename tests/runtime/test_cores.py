"""Threads follow from the cores that are worth having."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime import cores
from edgeseg.runtime.cores import MOST_THREADS, all_threads, default_threads, fast_cores, usable_cores
from edgeseg.runtime.device.machine import doctor


@pytest.mark.parametrize(
    ("capacities", "usable", "fast"),
    [
        ((430, 430, 430, 430, 1024, 1024, 1024, 1024), range(8), [4, 5, 6, 7]),  # RK3588
        ((250, 250, 250, 250, 620, 620, 620, 1024), range(8), [4, 5, 6, 7]),  # a phone with one prime core
        ((1024, 1024, 1024, 1024), range(4), [0, 1, 2, 3]),
        ((430, 430, 1024, 1024), (0, 1), [0, 1]),  # bound to the slow ones: these are all there is
        ((), range(3), [0, 1, 2]),  # x86: nothing is said
        (("odd", 1024), range(2), [1]),
    ],
    ids=str,
)
def test_slow_cores_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capacities: tuple, usable: range, fast: list[int]
) -> None:
    for core, capacity in enumerate(capacities):
        (tmp_path / f"cpu{core}").mkdir()
        (tmp_path / f"cpu{core}" / "cpu_capacity").write_text(f"{capacity}\n")
    monkeypatch.setattr(cores, "usable_cores", lambda: list(usable))
    assert fast_cores(tmp_path) == fast


def test_all_are_as_many_as_an_engine_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for usable, threads in ((3, 3), (384, MOST_THREADS)):
        monkeypatch.setattr(cores, "usable_cores", lambda usable=usable: list(range(usable)))
        assert all_threads() == threads


def test_the_default_is_the_fast_cores_and_the_doctor_shows_it() -> None:
    report = doctor()
    assert report["cores"] == len(usable_cores()) >= report["fast_cores"] == len(fast_cores()) >= 1
    assert report["default_threads"] == default_threads() == min(len(fast_cores()), 4)
