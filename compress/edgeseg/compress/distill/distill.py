"""Distillation: the student learns the teacher's soft answer beside the truth, and what other terms have a weight.

Reference:
    Hinton et al. 2015, arXiv:1503.02531, section 2 (temperature, T^2); pixels are averaged per true class first, so
    that a rare defect weighs as much as the background (class re-weighting as in arXiv:1812.00249).

On pixels that do not count the teacher's answer does not count either: nobody told the teacher what is there, and
averaged by true class they have no class to be averaged with.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

from edgeseg.compress.distill.boundary import boundary_weights
from edgeseg.compress.distill.channels import channel_loss
from edgeseg.compress.distill.ensemble import folded
from edgeseg.compress.distill.hints import Hints
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import TrainConfig
from edgeseg.train.datamodule import UNLABELLED
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class DistillConfig:
    """How much of the teacher goes into the loss.

    Attributes:
        temperature: Softens both answers; 1 keeps them as they are.
        alpha: Weight of the soft loss in [0, 1]; the supervised loss has 1 - alpha.
        class_balanced: Average the soft loss per true class first, then over the classes present: a rare class then
            weighs as much as the background.
        boundary_weight: How much more a pixel near a border counts in the soft loss (`boundary`).
        channel_weight: Of the channel-wise term (`channels`), added to the two losses.
        hint_weight: Of the features' term (`hints`), added to them.
    """

    temperature: float = 2.0
    alpha: float = 0.7
    class_balanced: bool = False
    boundary_weight: float = 0.0
    channel_weight: float = 0.0
    hint_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"distill.temperature is {self.temperature}; set it above 0 (2 to 4 is usual)")
        if not 0.0 <= self.alpha <= 1.0:
            raise ConfigError(f"distill.alpha is {self.alpha}, but is a share; set it between 0 and 1")
        for name in ("boundary_weight", "channel_weight", "hint_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"distill.{name} is {getattr(self, name)}; set it to 0 (off) or more")


def soft_loss(
    student: Tensor, teacher: Tensor, target: Tensor, config: DistillConfig, *, ignores: bool = False
) -> Tensor:
    """Kullback-Leibler divergence between softened answers, 0 where they agree.

    Args:
        student: Logits float32 (N, K, H, W).
        teacher: Logits float32 (N, K, H, W); K = 1 means a sigmoid output.
        target: int64 (N, H, W) class ids, used for balancing, and to know the pixels that do not count.
        config: Temperature, balancing and the weight of borders.
        ignores: Whether `target` may hold `IGNORED`.

    Returns:
        A scalar, scaled by T^2 so that its gradient does not shrink with the temperature; 0 where no pixel counts.
    """
    divergence = _divergence(student / config.temperature, teacher / config.temperature)  # (N, H, W)
    weights = None
    if config.boundary_weight:
        weights = boundary_weights(target, class_ids(teacher), config.boundary_weight)
        divergence = divergence * weights
    if config.class_balanced:
        # One masked sum a class: `index_add` with millions of pixels on a few classes takes a GPU many times as long.
        masks = [target == index for index in range(max(2, student.shape[1]))]
        sizes = torch.stack([_size(mask, weights) for mask in masks])
        sums = torch.stack([divergence.where(mask, divergence.new_zeros(())).sum() for mask in masks])
        present = sizes > 0
        shares = sums[present] / sizes[present]
        mean = shares.mean() if len(shares) else sums.sum()
    elif ignores or weights is not None:
        counted = target != IGNORED
        mean = divergence.where(counted, 0.0).sum() / _size(counted, weights).clamp(min=1)
    else:
        mean = divergence.mean()
    return mean * config.temperature**2


def class_ids(logits: Tensor) -> Tensor:
    """The most probable class of each pixel: logits (N, K, H, W) to int64 (N, H, W)."""
    return logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


def _size(mask: Tensor, weights: Tensor | None) -> Tensor:
    return mask.sum() if weights is None else weights.where(mask, 0.0).sum()


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    if student.shape[1] > 1:
        log_student, log_teacher = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
        return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1)
    student, teacher = student[:, 0], teacher[:, 0]
    truth = teacher.sigmoid()
    positive = truth * (F.logsigmoid(teacher) - F.logsigmoid(student))
    return positive + (1.0 - truth) * (F.logsigmoid(-teacher) - F.logsigmoid(-student))


class DistillationModule(SegmentationModule):
    """Training of a student with a frozen teacher beside it."""

    def __init__(
        self,
        model: SegmentationNet,
        teacher: SegmentationNet,
        config: TrainConfig,
        distill: DistillConfig,
        *,
        n_classes: int,
        total_steps: int,
    ) -> None:
        """Freeze the teacher and keep it out of the state dictionary.

        Raises:
            ConfigError: If teacher and student differ in their outputs.
        """
        super().__init__(model, config, n_classes, total_steps)
        if model.n_outputs != teacher.n_outputs:
            raise ConfigError(
                f"teacher and student have {teacher.n_outputs} and {model.n_outputs} outputs; train both on one data"
            )
        self.distill = distill
        frozen = folded(teacher)
        frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        # In a list, so that Lightning neither saves the teacher with every state nor sets it to training mode.
        self._teacher = [frozen]
        self.unlabelled = False  # whether images without a mask are among those of training
        self.hints = Hints(model, frozen, config.seed) if distill.hint_weight else None

    def compute_loss(self, x: Tensor, target: Tensor, answer: Tensor | None = None) -> Tensor:
        """(1 - alpha) times the supervised loss plus alpha times the soft loss, plus the terms that have a weight.

        Args:
            x: float32 (N, C, H, W) in [0, 1].
            target: int64 (N, H, W) class ids.
            answer: The teacher's logits of `x` at its own output size, or None to ask it.
        """
        config = self.distill
        with self.hints.watching() if self.hints is not None else nullcontext():
            logits = self(x)
            asked = self._ask(x) if answer is None and self._is_heard else answer
        supervised = self._supervised(logits, target)
        if asked is None or not self._is_heard:
            return supervised
        asked = self.upsample(asked, x)
        if self.unlabelled:  # what the teacher sees there stands for the truth where classes are balanced
            target = torch.where(target == UNLABELLED, class_ids(asked), target)
        counted = target != IGNORED if self.loss.ignores else None
        loss = supervised
        if config.alpha:
            soft = soft_loss(logits, asked, target, config, ignores=self.loss.ignores)
            loss = (1.0 - config.alpha) * supervised + config.alpha * soft
        if config.channel_weight:
            loss = loss + config.channel_weight * channel_loss(logits, asked, config.temperature, counted)
        if self.hints is not None:
            loss = loss + config.hint_weight * self.hints.loss(counted)
        return loss

    def learning(self) -> list[Parameter]:
        """The student's parameters, and those of the hints' adapter."""
        return super().learning() + ([] if self.hints is None else list(self.hints.parameters()))

    def _supervised(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of the images that have a mask."""
        loss: Tensor
        if not self.unlabelled:
            loss = self.loss(logits, target)
            return loss
        known = (target != UNLABELLED).flatten(1).any(dim=1)
        loss = self.loss(logits[known], target[known]) if known.any() else logits.sum() * 0.0
        return loss

    @property
    def _is_heard(self) -> bool:
        return any((self.distill.alpha, self.distill.channel_weight, self.distill.hint_weight))

    @torch.no_grad()
    def _ask(self, x: Tensor) -> Tensor:
        answer: Tensor = self._teacher[0].to(x.device)(x)
        return answer
