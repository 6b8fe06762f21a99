"""Weights averaged along a training: the network that is looked at on val, and kept.

The weights of a single step carry the noise of the last few batches; their average over many steps does not, and lies
nearer to the middle of the valley that the training has found. The average reaches back over a fixed share of the steps
so far, not over a fixed number of them: one setting then fits a training of a hundred steps and one of a hundred
thousand, the random start is forgotten at once, and a training that stops early is averaged as well as any.

Running statistics of batch norm are averaged with the weights. They are averages already, of the same steps, and cost
nothing that way; estimated anew they would cost a pass over the training images at every look.

Reference:
    Karras et al. 2023, arXiv:2312.02696, section 3.1 (power-function averages: length as a share of the training);
    Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4) (why averages of weights converge faster).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from edgeseg.train.models import SegmentationNet

Tensors = tuple[Tensor, ...] | list[Tensor]


def decay_at(step: int, share: float) -> float:
    """How much of the average stays at a step, 0 at the first.

    `(1 - 1/t)^(1/share)`: after `t` steps the weights that are averaged are, in the mean, `share / (1 + share)` of `t`
    old, which for small shares is `share` itself.

    Args:
        step: From 1.
        share: Of the steps so far, in (0, 1].
    """
    return float((1.0 - 1.0 / step) ** (1.0 / share))


def averaged(model: SegmentationNet, share: float) -> AveragedModel:
    """A copy of a network to which `update_parameters(model)` adds the weights of each step.

    Args:
        model: Is copied.
        share: See `decay_at`.
    """

    @torch.no_grad()
    def add(average: Tensors, current: Tensors, n_steps: Tensor | int) -> None:
        if torch.is_floating_point(average[0]):
            torch._foreach_lerp_(average, current, 1.0 - decay_at(int(n_steps) + 1, share))
        else:  # counters of batch norm
            torch._foreach_copy_(average, current)

    average = AveragedModel(model, multi_avg_fn=add, use_buffers=True)  # type: ignore[arg-type]
    average.requires_grad_(False)
    return average
