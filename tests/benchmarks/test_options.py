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
    ("meter", "look", "gated", "typed", "found"),
    [
        (None, False, False, (None, None), (10.0, 5)),
        ("auto", False, False, (None, None), (METERED_S, 5)),
        ("auto", False, False, (10.0, None), (10.0, 5)),
        (None, False, True, (None, None), (10.0, GATE_PROCESSES)),
        (None, False, True, (None, DEFAULT.processes), (10.0, DEFAULT.processes)),
        (None, True, False, (None, None), (2.5, 5)),
        (None, True, False, (60.0, None), (60.0, 5)),
    ],
)
def test_what_nobody_said_follows_from_what_was_said(meter, look, gated, typed, found):
    seconds, processes = typed
    config = settled(HarnessConfig(meter=meter), look, gated, seconds=seconds, processes=processes)
    assert (config.seconds, config.processes, config.quick) == (*found, look)
    assert config.min_samples == (75 if look else DEFAULT.min_samples)


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
