"""Feature hints: what the student sees just before its last layer is to hold what the teacher sees there.

A 1x1 convolution, the adapter, turns the student's features into the teacher's; it is trained with the student and
thrown away. Nothing of it ships.

Reference:
    Romero et al. 2015, arXiv:1412.6550, equation 3 (hints through a regressor), with a 1x1 convolution as regressor,
    relative to the size of the teacher's features so that one weight suits all teachers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.compress.distill.ensemble import NO_FLIP, Ensemble, members_of
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet


class Hints(nn.Module):
    """The adapter between two networks, and the loss of their features."""

    def __init__(self, student: SegmentationNet, teacher: SegmentationNet, seed: int) -> None:
        """Find the last layers.

        Args:
            student: Is trained.
            teacher: Is asked; the very network, for its features are watched.
            seed: Of the adapter's initial weights.

        Raises:
            ConfigError: If several networks or mirrored views teach, or a network has no `head`.
        """
        super().__init__()
        members, plain = members_of(teacher), not isinstance(teacher, Ensemble) or teacher.flips == (NO_FLIP,)
        if len(members) > 1 or not plain:
            raise ConfigError(
                "distill.hint_weight needs the features of one network that is asked about one view; set "
                "teacher.seeds to 1 and distill.flips to false, or distill.hint_weight to 0"
            )
        # In a list, so that they are no part of this module and of its state.
        self._heads = [_head(student, "student"), _head(members[0], "teacher")]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapter = nn.Conv2d(self._heads[0].in_channels, self._heads[1].in_channels, 1)
        self._seen: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep the features of both networks, each asked once, student first, while within."""
        self._seen = []
        handles = [
            head.register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0])) for head in self._heads
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def loss(self, counted: Tensor | None = None) -> Tensor:
        """Mean squared difference of what was seen last, as a share of the teacher's mean square.

        Args:
            counted: Which pixels of the image count, bool (N, H, W); None if all do.

        Returns:
            A scalar; 1 where the adapter says nothing at all.
        """
        student, teacher = self._seen
        size = (student.shape[-2], student.shape[-1])
        expected = F.adaptive_avg_pool2d(teacher.detach().float(), size)
        squares = (self.adapter(student).float() - expected) ** 2
        if counted is None:
            return squares.mean() / expected.square().mean().clamp(min=1e-6)
        shares = F.adaptive_avg_pool2d(counted[:, None].float(), size)  # (N, 1, h, w)
        return (shares * squares).sum() / (shares * expected.square()).sum().clamp(min=1e-6)


def _head(network: SegmentationNet, which: str) -> nn.Conv2d:
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Conv2d):
        raise ConfigError(
            f"distill.hint_weight reads the features before a last layer `head`, but the {which} has none"
        )
    return head
