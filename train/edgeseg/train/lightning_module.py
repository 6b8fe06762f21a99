"""The training step: uint8 batch in, supervised loss out, Dice on val."""

from __future__ import annotations

import math
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.nn import Parameter

from edgeseg.runtime.errors import TrainingError
from edgeseg.train.averaged import averaged
from edgeseg.train.bilinear import resize_bilinear
from edgeseg.train.config import TrainConfig
from edgeseg.train.datamodule import Batch
from edgeseg.train.kept_look import steady
from edgeseg.train.losses import SegmentationLoss
from edgeseg.train.models import SegmentationNet


class SegmentationModule(L.LightningModule):
    """A network, its loss and its optimiser; Lightning owns the loop."""

    def __init__(self, model: SegmentationNet, config: TrainConfig, n_classes: int, total_steps: int) -> None:
        super().__init__()
        self.model = model
        # A part of the module, so that it travels in the resume state and to the device with the rest.
        self.average = averaged(model, config.ema) if config.ema else None
        self.config = config
        self.total_steps = total_steps
        self.loss = SegmentationLoss(config.loss, n_classes)
        self.history: list[dict[str, float]] = []  # one row a look at val; travels in the resume state
        self._train_loss = (0.0, 0)
        self._counts: Tensor
        self.register_buffer("_counts", torch.zeros(3, n_classes), persistent=False)

    @property
    def network(self) -> SegmentationNet:
        """What is looked at on val and kept: the average of the trained network's weights, or itself without one."""
        return self.model if self.average is None else cast("SegmentationNet", self.average.module)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at full size: float32 (N, C, H, W) in [0, 1] to float32 (N, K, H, W)."""
        return self.upsample(self.model(x), x)

    def upsample(self, logits: Tensor, x: Tensor) -> Tensor:
        """Bring logits to the size of `x`, by the interpolation that the runtime applies to scores."""
        logits = logits.float()
        if logits.shape[-2:] == x.shape[-2:]:
            return logits
        return resize_bilinear(logits, (x.shape[-2], x.shape[-1]))

    def compute_loss(self, x: Tensor, target: Tensor, answer: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Supervised loss of one batch; distillation adds its own term here, from `answer` where it is stored."""
        loss: Tensor = self.loss(self(x), target)
        return loss

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One optimiser step's loss.

        Raises:
            TrainingError: If the loss is not finite; the last resume state stays.
        """
        loss = self.compute_loss(*self._inputs(batch), batch.get("answer"))
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()} in epoch {self.current_epoch}; lower train.learning_rate "
                f"(now {self.config.learning_rate}), or set train.precision to float32"
            )
        total, count = self._train_loss
        self._train_loss = (total + loss.detach().item(), count + 1)
        self.log("train_loss", loss.detach())
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Add the weights of this step to the average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add the batch's pixel counts (both, predicted, true) per class."""
        x, target = self._inputs(batch)
        logits = self.upsample(self.network(x), x)
        ids = logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
        n_classes = self._counts.shape[1]
        # Ignored pixels fall behind the last pair of classes.
        pairs = torch.bincount((target * n_classes + ids).flatten(), minlength=n_classes**2)[: n_classes**2]
        joint = pairs.view(n_classes, n_classes)
        self._counts += torch.stack([joint.diagonal(), joint.sum(0), joint.sum(1)])

    def on_validation_epoch_start(self) -> None:
        """Start counting anew."""
        self._counts.zero_()

    def on_validation_epoch_end(self) -> None:
        """Mean Dice of the foreground classes that val has, from counts summed over val and over processes."""
        counts = self._counts
        if self.trainer.world_size > 1:
            counts = torch.as_tensor(self.all_gather(counts)).sum(0)
        dice = (2.0 * counts[0] / (counts[1] + counts[2]).clamp(min=1.0))[1:]
        in_truth = counts[2, 1:] > 0
        dice = dice[in_truth].mean() if in_truth.any() else dice.mean()
        self.log("val_dice", dice, prog_bar=True)
        if not self.trainer.sanity_checking:
            total, count = self._train_loss
            loss = total / count if count else math.nan
            self._train_loss = (0.0, 0)
            self.history.append({"epoch": self.current_epoch + 1.0, "train_loss": loss, "val_dice": float(dice)})
            # What early stopping goes by: after one lucky look no other would be better, and the training would end.
            # Of the first look nobody knows whether it is one.
            *before, last = steady([row["val_dice"] for row in self.history])
            self.log("val_dice_steady", max((*before, last)) if before else 0.0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the training curve in the resume state."""
        checkpoint["history"] = self.history
        checkpoint["train_loss"] = list(self._train_loss)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curve of the run that was interrupted."""
        self.history = checkpoint["history"]
        total, count = checkpoint["train_loss"]
        self._train_loss = (total, count)

    def learning(self) -> list[Parameter]:
        """What is trained: the network's own parameters; distillation adds those that are thrown away."""
        return list(self.model.parameters())

    def configure_optimizers(self) -> Any:
        """AdamW without decay on norms and biases; OneCycle or cosine over all steps."""
        trained = [parameter for parameter in self.learning() if parameter.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.config.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        if self.config.schedule == "onecycle":
            schedule: Any = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=self.config.learning_rate, total_steps=self.total_steps + 1, pct_start=0.15
            )
        else:
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        image = batch["image"].float() / 255.0  # the scaling that export folds into the first convolution
        return image.contiguous(memory_format=torch.channels_last), batch["mask"].long()
