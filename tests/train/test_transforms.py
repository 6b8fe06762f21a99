"""Augmentation: a function of (seed, epoch, index), the same change for image and mask, ids stay ids."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeseg.train.config import AugmentConfig
from edgeseg.train.transforms import Augment, draw_seed

NOTHING = AugmentConfig(
    flip_horizontal=False, flip_vertical=False, p_affine=0, p_elastic=0, p_grid=0, p_gamma=0, p_noise=0, p_blur=0
)
EVERYTHING = AugmentConfig(p_affine=1, p_elastic=1, p_grid=1, p_gamma=1, p_noise=1, p_blur=1)
SIZE = (64, 80)


def _only(**changes: object) -> Augment:
    return Augment(AugmentConfig(**(vars(NOTHING) | changes)), SIZE)  # type: ignore[arg-type]


def _sample(channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A frame with a bright square of class 3 and a brighter one of class 5."""
    image = np.full((*SIZE, channels), 40, np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    image[10:30, 20:44], mask[10:30, 20:44] = 160, 3
    image[36:50, 50:70], mask[36:50, 50:70] = 230, 5
    return image, mask


def test_seeds_differ_by_every_part_and_are_fixed_for_good() -> None:
    seeds = {draw_seed(s, e, i) for s in range(5) for e in range(5) for i in range(40)}
    assert len(seeds) == 5 * 5 * 40
    assert draw_seed(1, 2, 3) == draw_seed(1, 2, 3)
    assert 0 <= draw_seed(0, 0, 0) < 2**32


def test_nothing_configured_changes_nothing() -> None:
    image, mask = _sample(3)
    changed, ids = Augment(NOTHING, SIZE)(image, mask, seed=1)
    assert np.array_equal(changed, image.transpose(2, 0, 1))
    assert np.array_equal(ids, mask)
    assert not np.shares_memory(ids, mask)


def test_equal_seeds_equal_results_whatever_came_before() -> None:
    image, mask = _sample()
    one, two = Augment(EVERYTHING, SIZE), Augment(EVERYTHING, SIZE)
    expected = one(image, mask, seed=7)
    for seed in range(3):
        two(image, mask, seed)
    again = two(image, mask, seed=7)
    assert np.array_equal(expected[0], again[0])
    assert np.array_equal(expected[1], again[1])
    other = two(image, mask, seed=8)
    assert not np.array_equal(expected[0], other[0])


@pytest.mark.slow
def test_equal_in_another_process() -> None:
    image, mask = _sample()
    here = [int(array.astype(np.int64).sum()) for array in Augment(EVERYTHING, SIZE)(image, mask, draw_seed(1, 2, 3))]
    code = (
        "import numpy as np\nfrom edgeseg.train.config import AugmentConfig\n"
        "from edgeseg.train.transforms import Augment, draw_seed\n"
        "image = np.full((64, 80, 1), 40, np.uint8); mask = np.zeros((64, 80), np.uint8)\n"
        "image[10:30, 20:44], mask[10:30, 20:44] = 160, 3\nimage[36:50, 50:70], mask[36:50, 50:70] = 230, 5\n"
        "config = AugmentConfig(p_affine=1, p_elastic=1, p_grid=1, p_gamma=1, p_noise=1, p_blur=1)\n"
        "for a in Augment(config, (64, 80))(image, mask, draw_seed(1, 2, 3)): print(int(a.astype(np.int64).sum()))"
    )
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert here == [int(line) for line in there[-2:]]


@pytest.mark.parametrize("channels", [1, 3])
def test_types_shapes_and_ids(channels: int) -> None:
    image, mask = _sample(channels)
    before = image.copy(), mask.copy()
    augment = Augment(EVERYTHING, SIZE)
    for seed in range(8):
        changed, ids = augment(image, mask, seed)
        assert changed.shape == (channels, *SIZE)
        assert ids.shape == SIZE
        assert changed.dtype == ids.dtype == np.uint8
        assert set(np.unique(ids).tolist()) <= {0, 3, 5}, "no blended class ids"
        assert changed.std() > 5
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"flip_horizontal": True}, {"flip_vertical": True}, {"p_affine": 1.0, "rotate_deg": 30.0}, {"p_elastic": 1.0},
        {"p_grid": 1.0},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_the_mask_follows_the_image(changes: dict[str, object]) -> None:
    image, mask = _sample()
    augment = _only(**changes)
    moved = 0
    for seed in range(8):
        changed, ids = augment(image, mask, seed)
        by_brightness = np.select([changed[0] > 195, changed[0] > 100], [5, 3], 0)
        assert (by_brightness != ids).mean() < 0.04, "only pixels at the rims, which are interpolated, may differ"
        moved += not np.array_equal(ids, mask)
    assert moved >= 2


@pytest.mark.parametrize("name", ["p_gamma", "p_noise", "p_blur"])
def test_changes_of_brightness_leave_the_mask(name: str) -> None:
    image, mask = _sample()
    augment = _only(**{name: 1.0})
    changed = [augment(image, mask, seed) for seed in range(4)]
    assert all(np.array_equal(ids, mask) for _, ids in changed)
    assert any(not np.array_equal(pixels[0], image[:, :, 0]) for pixels, _ in changed)


def test_ultrasound_is_never_turned_upside_down() -> None:
    """Depth runs downwards; with the vertical flip off no strong change may put the upper square below the other."""
    image, mask = _sample()
    augment = Augment(AugmentConfig(**(vars(EVERYTHING) | {"flip_vertical": False})), SIZE)
    turned = Augment(EVERYTHING, SIZE)
    upright, flipped = 0, 0
    for seed in range(24):
        for which, ids in (("no", augment(image, mask, seed)[1]), ("yes", turned(image, mask, seed)[1])):
            above = np.nonzero(ids == 3)[0].mean() < np.nonzero(ids == 5)[0].mean()
            upright += which == "no" and above
            flipped += which == "yes" and not above
    assert upright == 24
    assert flipped >= 4


def test_no_dark_frame_is_left_by_geometry() -> None:
    """Borders are filled by reflection, never by black, which the network would learn."""
    image, mask = np.full((*SIZE, 1), 200, np.uint8), np.ones(SIZE, np.uint8)
    augment = _only(p_affine=1.0, p_elastic=1.0, p_grid=1.0)
    for seed in range(8):
        changed, ids = augment(image, mask, seed)
        assert changed.min() > 190
        assert ids.min() == 1
