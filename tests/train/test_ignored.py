"""Pixels that do not count, from augmentation to the weights of a training: as if they were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, LossConfig, TrainConfig
from edgeseg.train.datamodule import FixedImages, FrameCache, SegmentationData, TileSampling, TrainingImages
from edgeseg.train.fit import fit
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.losses import TERMS, SegmentationLoss
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic.dataset import write_dataset
from edgeseg.train.transforms import Augment

EVERYTHING = AugmentConfig(p_affine=1, rotate_deg=40, p_elastic=1, p_grid=1, p_gamma=1, p_noise=1, p_blur=1)
# One output, its class weights, several outputs without and with weights.
KINDS = [(1, ()), (1, (1.0, 3.0)), (3, ()), (3, (0.2, 1.0, 3.0))]


def _loss(terms: str, outputs: int, weights: tuple[float, ...]) -> SegmentationLoss:
    loss = SegmentationLoss(LossConfig(terms, weights), max(2, outputs))
    loss.ignores = True
    return loss


def _batch(outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, class ids, and which pixels count: about two thirds."""
    generator = torch.Generator().manual_seed(outputs)
    logits = 3 * torch.randn(2, outputs, 12, 14, generator=generator)
    target = torch.randint(0, max(2, outputs), (2, 12, 14), generator=generator)
    return logits, target, torch.rand(2, 12, 14, generator=generator) < 0.66


