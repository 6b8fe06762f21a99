import sys
from pathlib import Path

import numpy as np
import pytest

from edgeseg.benchmarks.results.result_file import write_result

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "measuring"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import verdict_rates

    yield verdict_rates
    sys.modules.pop("verdict_rates")


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_equals_are_no_difference_and_five_percent_is_found(script, share):
    """In 95 of 100 and in 95 of 100 with ten processes, by the script; here in 19 of 20."""
    spread = script.idle_machine()
    assert script.rates(spread, 0.0, 20, processes=10, share=share)["no difference shown"] >= 19
    assert script.rates(spread, 0.05, 20, processes=10, share=share)["slower"] >= 19


def test_the_spread_of_a_result_is_found_again(script, make_result, make_row):
    spread = script.idle_machine()
    sides = script.simulate(spread, 1, 0.1, (40, 8, 32))
    rows = [
        make_row(f"row {k}", [[2 * block for block in process] for process in side]) for k, side in enumerate(sides)
    ]
    found = script.fit(make_result(*rows))
    for name in ("processes", "blocks", "pace"):
        assert np.std(getattr(found, name)) == pytest.approx(np.std(getattr(spread, name)), rel=0.35), name
    with pytest.raises(ValueError, match="two measured rows"):
        script.fit(make_result(rows[0]))


def test_races_say_what_they_said_and_what_a_planted_slowdown_would(script, make_result, make_row, tmp_path):
    paths = []
    for seed in range(3):
        sides = script.simulate(script.idle_machine(), seed, 0.0, (10, 8, 32))
        paths.append(tmp_path / f"{seed}.json")
        rows = [make_row(f"row {k}", [[2 * block for block in one] for one in side]) for k, side in enumerate(sides)]
        write_result(make_result(*rows), paths[-1])
    found = script.raced(paths, 0.2)
    assert found["races"] == 3 and found["processes"] == [10]
    assert found["p50, slower by 0.0%"]["no difference shown"] >= 2
    assert found["p50, slower by 20.0%"]["slower"] == found["p90, slower by 20.0%"]["slower"] == 3
    write_result(make_result(rows[0]), paths[0])
    with pytest.raises(ValueError, match="a race of equals has two"):
        script.raced(paths, 0.2)
