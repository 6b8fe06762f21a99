"""One training from start to finish: resumes where it was killed, keeps the network that is best on val."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from edgeseg.runtime.files.atomic import write_json
from edgeseg.train.checkpoint_io import SafeCheckpointIO
from edgeseg.train.config import TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.kept_look import kept_look
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.looks import Looks, load_look
from edgeseg.train.stopped import stops_told

_FINISHED = "finished.json"

Progress = Callable[[int, int, dict[str, float]], None]  # epochs done, epochs in all, newest figures


@dataclass(frozen=True)
class FitResult:
    """What a training gives beside the network, which is left holding the weights of the look that was kept.

    Attributes:
        history: Rows `epoch, train_loss, val_dice`, one a look at val; Dice is the mean over foreground classes, at
            network size, in [0, 1].
    """

    history: list[dict[str, float]]

    @property
    def kept(self) -> dict[str, float]:
        """The row of the look whose weights are kept; see `kept_look`."""
        return self.history[kept_look([row["val_dice"] for row in self.history])]

    @property
    def highest_val_dice(self) -> float:
        """Of the luckiest look, which need not be the one that is kept."""
        return max(row["val_dice"] for row in self.history)


def fit(
    module: SegmentationModule,
    data: SegmentationData,
    folder: Path,
    progress: Progress | None = None,
    before_batch: Callable[[], None] | None = None,
) -> FitResult:
    """Train, or go on with a training that was interrupted in `folder`.

    Args:
        module: Holds the network and the configuration; the network ends with the weights of the look at val that is
            kept, averaged where the configuration says so.
        data: Train and val loaders.
        folder: Resume state and TensorBoard log; the caller deletes or keeps it.
        progress: Called after every epoch.
        before_batch: Called before every batch, of val as well; may wait, so that a training makes way for something
            else. Not called where several processes train one network.

    Raises:
        TrainingError: If the loss becomes NaN, a resume state cannot be read, or a process that loads images ends.
        SystemExit: After SIGTERM, with 143; what was trained stays in `folder`.
    """
    if not (folder / _FINISHED).is_file():
        _train(module, data, folder, _Report(progress, before_batch, module.config.epochs))
        write_json(folder / _FINISHED, {"history": module.history})
    # A run killed from here on must not train any further.
    result = FitResult(json.loads((folder / _FINISHED).read_bytes())["history"])
    module.model.load_state_dict(load_look(folder, result.kept))
    module.model.eval()
    return result


def _train(module: SegmentationModule, data: SegmentationData, folder: Path, report: Callback) -> None:
    """Run Lightning's loop to its end; leaves the networks of the looks that could be kept."""
    config = module.config
    assert module.loss.ignores == (data.data.ignore is not None), "the loss must know of pixels that do not count"
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)
    # For the whole process: a debugging aid of deterministic algorithms, every tensor filled before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    quiet_lightning()
    last = ModelCheckpoint(
        folder,
        filename="last",
        every_n_epochs=config.look_every,
        save_on_train_epoch_end=True,  # after validation, so that a resume starts with a fresh epoch
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [Looks(folder), last, report]
    if config.patience:
        callbacks.append(EarlyStopping("val_dice_steady", patience=config.patience, mode="max"))
    trainer = make_trainer(config, folder, callbacks)
    resume = folder / "last.ckpt"
    module.train()  # Lightning leaves a network in the mode it finds it in, and a loaded one is in evaluation mode
    for network in {module.model, module.network}:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    with stops_told(trainer):
        trainer.fit(module, data, ckpt_path=str(resume) if resume.is_file() else None, weights_only=False)


def make_trainer(config: TrainConfig, folder: Path, callbacks: list[Callback], **overrides: Any) -> L.Trainer:
    """Lightning's trainer for one run: device chosen automatically, several through DDP, states without pickle."""
    settings: dict[str, Any] = {
        "accelerator": "auto",
        "devices": config.devices,
        "strategy": "ddp" if config.devices > 1 else "auto",
        "precision": "bf16-mixed" if config.precision == "bfloat16" else "32-true",
        "max_epochs": config.epochs,
        "check_val_every_n_epoch": config.look_every,
        "num_sanity_val_steps": 0,
        "gradient_clip_val": 1.0,
        "logger": TensorBoardLogger(folder, name="tensorboard", version=""),
        "callbacks": callbacks,
        "plugins": [SafeCheckpointIO()],
        "use_distributed_sampler": False,  # EpochSampler shards by itself
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 10,
        "deterministic": "warn",
    }
    return L.Trainer(**(settings | overrides))


def quiet_lightning() -> None:
    """Keep Lightning's banners off stderr, where the progress bar lives; its warnings about this set-up are known."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")


class _Report(Callback):
    """Tells the caller how far the training is; Lightning's own bars cannot be nested in the chain's."""

    def __init__(self, progress: Progress | None, before_batch: Callable[[], None] | None, epochs: int) -> None:
        self.progress, self.before_batch, self.epochs = progress, before_batch, epochs

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._make_way(trainer)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._make_way(trainer)

    def _make_way(self, trainer: L.Trainer) -> None:
        # Several processes wait for each other in every batch: one that made way by itself would hold up the others.
        if self.before_batch is not None and trainer.world_size == 1:
            self.before_batch()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        if self.progress is not None and trainer.is_global_zero:
            figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self.progress(trainer.current_epoch + 1, self.epochs, figures)
