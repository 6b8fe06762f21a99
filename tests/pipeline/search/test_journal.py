"""What a fit's journal says of the time that things took, to the pass that made them and to the next one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from edgeseg.pipeline.search.journal import Journal


def _cut(journal: Journal, calls: list[str]) -> Any:
    """A cut, inside of which a measurement is found."""

    def measure() -> int:
        calls.append("measure")
        time.sleep(0.05)
        return 7

    def cut() -> int:
        calls.append("cut")
        return 1 + int(journal.find("measurements", "net", {}, measure))

    return journal.find("cuts", "straight", {}, cut)


def test_the_next_pass_counts_what_was_found_inside(tmp_path: Path) -> None:
    calls: list[str] = []
    first, second = Journal(tmp_path), Journal(tmp_path)
    assert _cut(first, calls) == _cut(second, calls) == 8
    assert calls == ["cut", "measure"]
    assert first.finding_s["measurements", "net"] >= 0.05
    assert second.finding_s == first.finding_s


def test_what_was_found_before_is_not_inside(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.find("scores", "student", {}, lambda: 0.7)
    _cut(journal, [])
    again = Journal(tmp_path)
    _cut(again, [])
    assert ("scores", "student") not in again.finding_s


def test_an_earlier_finding_does_not_outlive_the_files_it_speaks_of(tmp_path: Path) -> None:
    """A cut's network lies beside its record: killed between the two, the old record would speak of the new network."""
    journal = Journal(tmp_path)
    journal.find("cuts", "round_1", {"limit": 2}, lambda: "of 2")

    def killed() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Journal(tmp_path).find("cuts", "round_1", {"limit": 3}, killed)
    assert Journal(tmp_path).find("cuts", "round_1", {"limit": 2}, lambda: "made again") == "made again"
