"""Images of another modality are refused, others of the same kind are not."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.compress.calibration.modality import check_modality, pixel_statistics
from edgeseg.runtime.errors import DataError


def kind(level: float, contrast: float, seed: int, n: int = 12, channels: int = 1) -> list[np.ndarray]:
    """Images around a gray level that differ from each other as those of one camera do."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(level, 8, n)
    coarse = [rng.normal(each, contrast, (16, 16, channels)).repeat(4, axis=0).repeat(4, axis=1) for each in levels]
    return [np.clip(pixels, 0, 255).astype(np.uint8)[None] for pixels in coarse]


TRAINING = pixel_statistics(kind(100, 20, seed=0, n=40))


def test_images_of_the_same_kind_pass():
    check_modality(pixel_statistics(kind(100, 20, seed=1)), TRAINING)
    check_modality(TRAINING, TRAINING)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (kind(200, 20, seed=1), "mean 20"),
        (kind(100, 60, seed=1), "contrast"),
        ([255 - image for image in kind(60, 20, seed=1)], "histogram"),
        ([np.zeros((1, 64, 64, 1), np.uint8)], "dark end 0.0"),
    ],
)
def test_another_modality_is_refused_with_its_figures(images, words):
    with pytest.raises(DataError, match="of another modality") as caught:
        check_modality(pixel_statistics(images), TRAINING)
    assert words in str(caught.value) and "training" in str(caught.value)


def test_the_same_levels_in_another_order_of_frequency_are_refused():
    """Every figure within what training images span, but none of these images is like them."""
    dark, bright = kind(30, 3, seed=0, n=20), kind(220, 3, seed=1, n=20)
    training = pixel_statistics([*kind(120, 60, seed=2, n=38), dark[0], bright[0]])
    with pytest.raises(DataError, match="histogram"):
        check_modality(pixel_statistics(bright), training)


def test_colour_is_not_gray():
    with pytest.raises(DataError, match="3 channels, the training images 1"):
        check_modality(pixel_statistics(kind(100, 20, seed=0, channels=3)), TRAINING)


def test_no_images_are_refused():
    with pytest.raises(DataError, match="no images"):
        pixel_statistics([])
