"""The channel-wise term: by hand, blind to what changes no answer, deaf on pixels that do not count."""

from __future__ import annotations

import math

import pytest
import torch

from edgeseg.compress.distill.channels import channel_loss


def _pair(outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = torch.randn((2, 2, outputs, 6, 7), generator=torch.Generator().manual_seed(0)) * 3
    return student, teacher


def _log(*shares: float) -> torch.Tensor:
    return torch.tensor(shares).log().reshape(1, 1, 1, -1)


def test_one_channel_by_hand() -> None:
    teacher, student = (0.5, 0.25, 0.25), (0.2, 0.4, 0.4)
    expected = sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))
    # A channel's distribution is what it is, however large all its logits are.
    assert channel_loss(_log(*student) + 3.0, _log(*teacher), 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_channels_are_averaged_and_centred_by_hand() -> None:
    """Two channels a and -a after centring: each a distribution over the two pixels of its own."""
    student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[2.0, 0.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    first = [math.exp(1) / (math.exp(1) + 1), 1 / (math.exp(1) + 1)]  # logits 1 and 0; the other has -1 and 0
    expected = sum(p * math.log(p / 0.5) for p in first)
    assert channel_loss(student, teacher, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_temperature_softens_and_scales() -> None:
    student, teacher = _pair(3)
    softened = channel_loss(student / 4.0, teacher / 4.0, 1.0)
    assert channel_loss(student, teacher, 4.0).item() == pytest.approx(16 * softened.item(), rel=1e-4)


@pytest.mark.parametrize("outputs", [1, 3])
def test_agreement_costs_nothing(outputs: int) -> None:
    student, teacher = _pair(outputs)
    leaf = teacher.clone().requires_grad_()
    loss = channel_loss(leaf, teacher, 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert leaf.grad is not None and leaf.grad.abs().max() < 1e-5
    assert channel_loss(student, teacher, 2.0) > 0.1


def test_what_changes_no_answer_changes_no_term() -> None:
    student, teacher = _pair(3)
    shift = torch.randn(2, 1, 6, 7) * 5
    assert channel_loss(student + shift, teacher.log_softmax(dim=1), 1.0).item() == pytest.approx(
        channel_loss(student, teacher, 1.0).item(), rel=1e-4
    )


@pytest.mark.parametrize("outputs", [1, 3])
def test_pixels_that_do_not_count_are_no_part_of_it(outputs: int) -> None:
    student, teacher = _pair(outputs)
    counted = torch.ones(2, 6, 7, dtype=torch.bool)
    counted[:, :, 4:] = False
    leaf = (student + 90.0 * ~counted[:, None]).requires_grad_()
    loss = channel_loss(leaf, teacher, 2.0, counted)
    loss.backward()
    cut = channel_loss(student[..., :4], teacher[..., :4], 2.0)
    assert loss.item() == pytest.approx(cut.item(), rel=1e-5)
    assert leaf.grad is not None and not leaf.grad.movedim(1, -1)[~counted].any()


def test_an_image_of_which_nothing_counts_adds_nothing() -> None:
    student, teacher = _pair(3)
    counted = torch.ones(2, 6, 7, dtype=torch.bool)
    counted[1] = False
    leaf = student.clone().requires_grad_()
    loss = channel_loss(leaf, teacher, 2.0, counted)
    loss.backward()
    assert loss.item() == pytest.approx(channel_loss(student[:1], teacher[:1], 2.0).item() / 2, rel=1e-5)
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all() and not leaf.grad[1].any()
