"""Several networks, each asked about the image and its mirrored views, as one teacher with one answer.

Probabilities are averaged, not logits: a network that is sure of a wrong answer would outvote the others by the size of
its logits alone.

Reference:
    Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4 (uniform average of the members' probabilities).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.compress.distill.given.given_teacher import GivenTeacher
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import AugmentConfig
from edgeseg.train.models import SegmentationNet

_ROWS, _COLUMNS = 2, 3  # axes of (N, C, H, W)
Flip = tuple[int, ...]  # the axes that are reversed
NO_FLIP: Flip = ()


class Ensemble(SegmentationNet):
    """Networks of one task and one output size, whose averaged answer is given as logits.

    Attributes:
        members: The networks.
        temperatures: By which each member's logits are divided before they become probabilities.
        flips: Mirrored views that each member is asked about, beside or instead of the image itself.
    """

    def __init__(
        self, members: Sequence[SegmentationNet], temperatures: Sequence[float] = (), flips: Sequence[Flip] = (NO_FLIP,)
    ) -> None:
        """Put networks together.

        Raises:
            ConfigError: If they differ in their outputs.
        """
        super().__init__()
        ends = {(int(one.n_outputs), int(one.output_stride)) for one in members}
        if len(ends) != 1:
            raise ConfigError(f"members of one teacher differ in (outputs, output stride): {sorted(ends)}")
        self.members = nn.ModuleList(members)
        self.temperatures = tuple(temperatures) or (1.0,) * len(members)
        self.flips = tuple(flips)
        self.n_outputs, self.output_stride = ends.pop()
        self.stride = max(int(one.stride) for one in members)

    @property
    def arch(self) -> dict[str, Any]:
        """What it is put together of; beside the weights all that its answer depends on."""
        members = [one.arch for one in self.networks]
        flips = [list(flip) for flip in self.flips]
        return {"name": "ensemble", "members": members, "temperatures": list(self.temperatures), "flips": flips}

    @property
    def networks(self) -> list[SegmentationNet]:
        """The members with their type."""
        return [one for one in self.members if isinstance(one, SegmentationNet)]

    def forward(self, x: Tensor) -> Tensor:
        """Average what all members say about all views.

        Args:
            x: float32 (N, C, H, W) in [0, 1]; H and W multiples of `stride`.

        Returns:
            Logits float32 (N, K, H / s, W / s) of the averaged probabilities, s = `output_stride`. With several outputs
            they are log-probabilities; one member's answer to one view stays what it is but for its temperature.
        """
        answers = [
            self._asked(member, x, flip) / temperature
            for member, temperature in zip(self.members, self.temperatures, strict=True)
            for flip in self.flips
        ]
        return answers[0] if len(answers) == 1 else mean_answer(torch.stack(answers))

    def _asked(self, member: nn.Module, x: Tensor, flip: Flip) -> Tensor:
        if not flip:
            return member(x).float()  # type: ignore[no-any-return]
        mirrored = x.flip(flip).contiguous(memory_format=torch.channels_last)
        return member(mirrored).float().flip(flip)  # type: ignore[no-any-return]


def mean_answer(logits: Tensor) -> Tensor:
    """Logits of the mean of probabilities.

    Args:
        logits: float32 (M, N, K, H, W) of M answers; K = 1 means a sigmoid output.

    Returns:
        float32 (N, K, H, W): the logarithm of the mean for K > 1, its logit for K = 1.
    """
    count = math.log(len(logits))
    if logits.shape[2] > 1:
        return F.log_softmax(logits, dim=2).logsumexp(dim=0) - count
    return F.logsigmoid(logits).logsumexp(dim=0) - F.logsigmoid(-logits).logsumexp(dim=0)


def allowed_flips(augment: AugmentConfig) -> tuple[Flip, ...]:
    """The image itself and the mirrored views that training shows as well; nothing is turned that must stay upright."""
    axes = [axis for axis, allowed in ((_COLUMNS, augment.flip_horizontal), (_ROWS, augment.flip_vertical)) if allowed]
    both = [tuple(axes)] if len(axes) > 1 else []
    return (NO_FLIP, *((axis,) for axis in axes), *both)


def members_of(network: SegmentationNet) -> list[SegmentationNet]:
    """The networks of an ensemble, or the one network that it is."""
    return network.networks if isinstance(network, Ensemble) else [network]


def folded(network: SegmentationNet) -> SegmentationNet:
    """A copy for asking alone: batch norm folded, in evaluation mode, without gradients, on the CPU.

    With batch norm folded a forward pass takes about a sixth less. A `GivenTeacher` is what it is.
    """
    if isinstance(network, GivenTeacher):
        return network
    if isinstance(network, Ensemble):
        made = Ensemble([folded(one) for one in network.networks], network.temperatures, network.flips)
        return made.eval()
    return cast(SegmentationNet, fold_batch_norm(network).requires_grad_(False))
