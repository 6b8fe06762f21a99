"""Integrals of known traces, and every reason for which there is no energy."""

import dataclasses

import numpy as np
import pytest

from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.energy import Energy, energy_of, energy_of_told
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.results.samples import Block, ProcessRun
from edgeseg.benchmarks.results.told import Told

S = 1_000_000_000
SENSOR = Sensor("x", "a sensor", ("VDD_IN",), "all", "power_w", 50.0, 0.04, "none")


def power(t_s):
    """Idle at 2 W with a ripple; 6 W with a slow swing and a fast ripple while work is done."""
    busy = (t_s > 10) & (t_s < 40)
    swing = np.sin(2 * np.pi * t_s / 3.0) + 0.4 * np.sin(2 * np.pi * 4.7 * t_s)
    return np.where(busy, 6 + swing, 2 + 0.05 * np.sin(2 * np.pi * t_s / 5))


def true_joules(start_s, end_s):
    t = np.linspace(start_s, end_s, 40_001)
    return float(np.trapezoid(power(t), t) if hasattr(np, "trapezoid") else np.trapz(power(t), t))


def make_trace(rate_hz=50.0, quantity="power_w", jitter=0.2, seed=0, noise_w=0.02, **changes):
    rng = np.random.default_rng(seed)
    t = np.sort(np.arange(0, 50, 1 / rate_hz) + rng.uniform(-jitter, jitter, int(50 * rate_hz)) / rate_hz)
    values = power(t) + rng.normal(0, noise_w, t.size)
    if quantity == "energy_j":
        fine = np.linspace(t[0], 50, 100_001)
        joules = np.concatenate([[0], np.cumsum((power(fine)[1:] + power(fine)[:-1]) / 2 * np.diff(fine))])
        values = np.interp(t, fine, joules)
    sensor = dataclasses.replace(SENSOR, quantity=quantity, rate_hz=rate_hz)
    trace = {
        "sensor": sensor,
        "t_ns": tuple(int(x * S) for x in t),
        "values": tuple(values),
        "failed": 0,
        "cpu_share": 0.01,
        "idle_before": Stretch(1 * S, 9 * S),
        "idle_after": Stretch(41 * S, 48 * S),
    }
    return PowerTrace(**{**trace, **changes})


def make_processes(n_processes=2, blocks=6, block_s=2.0, calls=100):
    """Blocks of `calls` calls, a second apart in pairs, from 11 s on; each process counts from an origin of its own."""
    processes = []
    for p in range(n_processes):
        origin = 10 * S + p * 14 * S
        each = tuple(
            Block(
                int((1 + k * (block_s + 0.2)) * S),
                (1000,) * calls,
                (1000,) * calls,
                (1000,) * calls,
                int((1 + k * (block_s + 0.2) + block_s) * S),
            )
            for k in range(blocks)
        )
        processes.append(ProcessRun(5, 0.1, True, 0, "0" * 64, each, origin))
    return processes


@pytest.mark.parametrize(("rate_hz", "quantity"), [(75, "power_w"), (25, "power_w"), (50, "energy_j"), (4, "energy_j")])
def test_the_integral_is_within_a_percent_of_the_truth(rate_hz, quantity):
    trace, processes = make_trace(rate_hz, quantity), make_processes()
    found = energy_of(processes, trace)
    assert isinstance(found, Energy)
    stretches = [((p.origin_ns + b.start_ns) / S, (p.origin_ns + b.end_ns) / S) for p in processes for b in p.blocks]
    truth_mj = sum(true_joules(*stretch) for stretch in stretches) / 1200 * 1e3
    assert found.gross_mj == pytest.approx(truth_mj, rel=0.01)
    assert found.net_mj == pytest.approx(truth_mj - 2.0 * 24 / 1200 * 1e3, rel=0.01)
    assert found.window_s == pytest.approx(24) and found.n_inferences == 1200
    assert found.idle_before_w == pytest.approx(2, rel=0.02) and found.power_w == pytest.approx(
        truth_mj * 1.2 / 24, 0.01
    )
    assert found.n_readings == pytest.approx(24 * rate_hz, rel=0.1) and found.uncertainty_mj > 0


