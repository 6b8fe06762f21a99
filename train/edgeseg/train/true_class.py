"""What a network says of each pixel's own class."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def of_true_class(values: Tensor, target: Tensor) -> Tensor:
    """Of one value a class, that of the true one: float (N, K, H, W) and int64 (N, H, W) to float (N, H, W).

    A sum over a mask rather than `gather` or `F.cross_entropy`: on a GPU the backward pass of the one and the forward
    pass of the other are slow, or differ from run to run.
    """
    mask = F.one_hot(target, values.shape[1]).movedim(-1, 1).to(values.dtype)
    return (values * mask).sum(dim=1)
