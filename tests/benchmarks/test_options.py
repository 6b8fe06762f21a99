"""What options mean together."""

from pathlib import Path

import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.meters.watch import METERED_S
from edgeseg.benchmarks.options import DEFAULT, GATE_PROCESSES, refuse_elsewhere, settled
from edgeseg.benchmarks.stats import allowed_over
from edgeseg.runtime.errors import ConfigError


def test_p99_has_its_bound_by_default():
    assert allowed_over(DEFAULT.min_samples, 0.99) >= 1 > allowed_over(DEFAULT.min_samples - 1, 0.99)


@pytest.mark.parametrize(
    ("config", "look", "gated", "seconds", "processes"),
    [
        (HarnessConfig(), False, False, 10.0, 5),
        (HarnessConfig(meter="auto"), False, False, METERED_S, 5),
        (HarnessConfig(meter="auto", seconds=30), False, False, 30, 5),
        (HarnessConfig(), False, True, 10.0, GATE_PROCESSES),
        (HarnessConfig(processes=7), False, True, 10.0, 7),
        (HarnessConfig(seconds=60), True, False, 2.5, 5),
    ],
)
def test_what_nobody_said_follows_from_what_was_said(config, look, gated, seconds, processes):
    found = settled(config, look, gated)
    assert (found.seconds, found.processes, found.quick) == (seconds, processes, look)


@pytest.mark.parametrize(
    ("meter", "junit", "reason"),
    [("csv:power.csv", None, "a file of this machine"), ("replay:p.csv", None, "a file"), (None, Path("j"), "--junit")],
)
def test_what_only_works_here_is_refused_elsewhere(meter, junit, reason):
    config = HarnessConfig(meter=meter)
    refuse_elsewhere(config, junit, [])
    refuse_elsewhere(HarnessConfig(meter="auto"), None, ["ssh://pi"])
    with pytest.raises(ConfigError, match=reason):
        refuse_elsewhere(config, junit, ["ssh://pi"])
