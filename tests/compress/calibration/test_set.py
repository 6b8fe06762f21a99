"""The draw of calibration images: seeded, balanced, never too small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.compress.calibration.set import EMPTY, draw_balanced, draw_calibration
from edgeseg.runtime.data.dataset import Sample
from edgeseg.runtime.errors import ConfigError

CLASSES = ("background", "common", "rare")


def samples_of(folder: Path, *held: int) -> list[Sample]:
    """Samples whose masks hold one class id each."""
    made = []
    for number, class_id in enumerate(held):
        mask = np.zeros((8, 8), np.uint8)
        mask[:2] = class_id
        path = folder / f"{number:03}.png"
        path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
        made.append(Sample(path.stem, path, path, "train", path.stem))
    return made


def test_every_class_present_gets_its_share(tmp_path):
    samples = samples_of(tmp_path, *[1] * 60, *[2] * 3, *[0] * 20)
    drawn = draw_balanced(samples, CLASSES, 12, seed=0)
    assert drawn.images_by_class == {"common": 5, "rare": 3, EMPTY: 4}
    assert len(set(drawn.stems)) == 12


def test_the_draw_follows_its_seed(tmp_path):
    samples = samples_of(tmp_path, *[1] * 20, *[2] * 20)
    first = draw_balanced(samples, CLASSES, 10, seed=1).stems
    assert first == draw_balanced(samples, CLASSES, 10, seed=1).stems
    assert first != draw_balanced(samples, CLASSES, 10, seed=2).stems


def test_a_small_split_is_drawn_whole(tmp_path):
    samples = samples_of(tmp_path, *[1] * 9)
    drawn = draw_calibration(samples, CLASSES, 64, seed=0)
    assert sorted(drawn.stems) == [sample.stem for sample in samples]
    assert drawn.images_by_class["rare"] == 0


@pytest.mark.parametrize(("there", "asked"), [(7, 64), (20, 7), (0, 8)])
def test_fewer_than_eight_are_refused(tmp_path, there, asked):
    samples = samples_of(tmp_path, *[1] * there)
    with pytest.raises(ConfigError, match=f"at least 8 images, but {asked} are asked for and train has {there}"):
        draw_calibration(samples, CLASSES, asked, seed=0)


def test_ignored_pixels_are_no_class(tmp_path):
    samples = [replace(one, ignore=9) for one in samples_of(tmp_path, *[1] * 6, *[9] * 6)]
    assert draw_balanced(samples, CLASSES, 12, seed=0).images_by_class == {"common": 6, "rare": 0, EMPTY: 6}
