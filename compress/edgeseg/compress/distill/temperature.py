"""How sure a teacher may sound: one temperature that fits its probabilities to the truth of val.

A network that was trained until it knows its images by heart is surer than it is right. What it says by mistake it then
says with a probability near 1, and a student that follows it learns false alarms as if they were certain.

Reference:
    Guo et al. 2017, arXiv:1706.04599, section 4.2 (temperature scaling): one scalar for all classes, which leaves the
    most probable class what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.train.true_class import of_true_class

LOWEST, HIGHEST = 0.1, 10.0  # of a network that is never wrong on val, or never right, there is no best one
_TOLERANCE = 1e-4  # relative


def fit_temperature(answers: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The temperature whose probabilities have the lowest negative log-likelihood.

    Args:
        answers: Batches of logits float32 (N, K, H, W), K = 1 meaning a sigmoid output, and int64 (N, H, W) class ids,
            where `IGNORED` does not count.

    Returns:
        Between `LOWEST` and `HIGHEST`; above 1 where the network is surer than it is right. 1 where no pixel counts.
    """
    if not any((target != IGNORED).any() for _, target in answers):
        return 1.0
    # The likelihood is convex in 1 / T: its slope there has one root, which halving finds.
    low, high = math.log(1.0 / HIGHEST), math.log(1.0 / LOWEST)
    while high - low > _TOLERANCE:
        middle = (low + high) / 2.0
        if _slope(answers, math.exp(middle)) > 0.0:
            high = middle
        else:
            low = middle
    return round(math.exp(-(low + high) / 2.0), 4)


def _slope(answers: Sequence[tuple[Tensor, Tensor]], inverse: float) -> float:
    """Derivative of the negative log-likelihood by 1 / T: how much larger the expected logit is than the true one."""
    total = torch.zeros((), dtype=torch.float64)
    for logits, target in answers:
        counted = target != IGNORED
        truth = target.where(counted, 0)
        if logits.shape[1] > 1:
            expected = (F.softmax(logits * inverse, dim=1) * logits).sum(dim=1)
            excess = expected - of_true_class(logits, truth)
        else:
            excess = ((logits[:, 0] * inverse).sigmoid() - truth.to(logits.dtype)) * logits[:, 0]
        total += excess.where(counted, 0.0).sum(dtype=torch.float64).cpu()
    return float(total)