def _value_and_gradient(loss: SegmentationLoss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


# Losses


@pytest.mark.parametrize("term", ["ce", "dice", "focal"])
@pytest.mark.parametrize(("outputs", "weights"), KINDS)
def test_a_loss_is_that_of_the_pixels_that_count_alone(term: str, outputs: int, weights: tuple[float, ...]) -> None:
    logits, target, counted = _batch(outputs)
    value, gradient = _value_and_gradient(_loss(term, outputs, weights), logits, target.where(counted, IGNORED))
    kept = logits.movedim(1, -1)[counted].T[None, :, None]  # (1, K, 1, P): the same pixels as an image of their own
    alone = SegmentationLoss(LossConfig(term, weights), max(2, outputs))
    expected, of_kept = _value_and_gradient(alone, kept, target[counted][None, None])
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(gradient.movedim(1, -1)[counted], of_kept[0, :, 0].T, rtol=1e-4, atol=1e-7)
    assert not gradient.movedim(1, -1)[~counted].any()


@pytest.mark.parametrize("term", sorted(TERMS.keys() - {"bce"}))  # which is ce of one output
@pytest.mark.parametrize(("outputs", "weights"), KINDS)
def test_nothing_on_ignored_pixels_changes_a_bit(term: str, outputs: int, weights: tuple[float, ...]) -> None:
    """Neither what the network says there, however wild, nor which label a mask held before."""
    logits, target, counted = _batch(outputs)
    loss = _loss(term, outputs, weights)
    value, gradient = _value_and_gradient(loss, logits, target.where(counted, IGNORED))
    wild = torch.where(counted[:, None], logits, 1e4 * torch.randn(logits.shape))
    again, gradient_again = _value_and_gradient(loss, wild, target.where(counted, IGNORED))
    assert torch.equal(value, again) and torch.equal(gradient, gradient_again)
    class_weights = torch.tensor(weights) if weights else None
    labels = [TERMS[term](logits, target.where(counted, one), class_weights, counted) for one in (0, 1)]
    assert torch.equal(*labels) and labels[0].item() == pytest.approx(value.item(), rel=1e-6)


@pytest.mark.parametrize(("outputs", "weights"), KINDS)
def test_a_batch_of_which_nothing_counts_costs_nothing(outputs: int, weights: tuple[float, ...]) -> None:
    logits, target, _ = _batch(outputs)
    for term in sorted(TERMS.keys() - {"bce"}):
        value, gradient = _value_and_gradient(_loss(term, outputs, weights), logits, torch.full_like(target, IGNORED))
        assert value.item() == 0.0 and not gradient.any(), term


@pytest.mark.parametrize(("outputs", "weights"), KINDS)
def test_where_all_pixels_count_the_loss_is_what_it_was(outputs: int, weights: tuple[float, ...]) -> None:
    logits, target, _ = _batch(outputs)
    for term in sorted(TERMS.keys() - {"bce"}):
        plain = SegmentationLoss(LossConfig(term, weights), max(2, outputs))(logits, target)
        assert _loss(term, outputs, weights)(logits, target).item() == pytest.approx(plain.item(), rel=1e-5), term


def test_a_region_is_found_by_its_counted_pixels_alone() -> None:
    target = torch.zeros(1, 6, 9, dtype=torch.long)
    target[0, 1:5, 1:8] = 1
    target[0, :, 4] = IGNORED  # cuts the object in two
    logits = torch.full((1, 1, 6, 9), -20.0)
    logits[0, 0, 1:5, 1:4] = 20.0  # the left part is found, the right one is not
    assert _loss("regions", 1, ())(logits, target).item() == pytest.approx(0.5)


# Dice on val


@pytest.mark.parametrize("outputs", [1, 3])
def test_dice_on_val_counts_no_ignored_pixel(outputs: int) -> None:
    n_classes = max(2, outputs)
    model = build_model(unet_arch(1, outputs, base=4, depth=2)).eval()
    module = SegmentationModule(model, TrainConfig(), n_classes, total_steps=1)
    _, target, counted = _batch(outputs)
    image = torch.randint(0, 256, (2, 1, 12, 16), dtype=torch.uint8)
    target, counted = (torch.nn.functional.pad(one, (0, 2)) for one in (target, counted))
    with torch.no_grad():
        logits = module(image.float() / 255)
        module.validation_step({"image": image, "mask": target.where(counted, IGNORED).to(torch.uint8)}, 0)
    ids = logits.argmax(1) if outputs > 1 else (logits[:, 0] > 0).long()
    for k in range(n_classes):
        found, true = (ids == k) & counted, (target == k) & counted
        assert module._counts[:, k].tolist() == [(found & true).sum(), found.sum(), true.sum()]


# Images


def _mask(value: int) -> np.ndarray:
    mask = np.zeros((64, 80), np.uint8)
    mask[10:30, 12:40], mask[40:50, 30:60] = 1, 2
    mask[:, :6] = mask[34:38] = value
    return mask


def test_augmentation_moves_ignored_pixels_as_any_other_and_invents_none() -> None:
    """A class of a low id in their place ends at the same pixels; so nothing was blended, and nothing filled in."""
    augment = Augment(EVERYTHING, (64, 80))
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 1), np.uint8)
    for seed in range(12):
        _, ignoring = augment(image, _mask(IGNORED), seed)
        _, as_class = augment(image, _mask(3), seed)
        assert np.array_equal(ignoring, np.where(as_class == 3, IGNORED, as_class))
        _, without = augment(image, _mask(0), seed)
        assert not (without == IGNORED).any()


def _folder(root: Path, masks: list[np.ndarray], splits: str = "train,train,val", ignore: int = 255) -> DataSet:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, mask in enumerate(masks):
        cv2.imwrite(str(root / "images" / f"{i}.png"), rng.integers(0, 256, mask.shape, np.uint8))
        cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
    rows = "".join(f"{i},{split}\n" for i, split in enumerate(splits.split(",")))
    (root / "meta.csv").write_text("stem,split\n" + rows)
    (root / "dataset.yaml").write_text(f"classes: [background, spot, bar]\ncolor: gray\nignore: {ignore}\n")
    return open_dataset(root)


