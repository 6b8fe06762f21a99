"""The training step without a trainer: scaling, upsampling, validation counts, optimiser groups, NaN."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.runtime.errors import TrainingError
from edgeseg.train.config import TrainConfig
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch


class Painted(nn.Module):
    """Answers with its input's class planes: a network whose every logit is known."""

    stride, output_stride, n_outputs = 1, 1, 3

    def __init__(self, n_outputs: int = 3, gain: float = 255.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.n_outputs = n_outputs
        self.seen: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x.detach()
        ids = (x[:, :1] * self.gain).round()  # pixel value = predicted class
        if self.n_outputs == 1:
            return ids * 20 - 10
        return torch.cat([-(ids - class_id).abs() for class_id in range(self.n_outputs)], dim=1) * 10


def _module(model: nn.Module, n_classes: int = 3, **changes: object) -> SegmentationModule:
    module = SegmentationModule(model, TrainConfig(**changes), n_classes, total_steps=10)  # type: ignore[arg-type]
    module.log = lambda name, value, **_: logged.__setitem__(name, float(value))  # type: ignore[method-assign,assignment]
    logged: dict[str, float] = {}
    module.logged = logged  # type: ignore[assignment]
    module._trainer = SimpleNamespace(world_size=1, sanity_checking=False, current_epoch=0)  # type: ignore[assignment]
    return module


def _batch(predicted: np.ndarray, truth: np.ndarray) -> dict[str, torch.Tensor]:
    return {"image": torch.from_numpy(predicted[:, None]), "mask": torch.from_numpy(truth)}


def test_pixels_are_scaled_and_nothing_else() -> None:
    model = Painted()
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    _module(model).compute_loss(*_module(model)._inputs({"image": pixels, "mask": torch.zeros(1, 16, 16)}))
    assert model.seen is not None
    assert torch.equal(model.seen, pixels.float() / 255)


def test_logits_come_at_full_size() -> None:
    module = _module(build_model(efficient_unet_arch(1, 3, width=0.25, depth=0.34, stages=5)).eval())
    x = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        full, half = module(x), module.model(x)
    assert full.shape == (2, 3, 32, 48)
    assert half.shape == (2, 3, 16, 24)
    # Half-pixel centres: the mean is kept, and an inner pair of pixels surrounds its source symmetrically.
    assert torch.allclose(full[0, 0, 15:17, 15:17].mean(), half[0, 0, 7:9, 7:9].mean(), atol=0.2)
    expected = torch.nn.functional.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(full, expected)


@pytest.mark.parametrize("outputs", [1, 3])
def test_val_dice_is_of_counts_summed_over_the_split(outputs: int) -> None:
    rng = np.random.default_rng(0)
    n_classes = max(2, outputs)
    truth, predicted = rng.integers(0, n_classes, (2, 6, 8, 8)).astype(np.uint8)
    module = _module(Painted(outputs), n_classes)
    module.on_validation_epoch_start()
    for start in (0, 4):
        module.validation_step(_batch(predicted[start : start + 4], truth[start : start + 4]), 0)
    module.on_validation_epoch_end()
    dice = [
        2 * ((predicted == c) & (truth == c)).sum() / ((predicted == c).sum() + (truth == c).sum())
        for c in range(1, n_classes)
    ]
    assert module.logged["val_dice"] == pytest.approx(np.mean(dice))  # type: ignore[index]
    assert module.history[-1]["val_dice"] == pytest.approx(np.mean(dice))
    assert np.isnan(module.history[-1]["train_loss"]), "no training step yet: unknown, not zero"


def test_counts_start_anew_at_every_look() -> None:
    module = _module(Painted())
    perfect = np.array([[[0, 1], [2, 1]]], np.uint8)
    for truth in (np.zeros_like(perfect), perfect):
        module.on_validation_epoch_start()
        module.validation_step(_batch(perfect, truth), 0)
        module.on_validation_epoch_end()
    assert [row["val_dice"] for row in module.history] == [0.0, 1.0]


def test_the_curve_travels_in_the_resume_state() -> None:
    one, two = _module(Painted()), _module(Painted())
    one.history, one._train_loss = [{"epoch": 1.0, "train_loss": 0.5, "val_dice": 0.1}], (3.5, 7)
    state: dict[str, object] = {}
    one.on_save_checkpoint(state)
    two.on_load_checkpoint(state)
    assert (two.history, two._train_loss) == (one.history, one._train_loss)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_remedy(value: float) -> None:
    module = _module(Painted(gain=value), learning_rate=0.25)
    with pytest.raises(TrainingError, match=r"loss became \S+ in epoch 0; lower train.learning_rate .now 0.25"):
        module.training_step(_batch(np.ones((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8)), 0)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_optimiser_and_schedule(schedule: str) -> None:
    model = build_model(efficient_unet_arch(1, 3, width=0.25, depth=0.34, stages=5))
    module = _module(model, learning_rate=0.01, weight_decay=0.1, schedule=schedule)
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decays) == len(list(model.parameters()))
    assert {
        name for name, p in model.named_parameters() if decays[id(p)] and (".bn" in name or "bias" in name)
    } == set()
    assert all(decays[id(p)] == 0.1 for p in model.parameters() if p.ndim == 4)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) <= 0.0101
    assert max(rates) > 0.009
    assert rates[-1] < 0.2 * max(rates), "the schedule comes down within the steps it was told"
