"""Time left: what counts as work, what is said of it, and that a log is not flooded."""

from __future__ import annotations

import io

import pytest

from edgeseg.pipeline.text import progress
from edgeseg.pipeline.text.progress import TimeLeft, chain_progress, count_progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress.time, "monotonic", found)
    return found


def test_the_forecast_follows_the_weights() -> None:
    clock = Clock()
    left = TimeLeft({"a": 1.0, "b": 3.0}, clock)
    assert left.left_s is None and left.done == 0.0
    left.tell("a", 0.0)
    clock.now_s = 5.0
    left.tell("a", 0.5)
    assert left.done == pytest.approx(0.125) and left.left_s == pytest.approx(35.0)
    clock.now_s = 40.0
    left.tell("a", 1.0)
    left.tell("b", 1.0)
    assert left.done == 1.0 and left.left_s == pytest.approx(0.0)


def test_what_was_done_before_buys_no_time() -> None:
    clock = Clock()
    left = TimeLeft({"a": 1.0, "b": 1.0, "c": 1.0}, clock)
    left.tell("a", 1.0, reused=True)
    assert left.done == pytest.approx(1 / 3) and left.left_s is None
    left.tell("b", 0.5)  # resumed here
    clock.now_s = 10.0
    left.tell("b", 0.75)
    assert left.left_s == pytest.approx(50.0)  # a quarter took ten seconds; five quarters are left


def test_of_a_twentieth_no_forecast_is_made() -> None:
    clock = Clock()
    left = TimeLeft({"done": 100.0, "a": 1.0, "b": 19.0}, clock)
    left.tell("done", 1.0, reused=True)
    left.tell("a", 0.0)
    clock.now_s = 60.0
    left.tell("a", 1.0)
    assert left.left_s is None
    left.tell("b", 0.0)
    left.tell("b", 0.1)
    assert left.left_s == pytest.approx(60.0 / 2.9 * 17.1)


def test_odd_shares_and_unknown_steps_do_no_harm() -> None:
    left = TimeLeft({"a": 1.0}, Clock())
    for share in (0.5, 0.2, 7.0, -1.0):
        left.tell("a", share)
    left.tell("new", 0.5)
    assert left.done == pytest.approx(0.75)


def test_a_log_gets_a_line_per_step_and_then_one_every_ten_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    with chain_progress({"a": 1.0, "b": 1.0}, stream) as told:
        for second in range(25):
            clock.now_s = float(second)
            told("a", second / 50, f"epoch {second}")
        told("b", 0.5, "image 1/2")
    lines = stream.getvalue().splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        *("[1/2] a: epoch 0", "[1/2] a: epoch 10", "[1/2] a: epoch 20", "[2/2] b: image 1/2")
    ]
    assert "10%, 1 min 30 s left" in lines[1] and "time left not known yet" in lines[0]


def test_reused_steps_are_not_worth_a_line() -> None:
    stream = io.StringIO()
    with chain_progress({"a": 1.0, "b": 1.0}, stream) as told:
        told("a", 1.0, "unchanged")
        told("b", 0.0, "starts")
    assert stream.getvalue() == "[2/2] b: starts (50%, time left not known yet)\n"


def test_short_commands_draw_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    with count_progress("checking", stream) as told:
        clock.now_s = 1.9
        told(5, 10)
        assert stream.getvalue() == ""
        clock.now_s = 4.0
        told(6, 10)
    assert stream.getvalue() == "checking: 6 of 10 (60%, 3 s left)\n"


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with chain_progress({"a": 1.0}, stream) as told:
        told("a", 0.0, "starts")
        told("a", 0.5, "epoch 5/10")
    assert "epoch 5/10" in stream.getvalue() and "50%" in stream.getvalue()
