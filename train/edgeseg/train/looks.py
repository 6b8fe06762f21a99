"""Which look at val is kept: one that its neighbours bear out.

Dice on a small val goes up and down by points from look to look (0.65, 0.86, 0.67 on a set of ours). The best look of
many is then the luckiest one, and its figure is too good by as much. So a look counts as the median of itself and its
two neighbours, and never as more than itself: a single high look weighs nothing, two in a row weigh as the lower one,
and a low one gains nothing by high neighbours. The first and the last look have one neighbour, and count as the lower
of the two. Of equals the later is kept, which a falling learning rate and the average of more steps favour.

The last look alone would be simpler, and on a falling schedule is nearly always what this rule keeps too; but a
training that overfits in its second half would lose what it had.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from edgeseg.train.checkpoint_io import SafeCheckpointIO
from edgeseg.train.lightning_module import SegmentationModule


def kept_look(dice: Sequence[float]) -> int:
    """Index of the look that is kept.

    Args:
        dice: Of at least one look, in order.
    """
    steady = _steady(dice)
    return max(range(len(steady)), key=lambda index: (steady[index], index))


def open_looks(dice: Sequence[float]) -> set[int]:
    """Indices of the looks that could still be kept: the last, whose next neighbour is not known, and the best before.

    Args:
        dice: Of the looks so far.
    """
    decided = _steady(dice)[:-1]
    best = max(range(len(decided)), key=lambda index: (decided[index], index), default=0)
    return {best, len(dice) - 1} if dice else set()


def _steady(dice: Sequence[float]) -> list[float]:
    around = (dice[max(0, index - 1) : index + 2] for index in range(len(dice)))
    return [min(own, statistics.median_low(three)) for own, three in zip(dice, around, strict=True)]


class Looks(Callback):
    """Writes the network of each look at val, and removes those that can no longer be kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a look; what the resume state, which is a look behind, may still need stays."""
        assert isinstance(pl_module, SegmentationModule)
        if not trainer.is_global_zero:
            return
        *before, row = pl_module.history
        wanted = {look_file(self.folder, before[index]) for index in open_looks([one["val_dice"] for one in before])}
        for path in self.folder.glob("look-*.ckpt"):
            if path not in wanted:
                path.unlink()
        state = {"state_dict": pl_module.network.state_dict()}
        SafeCheckpointIO().save_checkpoint(state, look_file(self.folder, row))


def look_file(folder: Path, row: dict[str, float]) -> Path:
    """Where the network of a row of `SegmentationModule.history` lies."""
    return folder / f"look-{row['epoch']:.0f}.ckpt"


def load_look(folder: Path, row: dict[str, float]) -> dict[str, torch.Tensor]:
    """The state of the network of a look.

    Raises:
        TrainingError: If the file is damaged.
    """
    state: dict[str, torch.Tensor] = SafeCheckpointIO().load_checkpoint(look_file(folder, row))["state_dict"]
    return state
