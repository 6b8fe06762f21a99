"""Supervised losses: pixel-wise cross-entropy, Dice, focal, regions, and sums of them with class weights.

All take logits (N, K, H, W) and class ids (N, H, W); K = 1 means one sigmoid output for a binary task. Where the data
set has pixels that do not count, `SegmentationLoss` says which do, and every loss and gradient is that of these alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import LossConfig
from edgeseg.train.region_loss import regions
from edgeseg.train.true_class import class_masks, of_true_class

Term = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


def cross_entropy(
    logits: Tensor, target: Tensor, weights: Tensor | None = None, counted: Tensor | None = None
) -> Tensor:
    """Mean pixel-wise cross-entropy; binary cross-entropy where K = 1.

    Args:
        logits: float32 (N, K, H, W).
        target: int64 (N, H, W) class ids.
        weights: float32 (n_classes,) or None.
        counted: Which pixels count, bool (N, H, W); None if all do. The others have any class id in `target`.
    """
    if logits.shape[1] > 1:
        return _mean(-of_true_class(F.log_softmax(logits, dim=1), target), target, weights, counted)
    positive = None if weights is None else weights[1] / weights[0]
    truth = target.to(logits.dtype)
    if counted is None:
        return F.binary_cross_entropy_with_logits(logits[:, 0], truth, pos_weight=positive)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0], truth, pos_weight=positive, reduction="none")
    return _mean(loss, target, None, counted)


def dice(logits: Tensor, target: Tensor, weights: Tensor | None = None, counted: Tensor | None = None) -> Tensor:
    """Soft Dice loss over the whole batch, mean over foreground classes.

    Args: as `cross_entropy`; `weights` weigh the foreground classes.

    Reference:
        Milletari et al. 2016, arXiv:1606.04797, eq. 1, with the plain sum in the denominator.
    """
    probability, truth = _foreground(logits, target)  # (N, F, H, W) each
    if counted is not None:
        probability, truth = (one.where(counted[:, None], 0.0) for one in (probability, truth))
    axes = (0, 2, 3)
    overlap = (probability * truth).sum(axes)
    total = probability.sum(axes) + truth.sum(axes)
    loss = 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)
    if weights is None:
        return loss.mean()
    foreground = weights[1:]
    return (loss * foreground).sum() / foreground.sum()


def focal(logits: Tensor, target: Tensor, weights: Tensor | None = None, counted: Tensor | None = None) -> Tensor:
    """Focal loss with gamma 2, mean over pixels (Lin et al. 2017, arXiv:1708.02002, eq. 4).

    Args: as `cross_entropy`.
    """
    if logits.shape[1] > 1:
        log_p = of_true_class(F.log_softmax(logits, dim=1), target)
    else:
        sign = target.to(logits.dtype) * 2.0 - 1.0
        log_p = F.logsigmoid(logits[:, 0] * sign)
    return _mean(-((1.0 - log_p.exp()) ** 2) * log_p, target, weights, counted)


TERMS: dict[str, Term] = {
    "ce": cross_entropy,
    "bce": cross_entropy,
    "dice": dice,
    "focal": focal,
    "regions": regions,
}


class SegmentationLoss(torch.nn.Module):
    """The sum of the terms that a `LossConfig` names.

    Attributes:
        ignores: Whether targets may hold `IGNORED`. Set, not looked for: a GPU would wait for the answer in every step.
    """

    def __init__(self, config: LossConfig, n_classes: int) -> None:
        """Check the names and the number of class weights.

        Raises:
            ConfigError: For an unknown term, or when the weights do not match the classes.
        """
        super().__init__()
        names = [name.strip() for name in config.terms.split("+")]
        unknown = [name for name in names if name not in TERMS]
        if unknown:
            raise ConfigError(f"loss term {unknown[0]!r} is unknown; join any of {', '.join(TERMS)} with '+'")
        if config.class_weights and len(config.class_weights) != n_classes:
            raise ConfigError(
                f"loss.class_weights has {len(config.class_weights)} numbers for {n_classes} classes; give one a class"
            )
        if "bce" in names and n_classes != 2:
            raise ConfigError(f"loss term 'bce' needs 2 classes, the data has {n_classes}; use 'ce'")
        self.terms = [TERMS[name] for name in names]
        self.ignores = False
        weights = torch.tensor(config.class_weights) if config.class_weights else None
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of float32 logits (N, K, H, W) and int64 ids (N, H, W); 0 where no pixel counts."""
        weights: Tensor | None = self.weights  # type: ignore[assignment]
        counted = None
        if self.ignores:
            counted = target != IGNORED
            target = target.where(counted, 0)
        return torch.stack([term(logits, target, weights, counted) for term in self.terms]).sum()


def _mean(loss: Tensor, target: Tensor, weights: Tensor | None, counted: Tensor | None) -> Tensor:
    """Of the losses of all pixels (N, H, W) that count, each with the weight of its class; 0 if none counts."""
    if counted is None:
        if weights is None:
            return loss.mean()
        pixel_weights = weights[target]
        return (loss * pixel_weights).sum() / pixel_weights.sum()
    pixel_weights = counted.to(loss.dtype) if weights is None else weights[target] * counted
    # Chosen, not multiplied: what is infinite there must not become NaN.
    total = (loss.where(counted, 0.0) * pixel_weights).sum()
    return total / pixel_weights.sum().clamp(min=torch.finfo(loss.dtype).tiny)


def _foreground(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if logits.shape[1] == 1:
        return logits.sigmoid(), target[:, None].to(logits.dtype)
    return logits.softmax(dim=1)[:, 1:], class_masks(target, logits.shape[1], logits.dtype)[:, 1:]