def test_tiles_are_drawn_around_foreground_and_not_around_ignored_pixels(tmp_path: Path) -> None:
    spot = np.zeros((200, 300), np.uint8)
    spot[150:156, 280:286] = 1
    spot[:60, :60] = 255
    unclear = np.full((200, 300), 255, np.uint8)
    data = _folder(tmp_path / "d", [spot, unclear, spot])
    geometry = Geometry("tile", None, None, 64, 16)
    cache = FrameCache(data.split("train"), data, geometry, 32)
    images = TrainingImages(cache, TrainConfig(samples_per_epoch=40, augment=EVERYTHING), TileSampling(64, 1.0))
    assert images.with_foreground == [0]
    assert np.mean([bool((images[0, k]["mask"] == 1).any()) for k in range(40)]) > 0.8
    fixed = FixedImages(FrameCache(data.split("val"), data, geometry, 32), tiled=True)
    assert len(fixed) == 1 and (fixed[0]["mask"] == 1).sum() == 36, "one tile, of the spot"


def test_a_tile_larger_than_its_frame_is_filled_from_the_frame(tmp_path: Path) -> None:
    data = _folder(tmp_path / "d", [_mask(255)] * 3)
    cache = FrameCache(data.split("train"), data, Geometry("tile", None, None, 96, 16), 32)
    plain = AugmentConfig(False, False, p_affine=0, p_elastic=0, p_grid=0, p_gamma=0, p_noise=0, p_blur=0)
    tile = TrainingImages(cache, TrainConfig(samples_per_epoch=4, augment=plain), TileSampling(96, 0.0))[0, 0]
    reflected = cv2.copyMakeBorder(_mask(255), 0, 32, 0, 16, cv2.BORDER_REFLECT_101)
    assert np.array_equal(tile["mask"].numpy(), reflected)


def test_resizing_blends_no_ids(tmp_path: Path) -> None:
    data = _folder(tmp_path / "d", [_mask(255)] * 3)
    cache = FrameCache(data.split("train"), data, Geometry("resize", 32, 48, None, None, "area"), 16)
    assert set(np.unique(cache.masks[0])) == {0, 1, 2, IGNORED}


def test_foreground_that_is_all_left_out_is_refused_with_the_key(tmp_path: Path) -> None:
    nothing = np.zeros((64, 64), np.uint8)
    nothing[:20] = 255
    data = _folder(tmp_path / "d", [nothing] * 3)
    with pytest.raises(DataError, match="no training mask has foreground beside what `ignore`"):
        SegmentationData(data, Geometry("native"), 16, TrainConfig(), p_defect=0.5).setup()


# A training


def _ringed(root: Path, value: int | None) -> DataSet:
    """Drawn metal with a ring of unclear pixels around each object: of this value, or background where None."""
    write_dataset(root, n=12, seed=0, size_px=64)
    for path in (root / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
        if value is not None:
            mask[near & (mask == 0)] = value
            cv2.imwrite(str(path), mask)
    if value is not None:
        with (root / "dataset.yaml").open("a") as about:
            about.write(f"ignore: {value}\n")
    return open_dataset(root)


def test_a_training_learns_nothing_from_what_marks_them(training: Any, tmp_path: Path) -> None:
    """Equal to the bit whichever value stands in the files; other than one that is told they are background."""
    weights, histories = [], []
    for value in (255, 200, None):
        module, loaders = training(
            _ringed(tmp_path / f"{value}", value), epochs=2, loss=LossConfig("ce+dice+focal+regions")
        )
        module.loss.ignores = value is not None
        histories.append(fit(module, loaders, tmp_path / f"fit_{value}").history)
        weights.append(torch.cat([one.double().flatten() for one in module.model.state_dict().values()]))
    assert torch.equal(weights[0], weights[1]) and histories[0] == histories[1]
    assert not torch.equal(weights[0], weights[2])


def test_a_loss_that_was_not_told_is_no_way_to_train(training: Any, tmp_path: Path) -> None:
    module, loaders = training(_ringed(tmp_path / "d", 255))
    with pytest.raises(AssertionError, match="must know of pixels that do not count"):
        fit(module, loaders, tmp_path / "fit")
