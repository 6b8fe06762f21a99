"""The search: cheap moves first, limits held, nothing trained; and what a group's channels are worth."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from edgeseg.compress.search.arch_widths import with_widths
from edgeseg.compress.search.budget import Budget, misses
from edgeseg.compress.search.depth import shallower
from edgeseg.compress.search.groups import Group, channel_groups
from edgeseg.compress.search.prune import prune
from edgeseg.compress.search.search import narrower, search
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCH = efficient_unet_arch(1, 3, width=0.25, depth=0.5)
SIZE = (64, 64)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return build_model(ARCH).eval()


@pytest.fixture(scope="module")
def groups(model: Any) -> tuple[Group, ...]:
    return channel_groups(model, "group_l2", SIZE)


def channels(arch: dict[str, Any]) -> dict[str, float]:
    """A cost without a network: blocks cost their width, the last decoder level as much as half of all else."""
    inner = sum(block["mid"] + block["out"] for stage in arch["blocks"] for block in stage)
    outer = sum(level["reduce"] + level["out"] for level in arch["decoder"])
    return {"latency_ms": arch["stem"] + inner + outer + 400.0 * (len(arch["decoder"]) == 4), "macs": 10.0 * inner}


def test_limits_hold_and_equal_inputs_give_equal_results(groups: tuple[Group, ...]) -> None:
    limit = {"latency_ms": 0.6 * channels(ARCH)["latency_ms"], "macs": 0.7 * channels(ARCH)["macs"]}
    found = search(ARCH, groups, channels, limit)
    assert found.reached and all(found.predicted[name] <= value for name, value in limit.items())
    assert found.moves and found.moves[-1].predicted == found.predicted == channels(found.arch)
    assert found == search(ARCH, groups, channels, limit)


def test_the_moves_lead_to_the_architecture(model: Any, groups: tuple[Group, ...]) -> None:
    limit = {"latency_ms": 0.5 * channels(ARCH)["latency_ms"]}
    found = search(ARCH, groups, channels, limit)
    assert {move.kind for move in found.moves} >= {"width", "level"}
    smaller = shallower(prune(model, found.widths, SIZE), found.depth)
    assert smaller.arch == found.arch
    assert all(block["mid"] % 16 == 0 for stage in found.arch["blocks"][1:] for block in stage)


def test_without_depth_only_channels_go(groups: tuple[Group, ...]) -> None:
    limit = {"latency_ms": 0.75 * channels(ARCH)["latency_ms"]}
    found = search(ARCH, groups, channels, limit, depth=False)
    assert {move.kind for move in found.moves} == {"width"} and not found.depth


def test_a_limit_out_of_reach_ends_at_the_smallest_network(groups: tuple[Group, ...]) -> None:
    found = search(ARCH, groups, channels, {"latency_ms": 1.0})
    assert not found.reached and found.predicted["latency_ms"] < 0.2 * channels(ARCH)["latency_ms"]


def test_nothing_goes_where_the_limit_holds_already(groups: tuple[Group, ...]) -> None:
    found = search(ARCH, groups, channels, {"latency_ms": 1e9})
    assert found.reached and found.arch == ARCH and found.moves == ()
    for limits in ({}, {"latency_ms": 0.0}, {"latency_ms": math.nan}):
        with pytest.raises(ConfigError, match="above 0"):
            search(ARCH, groups, channels, limits)


def test_the_cheap_group_goes_first() -> None:
    arch = unet_arch(1, 2, base=16, depth=2)
    worthless, dear = (
        Group("down.0.0.0", ("down.0.0.0",), (0.0625,) * 16, 0.01),
        Group("down.0.1.0", ("down.0.1.0",), (0.0625,) * 16, 1.0),
    )
    found = search(arch, (dear, worthless), lambda a: {"macs": float(sum(a["encoder"][0]))}, {"macs": 24.0})
    assert found.arch["encoder"][0] == [8, 16]


def test_steps_narrow_by_an_eighth_or_half() -> None:
    assert narrower(288, 16) == [256, 144] and narrower(24, 8) == [16, 8] and narrower(8, 8) == []


@pytest.mark.parametrize("arch", [ARCH, unet_arch(1, 3, base=16, depth=3)], ids=["efficient_unet", "unet"])
def test_widths_in_json_are_those_that_pruning_leaves(arch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(arch)
    found = channel_groups(model, "group_l2", SIZE)
    assert {path for group in found for path in group.members} == {
        name
        for name, layer in model.named_modules()
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)) and layer.groups == 1 and name != "head"
    }
    widths = {path: max(8, group.width // 16 * 8) for group in found for path in group.members}
    assert prune(model, widths, SIZE).arch == with_widths(arch, widths)
    with pytest.raises(ConfigError, match="no width of its own"):
        with_widths(arch, {"head": 8})


def test_budgets_are_read_and_held() -> None:
    budget = Budget.parse("latency_ms=2, bytes=3e5,speedup=10", "x86-ort")
    assert budget.ceilings(30.0) == {"latency_ms": 2.0, "bytes": 3e5} and budget.ceilings(10.0)["latency_ms"] == 1.0
    (miss,) = misses({"latency_ms": 2.0, "bytes": 3e5}, {"latency_ms": 2.5, "bytes": 10.0})
    assert str(miss) == "latency_ms is 2.5, the budget allows 2"
    assert "not measured" in str(misses({"energy_mj": 1.0}, {})[0])
    for text, words in (
        ("latency=2", "'latency' is no limit; known are latency_ms"),
        ("latency_ms", "has no value"),
        ("latency_ms=fast", "'fast' is no number"),
        ("latency_ms=2,latency_ms=3", "twice"),
        ("", "is empty"),
        ("macs=-1", "above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            Budget.parse(text, "x86-ort")
    with pytest.raises(ConfigError, match="needs the reference's latency"):
        Budget("x86-ort", speedup=3.0).ceilings(None)
