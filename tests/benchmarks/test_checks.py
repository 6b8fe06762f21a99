import re

import numpy as np
import pytest
import typer

from edgeseg.benchmarks.checks import check
from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.config import HarnessConfig

FLAT = [[np.full(20, 4.0)] * 4] * 5


def found(result) -> dict:
    return {caution.check: caution for caution in check(result)}


def test_a_good_measurement_has_no_warning(make_result, make_row, noisy):
    assert found(make_result(make_row("a", noisy(4.0, 1, between=0.002, within=0.002)))) == {}


def rising(factor: float) -> list:
    return [[np.full(20, 4.0 * factor ** (i / 5)) for i in range(6)]] * 5


CASES = {
    "few samples": lambda row: row("a", [[np.full(3, 4.0)] * 2] * 5),
    "not warmed up": lambda row: row("a", FLAT, warmed_up=False),
    "another subject's threads": lambda row: row("a", FLAT, unsettled=1),
    "processes differ": lambda row: row("a", [[np.full(20, m)] * 4 for m in (4.0, 4.0, 4.0, 4.0, 4.3)]),
    "blocks differ": lambda row: row("a", [[np.full(20, m) for m in (4.0, 5.0, 4.0, 4.0)]] * 5),
    "drift": lambda row: row("a", rising(1.08)),
    "outliers": lambda row: row("a", [[np.r_[np.linspace(4, 4.01, 18), 9.0, 9.0]] * 4] * 5),
    "slow first calls": lambda row: row("a", [[np.r_[9.0, np.full(19, 4.0)]] * 4] * 5),
}


@pytest.mark.parametrize("name", CASES)
def test_each_weakness_of_a_row_is_told(name, make_result, make_row):
    caution = found(make_result(CASES[name](make_row)))[name]
    assert caution.subject == "a" and caution.remedy


MACHINE = {
    "busy machine": {"before": {"load_1_min": 1.4}},
    "throttling": {"before": {"throttle_events": 3}, "after": {"throttle_events": 5}},
    "held back": {"after": {"throttled_flags": 5}},
    "stolen time": {
        "before": {"stolen_ticks": 0, "total_ticks": 0},
        "after": {"stolen_ticks": 50, "total_ticks": 1000},
    },
    "clock governor": {"device": {"governor": "ondemand", "usable_cpus": 4}},
    "more threads than cores": {"device": {"usable_cpus": 4, "cpu_quota": 0.5}},
    "few processes": {"config": HarnessConfig(threads=1, processes=2)},
}


@pytest.mark.parametrize("name", MACHINE)
def test_each_weakness_of_the_machine_is_told(name, make_result, make_row, noisy):
    result = make_result(make_row("a", noisy(4.0, 1, between=0.002, within=0.002)), **MACHINE[name])
    assert set(found(result)) == {name}
    assert found(result)[name].subject is None


def test_a_drift_of_the_other_sign(make_result, make_row):
    assert "faster" in found(make_result(make_row("a", rising(0.92))))["drift"].message


def test_masks_that_differ_between_processes(make_result, make_row):
    import dataclasses

    row = make_row("a", FLAT)
    first = dataclasses.replace(row.processes[0], mask_sha256="1" * 64)
    row = dataclasses.replace(row, processes=(first, *row.processes[1:]))
    assert "2 different masks" in found(make_result(row))["masks differ"].message


def test_a_row_without_samples_is_not_looked_at(make_result, make_row):
    assert found(make_result(make_row("a", [], status="failed", reason="x"))) == {}


def test_every_flag_a_remedy_names_exists(make_result, make_row, noisy):
    """A remedy that does not work is worse than none."""
    options = {
        option
        for param in typer.main.get_command(app).commands["run"].params
        for option in getattr(param, "opts", [])
        if option.startswith("--")
    }
    results = [make_result(case(make_row)) for case in CASES.values()]
    results += [make_result(make_row("a", noisy(4, 1)), **values) for values in MACHINE.values()]
    named = {flag for r in results for caution in check(r) for flag in re.findall(r"--[a-z-]+", caution.remedy)}
    assert named and named <= options
