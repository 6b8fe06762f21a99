"""Every entry of IMPORTANCE works in the pruner; group L2 removes what is small, random is repeatable by seed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from edgeseg.compress.search.groups import channel_groups
from edgeseg.compress.search.importance import IMPORTANCE, find_gates
from edgeseg.compress.search.prune import prune
from edgeseg.pipeline.recipe.sections.fit import IMPORTANCES
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch

LAYER = "down.0.0.0"  # first convolution of the first level: 32 channels that only the next one reads


def loss_of(seed: int) -> Any:
    image = torch.rand((2, 1, 16, 16), generator=torch.Generator().manual_seed(seed))
    return lambda model: (model(image.to(next(model.parameters()).dtype))[:, 0] - 0.3).square().mean()


def _pruned(importance: str, small: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the layer before and after removing half of it, with the channels `small` a hundred times weaker."""
    torch.manual_seed(0)
    model = build_model(unet_arch(1, 2, base=32, depth=2))
    layers = dict(model.named_modules())
    with torch.no_grad():
        layers[LAYER].weight[small] *= 0.01
        layers["down.0.0.1"].weight[small] *= 0.01
        layers["down.0.1.0"].weight[:, small] *= 0.01
    gates = find_gates(model, [loss_of(0), loss_of(1)])
    torch.manual_seed(seed)
    smaller = prune(model, {LAYER: 16}, (16, 16), importance, gates)
    return layers[LAYER].weight.detach(), dict(smaller.named_modules())[LAYER].weight.detach()


@pytest.mark.parametrize("name", IMPORTANCE)
def test_kept_channels_are_channels_of_the_original(name: str) -> None:
    before, after = _pruned(name, small=[])
    assert after.shape == (16, *before.shape[1:])
    assert all(any(torch.equal(row, old) for old in before) for row in after)


def test_group_l2_removes_the_weak_ones() -> None:
    small = [0, 1, 5, 6, 7, 8, 11, 12, 16, 20, 21, 25, 28, 29, 30, 31]
    before, after = _pruned("group_l2", small)
    strong = [channel for channel in range(32) if channel not in small]
    assert torch.equal(after, before[strong])


def test_random_follows_torchs_seed_and_nothing_else() -> None:
    first, again, other = (_pruned("random", [], seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_channels_that_are_switched_off_go_first() -> None:
    torch.manual_seed(0)
    model = build_model(unet_arch(1, 2, base=16, depth=2))
    off = [1, 4, 5, 9, 10, 12, 13, 15]
    norm = dict(model.named_modules())["down.0.0.1"]
    with torch.no_grad():
        norm.weight[off] = 1e-4
    gates = find_gates(model, [loss_of(0)])
    before = dict(model.named_modules())[LAYER].weight
    cut = prune(model, {LAYER: 8}, (16, 16), "taylor", gates)
    after = dict(cut.named_modules())[LAYER].weight
    assert all(parameter.grad is None for net in (model, cut) for parameter in net.parameters())
    assert torch.equal(after, before[[channel for channel in range(16) if channel not in off]])


def test_taylor_is_the_loss_that_a_gate_is_worth() -> None:
    torch.manual_seed(0)
    model = build_model(unet_arch(1, 2, base=8, depth=2)).eval()
    norm = dict(model.named_modules())["down.0.0.1"]
    norm.weight.data.uniform_(0.5, 1.5)
    norm.bias.data.uniform_(-0.5, 0.5)
    gates = find_gates(model, [loss_of(0)])
    (group,) = (one for one in channel_groups(model, "taylor", (16, 16), gates=gates) if one.name == LAYER)
    found = sorted(share * group.weight for share in group.scores)
    exact = copy.deepcopy(model).double()
    norm, expected = dict(exact.named_modules())["down.0.0.1"], []
    for channel in range(8):  # by finite differences of a gate on both of its parameters
        losses = []
        for gate in (1 - 1e-6, (1 + 1e-6) / (1 - 1e-6)):
            with torch.no_grad():
                norm.weight[channel] *= gate
                norm.bias[channel] *= gate
                losses.append(loss_of(0)(exact).item())
        expected.append(abs(losses[1] - losses[0]) / 2e-6)
    assert found == pytest.approx(sorted(expected), rel=1e-2, abs=1e-6)


def test_a_narrow_rest_is_dear_and_a_part_taken_out_whole_costs_its_share() -> None:
    torch.manual_seed(0)
    group = channel_groups(build_model(unet_arch(1, 2, base=16, depth=2)), "group_l2", (16, 16))[0]
    assert group.width == 16 and sum(group.scores) == pytest.approx(1.0)
    assert 0 < group.lost(16, 15) < group.lost(2, 1) and group.lost(16, 0) == pytest.approx(group.weight)


def test_taylor_needs_gates_of_a_network_of_these_shapes() -> None:
    model, other = (build_model(unet_arch(1, 2, base=base, depth=2)) for base in (8, 16))
    with pytest.raises(ConfigError, match="but there are none; see find_gates"):
        prune(model, {}, (16, 16), "taylor")
    gates = find_gates(other, [loss_of(0)])
    with pytest.raises(ConfigError, match="these are another network's"):
        channel_groups(model, "taylor", (16, 16), gates=gates)


def test_the_recipe_knows_every_importance() -> None:
    assert set(IMPORTANCES) == set(IMPORTANCE)
