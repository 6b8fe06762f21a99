"""One small training that the tests of the loop share: a U-Net on the synthetic set, cheap augmentation, one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, LossConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch

NATIVE = Geometry("native", None, None, None, None)
MakeTraining = Callable[..., tuple[SegmentationModule, SegmentationData]]


@pytest.fixture
def training(synthetic_dir: Path) -> MakeTraining:
    """Make a fresh module and its data; keywords change the configuration."""

    def make(data: DataSet | None = None, **changes: object) -> tuple[SegmentationModule, SegmentationData]:
        settings = {
            "epochs": 4, "batch_size": 4, "validate_every": 1, "workers": 0, "threads": 1, "learning_rate": 5e-3,
            "seed": 3, "augment": AugmentConfig(p_elastic=0, p_grid=0), "loss": LossConfig("ce+dice"),
        }  # fmt: skip
        config = TrainConfig(**(settings | changes))  # type: ignore[arg-type]
        opened = data or open_dataset(synthetic_dir)
        torch.manual_seed(config.seed)
        model = build_model(unet_arch(1, len(opened.classes), base=4, depth=3))
        loaders = SegmentationData(opened, NATIVE, model.stride, config, p_defect=0.5)
        steps = loaders.steps_per_epoch() * config.epochs
        return SegmentationModule(model, config, len(opened.classes), steps), loaders

    return make
