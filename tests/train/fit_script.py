"""Run by test_fit.py as a process of its own: `fit_script.py FOLDER [DEVICES]` trains and writes FOLDER/result.json."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.fit import fit
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic.dataset import write_dataset


def main(folder: Path, devices: int) -> None:
    """Train a small U-Net; every process of a DDP run comes through here."""
    root = folder / "data"
    if not root.exists() and "LOCAL_RANK" not in os.environ:
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset(root, n=24, seed=0, size_px=96)
    config = TrainConfig(
        epochs=6, batch_size=2, validate_every=1, workers=1, threads=1, devices=devices, seed=3,
        augment=AugmentConfig(p_elastic=0, p_grid=0),
    )  # fmt: skip
    data = open_dataset(root)
    torch.manual_seed(config.seed)
    model = build_model(unet_arch(1, 4, base=4, depth=3))
    loaders = SegmentationData(data, Geometry("native", None, None, None, None), model.stride, config, p_defect=0.5)
    total_steps = loaders.steps_per_epoch() * config.epochs
    module = SegmentationModule(model, config, 4, total_steps)
    result = fit(module, loaders, folder / "fit")
    state = b"".join(tensor.numpy().tobytes() for tensor in module.model.state_dict().values())
    digest, world = hashlib.sha256(state).hexdigest(), 1
    digests: list[str] = [digest]
    if dist.is_initialized():
        world = dist.get_world_size()
        digests = [""] * world
        dist.all_gather_object(digests, digest)
        if dist.get_rank():
            return
    report = {
        "weights_of_ranks": digests, "world_size": world, "val_dice": result.kept["val_dice"],
        "history": result.history, "total_steps": total_steps, "steps": module.trainer.global_step,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
