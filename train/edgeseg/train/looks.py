"""The networks of the looks at val that may still be kept, on disk while a training goes on."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from edgeseg.train.checkpoint_io import SafeCheckpointIO
from edgeseg.train.kept_look import open_looks
from edgeseg.train.lightning_module import SegmentationModule


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
