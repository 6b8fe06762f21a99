"""A meter's file on a clock of its own, laid over a run by the marker."""

import threading
import time

import numpy as np
import pytest

from edgeseg.benchmarks.meters import csv_file
from edgeseg.benchmarks.meters.csv_file import PATTERN_S, FromFile, aligned, make_marker
from edgeseg.benchmarks.meters.trace import Stretch
from edgeseg.runtime.errors import MeasureError

S = 1_000_000_000
START_S, END_S = 1000.0, 1090.0  # of the run, on our clock


def marker(start_s):
    stretches, at = [], start_s
    for busy, idle in zip(PATTERN_S[::2], PATTERN_S[1::2], strict=True):
        stretches.append(Stretch(int(at * S), int((at + busy) * S)))
        at += busy + idle
    return stretches


MARKS = marker(START_S) + marker(END_S)
WORK = Stretch(1020 * S, 1080 * S)


def write(path, *, offset_s, pace=1.0, rate_hz=100.0, busy_w=9.0, seed=0):
    """What a meter whose clock is `offset_s` ahead and runs `pace` times as fast wrote: 2 W idle, 7 W at work."""
    rng = np.random.default_rng(seed)
    ours = np.arange(START_S - 7.3, END_S + 13, 1 / rate_hz)
    watts = np.full(ours.size, 2.0)
    watts[(ours > 1020) & (ours < 1080)] = 7 + 1.5 * np.sign(np.sin(ours[(ours > 1020) & (ours < 1080)] * 3))
    for stretch in MARKS:
        watts[(ours > stretch.start_ns / S) & (ours < stretch.end_ns / S)] = busy_w
    watts += rng.normal(0, 0.2, ours.size)
    theirs = (ours - START_S) * pace + offset_s
    path.write_text("t_s,volt,power_w\n" + "".join(f"{t:.6f},5,{w:.4f}\n" for t, w in zip(theirs, watts, strict=True)))
    return path


@pytest.mark.parametrize(
    ("offset_s", "pace", "rate_hz"), [(-3.0, 1.0, 100), (1.7e9, 1.0002, 50), (12.5, 0.9998, 1000), (0.0, 1.0, 20)]
)
def test_the_marker_finds_the_run(tmp_path, offset_s, pace, rate_hz):
    file = write(tmp_path / "power.csv", offset_s=offset_s, pace=pace, rate_hz=rate_hz)
    trace = aligned(file, MARKS, Stretch(1005 * S, 1010 * S), Stretch(1084 * S, 1089 * S))
    assert trace.joules(WORK) == pytest.approx(7 * 60, rel=0.01)
    # A window a second too early would take in two watts of idle: the edge is found within a tenth of a second.
    edge = Stretch(int(1019.9 * S), int(1020.1 * S))
    assert trace.joules(edge) == pytest.approx(0.1 * 2 + 0.1 * trace.watts(Stretch(1020 * S, int(1020.1 * S))), abs=0.3)
    assert trace.watts(trace.idle_before) == pytest.approx(2, abs=0.1)
    assert trace.sensor.evidence == "imported" and trace.sensor.rate_hz == pytest.approx(rate_hz / pace, rel=1e-3)


def test_a_file_of_another_machine_is_refused(tmp_path):
    file = write(tmp_path / "power.csv", offset_s=0, busy_w=2.0)
    with pytest.raises(MeasureError, match="marker is not found"):
        aligned(file, MARKS, MARKS[0], MARKS[0])


def test_a_recording_that_ended_too_soon_is_refused(tmp_path):
    file = write(tmp_path / "power.csv", offset_s=0)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    with pytest.raises(MeasureError, match="the run took 9"):
        aligned(file, MARKS, MARKS[0], MARKS[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("t,w\n1,2\n", "t_s and power_w are needed"),
        ("t_s,power_w\n1,2\n1,3\n", "line 3: t_s does not rise"),
        ("t_s,power_w\n1,2\n2,much\n", "line 3: 'much' is no number"),
        ("t_s,power_w\n1,2\n", "holds 1 readings"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path, text, reason):
    (tmp_path / "power.csv").write_text(text)
    with pytest.raises(MeasureError, match=reason):
        aligned(tmp_path / "power.csv", MARKS, MARKS[0], MARKS[0])


def test_a_marker_is_made_and_timed(monkeypatch):
    monkeypatch.setattr(csv_file, "PATTERN_S", (0.1, 0.1, 0.05, 0.05))
    stretches = make_marker()
    assert len(stretches) == 2 and all(stretch.seconds >= 0.05 for stretch in stretches)
    assert stretches[1].start_ns - stretches[0].end_ns >= 0.1 * S


def test_a_file_that_is_there_already_is_no_recording_of_this_run(tmp_path):
    (tmp_path / "old.csv").touch()
    with pytest.raises(MeasureError, match="is there already"):
        FromFile(f"csv:{tmp_path / 'old.csv'}")


def test_a_file_that_is_still_written_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_POLL_S", 0.3)
    file = tmp_path / "power.csv"
    source = FromFile(f"csv:{file}")
    source._marks = MARKS
    whole = write(tmp_path / "whole.csv", offset_s=0).read_text()

    def export():
        with file.open("w") as out:
            for at in range(0, len(whole), len(whole) // 8 + 1):
                out.write(whole[at : at + len(whole) // 8 + 1])
                out.flush()
                time.sleep(0.1)

    writer = threading.Thread(target=export)
    writer.start()
    trace, reason = source.end(Stretch(1005 * S, 1010 * S), Stretch(1084 * S, 1089 * S))
    writer.join()
    assert reason == "" and trace.joules(WORK) == pytest.approx(7 * 60, rel=0.01)
