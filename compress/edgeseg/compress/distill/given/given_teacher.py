"""A teacher that the recipe names in the place of the row `teacher`: asked as it is, and never trained."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet

_SUM = 1e-3  # how near to 1 the planes of probabilities add up


class GivenTeacher(SegmentationNet):
    """A network that is not ours: it has no parameters that anything here would find, fold or train.

    Attributes:
        sha256: Of the file that it comes from.
        where: How messages begin.
        function: `module:function` where that is Python's file.
    """

    stride = output_stride = 1
    function: str | None = None

    def __init__(self, where: str, sha256: str, n_outputs: int) -> None:
        """Keep what it is.

        Args:
            where: How messages begin.
            sha256: Of its file.
            n_outputs: Logit planes that the student has.
        """
        super().__init__()
        self.where, self.sha256, self.n_outputs = where, sha256, n_outputs
        self._answered = False

    def __deepcopy__(self, _: dict[int, Any]) -> GivenTeacher:
        return self  # a session cannot be copied, and nothing of it changes

    def checked(self, answer: Tensor, count: int) -> Tensor:
        """An answer, if a student can follow it.

        Args:
            answer: About `count` images.
            count: Of images.

        Returns:
            Logits float32 (N, K, h, w).

        Raises:
            ConfigError: If it is no batch of logits of K planes, or a value is not finite.
        """
        if not self._answered:
            self._check_kind(answer, count)
            self._answered = True
        if not answer.isfinite().all():
            raise ConfigError(f"{self.where}, which answers values that are not finite; a student cannot follow them")
        return answer.float()

    def _check_kind(self, answer: Tensor, count: int) -> None:
        shape = tuple(answer.shape)
        if len(shape) != 4 or shape[:2] != (count, self.n_outputs):
            raise ConfigError(
                f"{self.where}, which answers {shape}; the student has {self.n_outputs} planes: it must answer logits "
                f"({count}, {self.n_outputs}, height, width)"
            )
        total = answer.float().sum(dim=1) if self.n_outputs > 1 else answer.new_ones(1)
        if answer.min() >= 0.0 and answer.max() <= 1.0 and (total - 1.0).abs().max() < _SUM:
            raise ConfigError(
                f"{self.where}, which answers probabilities; cut off its last step, a softmax or sigmoid, so that it "
                "answers logits"
            )
