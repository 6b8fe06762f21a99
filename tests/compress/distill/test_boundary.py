"""Weights near borders, by hand; and what they do to the soft loss."""

from __future__ import annotations

import pytest
import torch

from edgeseg.compress.distill.boundary import boundary_weights
from edgeseg.compress.distill.distill import DistillConfig, soft_loss
from edgeseg.runtime.data.ignored import IGNORED


def _ids(*rows: str) -> torch.Tensor:
    return torch.tensor([[IGNORED if one == "x" else int(one) for one in row] for row in rows])[None]


def test_near_means_within_two_pixels_of_another_class() -> None:
    target, nothing = _ids("0000011111"), _ids("0000000000")
    expected = torch.tensor([[[1, 1, 1, 4, 4, 4, 4, 1, 1, 1]]]).float()
    assert torch.equal(boundary_weights(target, nothing, 3.0), expected)
    assert torch.equal(boundary_weights(nothing, target, 3.0), expected)
    assert torch.equal(boundary_weights(target.mT, nothing.mT, 3.0), expected.mT)
    assert torch.equal(boundary_weights(2 * target + 1, nothing, 3.0), expected)


def test_both_masks_have_borders_and_the_images_edge_is_none() -> None:
    found = boundary_weights(_ids("1111111111"), _ids("0111111111"), 1.0)
    assert found[0, 0].tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert (boundary_weights(_ids("1111", "1111"), _ids("2222", "2222"), 1.0) == 1).all()


def test_ignored_pixels_make_no_border() -> None:
    found = boundary_weights(_ids("11111xxxx0"), _ids("0000000000"), 1.0)
    assert found[0, 0].tolist() == [1] * 10
    found = boundary_weights(_ids("11111x0000"), _ids("0000000000"), 1.0)  # but do not hide one that is near
    assert found[0, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("ignores", [True, False])
def test_the_soft_loss_is_the_weighted_mean(balanced: bool, ignores: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    student, teacher = torch.randn((2, 1, 3, 12, 12), generator=generator)
    teacher = teacher + 9 * torch.eye(3)[0][None, :, None, None]  # one class throughout: borders are the truth's alone
    target = _ids(*["000000111111"] * 12)
    if ignores:
        target[:, 6:] = IGNORED
    config = DistillConfig(temperature=1.0, class_balanced=balanced, boundary_weight=3.0)
    each = (teacher.softmax(1) * (teacher.log_softmax(1) - student.log_softmax(1))).sum(1)
    weights = torch.tensor([1.0, 1, 1, 1, 4, 4, 4, 4, 1, 1, 1, 1]).expand(1, 12, 12)

    def mean(mask: torch.Tensor) -> torch.Tensor:
        return (each * weights)[mask].sum() / weights[mask].sum()

    expected = (mean(target == 0) + mean(target == 1)) / 2 if balanced else mean(target != IGNORED)
    found = soft_loss(student, teacher, target, config, ignores=ignores)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert found.item() != pytest.approx(
        soft_loss(student, teacher, target, DistillConfig(1.0, 0.7, balanced), ignores=ignores).item(), rel=1e-3
    )