def test_the_ends_are_exact():
    ramp = PowerTrace(SENSOR, (0, S, 2 * S), (0.0, 10.0, 20.0), 0, None, Stretch(0, S), Stretch(0, S))
    assert ramp.joules(Stretch(S // 2, 3 * S // 2)) == pytest.approx(10.0)
    assert ramp.joules(Stretch(S // 4, S // 2)) == pytest.approx((2.5 + 5) / 2 / 4)
    assert ramp.joules(Stretch(S, 3 * S)) is None and ramp.watts(Stretch(0, 2 * S)) == pytest.approx(10)
    assert ramp.count(Stretch(S // 2, 2 * S)) == 2


@pytest.mark.parametrize(
    ("trace", "processes", "reason"),
    [
        ({}, {"block_s": 0.5}, "last 6.0 s together, 10 s are needed"),
        ({"rate_hz": 0.5}, {}, "12 blocks of 2.00 s; 20 are needed"),
        ({"rate_hz": 0.9}, {"blocks": 12, "block_s": 0.9}, "and 2 a block"),
        ({"failed": 1000}, {}, "gave no number in 1000 of 3500"),
    ],
)
def test_too_little_is_null_and_why(trace, processes, reason):
    assert reason in energy_of(make_processes(**processes), make_trace(**trace))


def test_a_meter_that_stops_stalls_or_lies_is_null_and_why():
    trace, processes = make_trace(), make_processes()
    short = dataclasses.replace(trace, t_ns=trace.t_ns[:1700], values=trace.values[:1700])
    assert "not read over the whole measurement" in energy_of(processes, short)
    silent = [(t, v) for t, v in zip(trace.t_ns, trace.values, strict=True) if not 15 * S < t < 17 * S]
    stalled = dataclasses.replace(trace, t_ns=tuple(t for t, _ in silent), values=tuple(v for _, v in silent))
    assert "was silent for 2.0 s" in energy_of(processes, stalled)
    negative = dataclasses.replace(trace, values=tuple(-value for value in trace.values))
    assert "that is no total" in energy_of(processes, negative)
    counter = make_trace(quantity="energy_j")
    reset = (*counter.values[:1000], *(value - 100 for value in counter.values[1000:]))
    assert "went backwards" in energy_of(processes, dataclasses.replace(counter, values=reset))


def test_samples_without_their_times_have_no_energy():
    old = [dataclasses.replace(process, origin_ns=None) for process in make_processes()]
    assert "do not say when" in energy_of(old, make_trace())


def test_a_trace_keeps_every_reading_in_json():
    trace = make_trace()
    assert PowerTrace.from_json(trace.to_json()) == trace
    broken = {**trace.to_json(), "values": [1.0]}
    with pytest.raises(ValueError, match="one rising time"):
        PowerTrace.from_json(broken)


def test_another_tool_s_processes_are_blocks_where_it_is_known_when_they_ran():
    told = [Told("x", "inference", n=500, mean=20.0, window_ns=(start * S, (start + 10) * S)) for start in (12, 25)]
    found = energy_of_told(told, make_trace())
    truth_mj = (true_joules(12, 22) + true_joules(25, 35)) / 1000 * 1e3
    assert isinstance(found, Energy) and found.gross_mj == pytest.approx(truth_mj, rel=0.01)
    assert found.n_inferences == 1000 and found.window_s == 20.0
    unknown = [told[0], dataclasses.replace(told[1], window_ns=None)]
    assert "do not say when" in energy_of_told(unknown, make_trace())
    assert "do not say when" in energy_of_told([dataclasses.replace(told[0], n=None)], make_trace())


def test_a_counter_that_stands_still_was_not_read():
    """A charge counter of coarse steps: 200 looks, 5 of which found a new value."""
    trace = make_trace(50, "energy_j")
    coarse = dataclasses.replace(trace, values=tuple(np.floor(np.asarray(trace.values) / 30) * 30))
    assert coarse.count(Stretch(12 * S, 36 * S)) == pytest.approx((true_joules(12, 36)) / 30, abs=1)
    assert "20 are needed" in energy_of(make_processes(), coarse)
