"""The networks of one teacher on disk: the first as every checkpoint, the others in `members/` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.compress.distill.ensemble import Ensemble
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import SegmentationNet

_FURTHER = "members"


def save_member(folder: Path, index: int, model: SegmentationNet, meta: dict[str, Any]) -> None:
    """Put the index-th network, from 1 on, beside the first.

    Args:
        folder: Of the first network's checkpoint.
        index: Its place.
        model: The network.
        meta: What is said of it.
    """
    save_checkpoint(folder / _FURTHER / str(index), model, meta)


def load_teacher(folder: Path) -> SegmentationNet:
    """What a student follows: the network of a checkpoint, or an `Ensemble` of it and those beside it.

    Raises:
        TrainingError: As `load_checkpoint`.
    """
    first, _ = load_checkpoint(folder)
    places = sorted((folder / _FURTHER).glob("*"), key=lambda place: int(place.name))
    return Ensemble([first, *(load_checkpoint(place)[0] for place in places)]).eval() if places else first
