"""Channel-wise distillation: where in the image each class is, beside which class each pixel is of.

Each channel's logits are made a distribution over the pixels of its image, so that the term looks at the places a class
is most likely to be at, however few they are; a background that is right everywhere adds next to nothing.

Reference:
    Shu et al. 2021, arXiv:2011.13256, equations 2 to 5, on logits. They take the logits as they come. Here they are
    centred over the classes first: what is added to all logits of a pixel changes no answer, and must not change the
    term either (an ensemble's answer has no such part of its own).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_NOWHERE = -1e9  # a logit whose pixel has no share


def channel_loss(student: Tensor, teacher: Tensor, temperature: float, counted: Tensor | None = None) -> Tensor:
    """Kullback-Leibler divergence between the distributions over pixels, 0 where they agree.

    Args:
        student: Logits float32 (N, K, H, W).
        teacher: Logits float32 (N, K, H, W); K = 1 means a sigmoid output, whose one channel is the foreground's.
        temperature: Softens both distributions.
        counted: Which pixels count, bool (N, H, W); None if all do.

    Returns:
        A scalar: the sum over pixels, mean over channels and images, times T^2; 0 for an image of which nothing counts.
    """
    log_student, log_teacher = (_over_pixels(one, temperature, counted) for one in (student, teacher))
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=2)  # (N, K)
    return divergence.mean() * temperature**2


def _over_pixels(logits: Tensor, temperature: float, counted: Tensor | None) -> Tensor:
    """Log-probability of each pixel in its channel, (N, K, H, W) to (N, K, H * W)."""
    if logits.shape[1] > 1:
        logits = logits - logits.mean(dim=1, keepdim=True)
    scaled = logits / temperature
    if counted is not None:
        scaled = scaled.masked_fill(~counted[:, None], _NOWHERE)
    return F.log_softmax(scaled.flatten(2), dim=2)
