"""Which class each pixel is of, and what a network says of that one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def class_masks(target: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
    """1 where a pixel is of a class, else 0: int64 ids (N, H, W) to (N, n_classes, H, W) of `dtype`."""
    return F.one_hot(target, n_classes).movedim(-1, 1).to(dtype)


def of_true_class(values: Tensor, target: Tensor) -> Tensor:
    """Of one value a class, that of the true one: float (N, K, H, W) and int64 (N, H, W) to float (N, H, W).

    A sum over a mask rather than `gather` or `F.cross_entropy`: on a GPU the backward pass of the one and the forward
    pass of the other are slow, or differ from run to run.
    """
    return (values * class_masks(target, values.shape[1], values.dtype)).sum(dim=1)
