"""Scenarios and deadlines are readings of the same samples; `sustained` has its own loop."""

import dataclasses
import math

import numpy as np
import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.machine.state import MachineState, read_state
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.results.samples import Look
from edgeseg.benchmarks.results.table import to_text
from edgeseg.benchmarks.timing.scenario import SCENARIOS, deadline_of, outcome, share_upper
from edgeseg.benchmarks.timing.sustained import cool_down, sustained_of, time_sustained, time_to_throttle_s
from edgeseg.runtime.errors import ConfigError, MeasureError


def test_a_query_of_multi_stream_is_eight_calls_and_never_spans_blocks(make_row):
    row = make_row("a", [[np.arange(1, 18), np.arange(1, 9)]])  # 17 and 8 calls of 1, 2, ... ms
    found = outcome("multi-stream", row.processes)
    assert (found["queries"], found["calls_per_query"], found["metric"]) == (3, 8, "p99_upper_ms")
    assert (found["p50_ms"], found["p99_ms"]) == (36.0, 100.0)  # 1+...+8 twice, and 9+...+16
    assert found["p99_upper_ms"] is None  # 662 queries are needed
    single = outcome("single-stream", row.processes)
    assert single["queries"] == 25 and not single["meets_mlperf"]


def test_offline_is_samples_over_the_whole_time(make_row):
    row = make_row("a", [[np.full(100, 4.0)]])
    block = dataclasses.replace(row.processes[0].blocks[0], start_ns=0, end_ns=500_000_000)  # the loop took 0.1 s more
    process = dataclasses.replace(row.processes[0], blocks=(block,))
    found = outcome("offline", (process,))
    assert found["samples_per_s"] == pytest.approx(200) and found["window_s"] == 0.5 and not found["meets_mlperf"]
    long = dataclasses.replace(block, infer_ns=(4,) * 24_576, pre_ns=(), post_ns=(), end_ns=600 * 10**9)
    assert outcome("offline", (dataclasses.replace(process, blocks=(long,)),))["meets_mlperf"]


@pytest.mark.parametrize(
    ("k", "n", "upper"),
    [(0, 100, 1 - 0.05 ** (1 / 100)), (0, 10_000, 1 - 0.05 ** (1 / 10_000)), (5, 5, 1.0), (99, 100, 0.95**0.01)],
)
def test_the_upper_bound_of_a_share(k, n, upper):
    assert share_upper(k, n) == pytest.approx(upper, rel=1e-9)


def test_the_upper_bound_holds_in_95_of_100():
    rng = np.random.default_rng(0)
    held = sum(share_upper(int(rng.binomial(400, 0.03)), 400) >= 0.03 for _ in range(400))
    assert 0.93 <= held / 400 <= 0.99


def test_a_deadline_counts_what_took_longer(make_result, make_row):
    row = make_row("a", [[np.array([1.0, 2.0, 3.0, 4.0] * 25)]])
    found = deadline_of(row.samples_ms(), 3.0)
    assert (found.late, found.n, found.ms) == (25, 100, 3.0) and 0.25 < found.late_upper95 < 0.34
    result = make_result(row, config=HarnessConfig(threads=1, deadline_ms=3.0))
    assert to_json(result)["rows"][0]["deadline"]["late"] == 25
    assert "a: 25 of 100 calls took longer than 3 ms (at most 33" in to_text(result)
    assert to_json(make_result(row))["rows"][0]["deadline"] is None


def test_blocks_hold_whole_queries():
    config = HarnessConfig(scenario="multi-stream", min_samples=662 * 8, processes=5, blocks=8)
    assert config.min_block_samples % 8 == 0 and config.min_block_samples * 40 >= 662 * 8
    with pytest.raises(ConfigError, match="single-stream, multi-stream, offline, sustained"):
        HarnessConfig(scenario="server")
    assert set(SCENARIOS) == {"single-stream", "multi-stream", "offline", "sustained"}


def test_a_device_that_gets_hot(clock, make_stages, frame, make_row):
    """A clock that moves by itself: after five minutes each call takes 1.5 times as long."""
    config = HarnessConfig(threads=1, sustained_s=600.0, scenario="sustained")
    stages = make_stages(infer_ns=[100_000_000] * 3000 + [150_000_000] * 3000)
    process = time_sustained("a", stages, frame, config, clock, lambda _: None)
    assert len(process.blocks) == 10 and len(process.looks) > 100
    found = sustained_of(process, None)
    assert [minute["start_s"] for minute in found["minutes"]] == pytest.approx(list(range(0, 600, 60)), abs=2)
    assert found["p50_last_over_first"] == pytest.approx(150.15 / 100.15) and found["minutes"][0]["n"] == 600
    assert found["minutes"][0]["power_w"] is None


def test_percentiles_of_a_minute_were_measured(make_row):
    row = make_row("a", [[np.array([1.0, 2.0, 3.0, 10.0])]])
    (minute,) = sustained_of(row.processes[0], None)["minutes"]
    assert (minute["p50_ms"], minute["p90_ms"]) == (2.0, 10.0)


def look(seconds, events=None, flags=None):
    return Look(int(seconds * 1e9), 60.0, events, flags, 1500.0)


@pytest.mark.parametrize(
    ("looks", "at_s"),
    [
        ([look(0, 3), look(5, 3), look(10, 4)], 10),
        ([look(0, 3), look(5, 3)], None),
        ([look(1, flags=0), look(6, flags=4), look(11, flags=0)], 5),
        ([look(0), look(5)], None),
    ],
)
def test_when_a_machine_slowed_itself_down(looks, at_s, make_row):
    assert time_to_throttle_s(looks) == at_s
    row = make_row("a", [[np.array([1.0])]])
    found = sustained_of(dataclasses.replace(row.processes[0], looks=tuple(looks)), None)
    told = looks[0].throttle_events is not None or looks[0].throttled_flags is not None
    assert found["throttled"] is ((at_s is not None) if told else None)


def test_the_start_waits_for_a_cool_device():
    temperatures, slept = iter([70.0, 60.0, 49.0]), []
    cool_down(
        50, lambda: MachineState(None, {"cpu": next(temperatures), "skin": 20.0}, None, (), None, None), slept.append
    )
    assert len(slept) == 2
    with pytest.raises(MeasureError, match=r"still at 70\.0 C after 30 minutes"):
        cool_down(50, lambda: MachineState(None, {"cpu": 70.0}, None, (), None, None), slept.append)
    with pytest.raises(MeasureError, match="tells no temperature"):
        cool_down(50, lambda: MachineState(None, {}, None, (), None, None), slept.append)


def test_flags_of_a_raspberry_pi(tmp_path, monkeypatch):
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\necho "throttled=0x50005"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert read_state(tmp_path).throttled_flags == 5  # now: too little voltage, slowed down; 0x50000 is since boot
    program.write_text('#!/bin/sh\necho "error"\n')
    assert read_state(tmp_path).throttled_flags is None


def test_a_real_sustained_run(make_subject, frame, tiny_config):
    config = dataclasses.replace(tiny_config, scenario="sustained", sustained_s=0.5)
    result = measure([make_subject("a"), make_subject("b")], frame, config)
    document = to_json(result)
    for row in document["rows"]:
        assert row["scenario"]["name"] == "sustained" and len(row["scenario"]["minutes"]) >= 2
        assert math.isfinite(row["scenario"]["p50_last_over_first"])
    assert "b: sustained" in to_text(result)
    assert to_json(from_json(document)) == document
