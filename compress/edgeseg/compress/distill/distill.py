"""Logit distillation: the student learns the teacher's soft answer beside the truth.

Reference:
    Hinton et al. 2015, arXiv:1503.02531, section 2 (temperature, T^2); pixels are averaged per true class first, so
    that a rare defect weighs as much as the background (class re-weighting as in arXiv:1812.00249).

On pixels that do not count the teacher's answer does not count either: nobody told the teacher what is there, and
averaged by true class they have no class to be averaged with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.compress.distill.ensemble import folded
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import TrainConfig
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class DistillConfig:
    """How much of the teacher goes into the loss.

    Attributes:
        temperature: Softens both answers; 1 keeps them as they are.
        alpha: Weight of the soft loss in [0, 1]; the supervised loss has 1 - alpha.
        class_balanced: Average the soft loss per true class first, then over the classes present.
    """

    temperature: float = 2.0
    alpha: float = 0.7
    class_balanced: bool = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"distill.temperature is {self.temperature}; set it above 0 (2 to 4 is usual)")
        if not 0.0 <= self.alpha <= 1.0:
            raise ConfigError(f"distill.alpha is {self.alpha}, but is a share; set it between 0 and 1")


def soft_loss(
    student: Tensor, teacher: Tensor, target: Tensor, config: DistillConfig, *, ignores: bool = False
) -> Tensor:
    """Kullback-Leibler divergence between softened answers, 0 where they agree.

    Args:
        student: Logits float32 (N, K, H, W).
        teacher: Logits float32 (N, K, H, W); K = 1 means a sigmoid output.
        target: int64 (N, H, W) class ids, used for balancing, and to know the pixels that do not count.
        config: Temperature and balancing.
        ignores: Whether `target` may hold `IGNORED`.

    Returns:
        A scalar, scaled by T^2 so that its gradient does not shrink with the temperature; 0 where no pixel counts.
    """
    divergence = _divergence(student / config.temperature, teacher / config.temperature)  # (N, H, W)
    if config.class_balanced:
        # One masked sum a class: `index_add` with millions of pixels on a few classes takes a GPU many times as long.
        masks = [target == index for index in range(max(2, student.shape[1]))]
        sizes = torch.stack([mask.sum() for mask in masks])
        sums = torch.stack([divergence.where(mask, divergence.new_zeros(())).sum() for mask in masks])
        present = sizes > 0
        shares = sums[present] / sizes[present]
        mean = shares.mean() if len(shares) else sums.sum()
    elif ignores:
        counted = target != IGNORED
        mean = divergence.where(counted, 0.0).sum() / counted.sum().clamp(min=1)
    else:
        mean = divergence.mean()
    return mean * config.temperature**2


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

    def compute_loss(self, x: Tensor, target: Tensor, answer: Tensor | None = None) -> Tensor:
        """(1 - alpha) times the supervised loss plus alpha times the soft loss.

        Args:
            x: float32 (N, C, H, W) in [0, 1].
            target: int64 (N, H, W) class ids.
            answer: The teacher's logits of `x` at its own output size, or None to ask it.
        """
        logits = self(x)
        supervised = self.loss(logits, target)
        if self.distill.alpha == 0.0:
            return supervised
        with torch.no_grad():
            asked = self._teacher[0].to(x.device)(x) if answer is None else answer
        soft = soft_loss(logits, self.upsample(asked, x), target, self.distill, ignores=self.loss.ignores)
        return (1.0 - self.distill.alpha) * supervised + self.distill.alpha * soft
