"""Supervised losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import LossConfig
from edgeseg.train.losses import TERMS, SegmentationLoss, cross_entropy, dice, focal
from edgeseg.train.region_loss import regions

# Two pixels, two classes, softmax probabilities (0.8, 0.2) and (0.4, 0.6); the truth is class 0, then class 1.
TWO_CLASS = torch.log(torch.tensor([[0.8, 0.4], [0.2, 0.6]])).reshape(1, 2, 1, 2)
# The same answer through one sigmoid output: the logit of the foreground's probability.
ONE_OUTPUT = torch.logit(torch.tensor([0.2, 0.6])).reshape(1, 1, 1, 2)
TRUTH = torch.tensor([0, 1]).reshape(1, 1, 2)


def _loss(terms: str, n_classes: int = 2, weights: tuple[float, ...] = ()) -> SegmentationLoss:
    return SegmentationLoss(LossConfig(terms, weights), n_classes)


@pytest.mark.parametrize("logits", [TWO_CLASS, ONE_OUTPUT], ids=["softmax", "sigmoid"])
def test_hand_computed_values(logits: torch.Tensor) -> None:
    assert cross_entropy(logits, TRUTH).item() == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    # Foreground: overlap 0.6, sums 0.2 + 0.6 + 1; with the smoothing of one.
    assert dice(logits, TRUTH).item() == pytest.approx(1 - (2 * 0.6 + 1) / (0.8 + 1 + 1))
    expected = -(0.2**2 * math.log(0.8) + 0.4**2 * math.log(0.6)) / 2
    assert focal(logits, TRUTH).item() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0])])
def test_cross_entropy_and_its_gradient_are_those_of_pytorch(weights: torch.Tensor | None) -> None:
    logits = (10 * torch.randn(2, 3, 4, 5)).requires_grad_()
    target = torch.randint(0, 3, (2, 4, 5))
    ours, theirs = cross_entropy(logits, target, weights), F.cross_entropy(logits, target, weight=weights)
    assert torch.allclose(ours, theirs)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_class_weights_by_hand() -> None:
    weights = torch.tensor([1.0, 3.0])
    soft = -(math.log(0.8) + 3 * math.log(0.6)) / 4  # mean over the weights, as torch does
    assert cross_entropy(TWO_CLASS, TRUTH, weights).item() == pytest.approx(soft)
    binary = -(math.log(0.8) + 3 * math.log(0.6)) / 2  # BCE has a weight of the positive pixels only
    assert cross_entropy(ONE_OUTPUT, TRUTH, weights).item() == pytest.approx(binary)
    expected = -(0.2**2 * math.log(0.8) + 3 * 0.4**2 * math.log(0.6)) / 4
    assert focal(TWO_CLASS, TRUTH, weights).item() == pytest.approx(expected)


def test_dice_weighs_foreground_classes_alone() -> None:
    logits = torch.zeros(1, 3, 1, 3)  # a third for each class everywhere
    truth = torch.tensor([0, 1, 1]).reshape(1, 1, 3)
    one = 1 - (2 * 2 / 3 + 1) / (1 + 2 + 1)
    two = 1 - (0 + 1) / (1 + 0 + 1)
    assert dice(logits, truth).item() == pytest.approx((one + two) / 2)
    weighed = dice(logits, truth, torch.tensor([100.0, 3.0, 1.0])).item()
    assert weighed == pytest.approx((3 * one + two) / 4)


def test_dice_sums_over_the_whole_batch() -> None:
    """A good part in the batch adds only its false pixels, not a Dice of its own."""
    both = torch.cat([TWO_CLASS, torch.tensor([[20.0, 20.0], [-20.0, -20.0]]).reshape(1, 2, 1, 2)])
    truth = torch.cat([TRUTH, torch.zeros_like(TRUTH)])
    assert dice(both, truth).item() == pytest.approx(dice(TWO_CLASS, TRUTH).item(), abs=1e-6)


@pytest.mark.parametrize("term", ["ce", "dice", "focal"])
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_every_pixel_counts_and_better_is_lower(term: str, outputs: int) -> None:
    """No pixel and no class id is ignored: each gets a gradient, and the truth itself costs almost nothing."""
    n_classes = max(2, outputs)
    target = torch.randint(0, n_classes, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(2, outputs, 5, 6, requires_grad=True)
    loss = TERMS[term](logits, target, None)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(dim=1) > 0).all()
    perfect = torch.nn.functional.one_hot(target, n_classes).permute(0, 3, 1, 2).float() * 40 - 20
    if outputs == 1:
        perfect = perfect[:, 1:]
    assert TERMS[term](perfect, target, None).item() < 1e-3 < loss.item()


@pytest.mark.parametrize("term", ["ce", "dice", "focal"])
def test_extreme_logits_stay_finite(term: str) -> None:
    for logits in (TWO_CLASS * 0 + torch.tensor([-1e4, 1e4]).reshape(1, 2, 1, 1), ONE_OUTPUT * 0 + 1e4):
        value = logits.clone().requires_grad_()
        loss = TERMS[term](value, TRUTH, None)
        loss.backward()
        assert torch.isfinite(loss)
        assert value.grad is not None
        assert torch.isfinite(value.grad).all()


def test_a_batch_without_foreground_is_finite() -> None:
    nothing = torch.zeros_like(TRUTH)
    assert torch.isfinite(_loss("ce+dice+focal")(TWO_CLASS, nothing))


def test_terms_add_up() -> None:
    total = _loss("ce + dice+focal")(TWO_CLASS, TRUTH)
    parts = cross_entropy(TWO_CLASS, TRUTH) + dice(TWO_CLASS, TRUTH) + focal(TWO_CLASS, TRUTH)
    assert total.item() == pytest.approx(parts.item())


def test_weights_follow_the_module_but_not_its_state() -> None:
    loss = _loss("ce", weights=(1.0, 3.0))
    assert loss.state_dict() == {}
    assert loss(TWO_CLASS, TRUTH).item() == pytest.approx(-(math.log(0.8) + 3 * math.log(0.6)) / 4)


def test_bad_configurations_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'tversky' is unknown.*ce, bce, dice, focal"):
        _loss("ce+tversky")
    with pytest.raises(ConfigError, match="2 numbers for 3 classes"):
        _loss("ce", n_classes=3, weights=(1.0, 2.0))
    with pytest.raises(ConfigError, match="'bce' needs 2 classes, the data has 3"):
        _loss("bce", n_classes=3)
    with pytest.raises(ConfigError, match="unknown"):
        _loss("")


# Regions


def _probabilities(values: torch.Tensor) -> torch.Tensor:
    """Logits (N, 1, H, W) of foreground probabilities (N, H, W)."""
    return torch.logit(values)[:, None]


def test_a_small_region_counts_as_much_as_a_large_one() -> None:
    truth = torch.zeros(1, 8, 8, dtype=torch.long)
    truth[0, :4, :4] = 1  # 16 pixels, found by 0.9
    truth[0, 7, 7] = 1  # one pixel, found by 0.1
    found = torch.where(truth == 1, 0.9, 0.5)
    found[0, 7, 7] = 0.1
    assert regions(_probabilities(found), truth).item() == pytest.approx(1 - (0.9 + 0.1) / 2)


def test_regions_touch_at_corners_and_end_at_images_and_classes() -> None:
    truth = torch.zeros(2, 4, 4, dtype=torch.long)
    truth[0, 0, 0] = truth[0, 1, 1] = 1  # one region: 8-connected
    truth[0, 2, 2] = 2  # touches it, but is of another class
    truth[1, 0, 0] = 1  # the same place in another image
    logits = torch.zeros(2, 3, 4, 4)
    logits[0, 1, 0, 0] = 30.0  # half of the first region is found, nearly a third of the rest
    share = torch.tensor([(1 + 1 / 3) / 2, 1 / 3, 1 / 3])
    assert regions(logits, truth).item() == pytest.approx(1 - share.mean().item())
    weighed = regions(logits, truth, torch.tensor([9.0, 1.0, 4.0])).item()
    assert weighed == pytest.approx(1 - (share * torch.tensor([1.0, 4.0, 1.0])).sum().item() / 6)


def test_a_batch_without_regions_costs_nothing_and_can_be_differentiated() -> None:
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    loss = regions(logits, torch.zeros(2, 4, 4, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and not logits.grad.any()


def test_the_gradient_of_a_small_region_is_as_strong() -> None:
    truth = torch.zeros(1, 8, 8, dtype=torch.long)
    truth[0, :4, :4] = 1
    truth[0, 7, 7] = 1
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    _loss("regions")(logits, truth).backward()
    assert logits.grad is not None
    large, small = logits.grad[0, 0, :4, :4].sum(), logits.grad[0, 0, 7, 7]
    assert large.item() == pytest.approx(small.item(), rel=1e-5) and small < 0
    assert not logits.grad[0, 0, 0, 5:].any()
