"""Scoring a segmenter on a folder, and keeping the scores."""

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.dataset import open_dataset, read_mask
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.evaluate import evaluate, load_scores, save_scores
from edgeseg.runtime.score.intervals import paired_bootstrap
from edgeseg.runtime.score.metrics import summarize

from ..data_folders import save, truth, write_folder

ADOBE_DEFLATE = 8  # TIFF's Compression tag


def answering(mask):
    """A segmenter with one answer that notes the frames it saw."""
    frames = []

    def segmenter(frame):
        frames.append(frame)
        return SimpleNamespace(mask=mask)

    segmenter.frames = frames
    return segmenter


@pytest.fixture
def data(tmp_path):
    return open_dataset(write_folder(tmp_path / "d"))


def test_every_sample_is_scored_in_order_with_progress(data):
    told = []
    scores = evaluate(answering(truth()), data.samples, data.classes, progress=lambda *step: told.append(step))
    assert [score.stem for score in scores] == [sample.stem for sample in data.samples]
    assert scores[0].group == "g0"
    assert told[-1] == (9, 9)
    total = summarize(scores, data.classes)
    assert total["dice_mean"] == 1
    assert (total["n_images"], total["n_groups"]) == (9, 5)


def test_frames_are_rgb_unless_the_colour_is_given(data):
    rgb, gray = answering(truth()), answering(truth())
    evaluate(rgb, data.samples[:1], data.classes)
    evaluate(gray, data.samples[:1], data.classes, color="gray")
    assert rgb.frames[0].shape == (24, 32, 3)
    assert np.array_equal(gray.frames[0], rgb.frames[0][..., 0])


def test_a_mask_of_another_size_is_refused_before_and_after_the_model(data):
    with pytest.raises(DataError, match=r"0: predicted mask \(12, 16\)"):
        evaluate(answering(truth((24, 32))[::2, ::2]), data.samples, data.classes)
    save(data.samples[0].mask, truth((20, 32)))
    with pytest.raises(DataError, match=r"masks/0.png: 32x20, but its image 0.png is 32x24"):
        evaluate(answering(truth()), data.samples, data.classes)


def test_scores_are_the_same_after_saving_and_loading(data, tmp_path):
    mask = truth()
    mask[3, :] = 1
    mask[12:14] = 0  # class 2 is missed: its distance is not a number
    scores = evaluate(answering(mask), data.samples, data.classes, pixel_mm=0.1)
    save_scores(tmp_path / "run" / "scores.json", scores)
    again = load_scores(tmp_path / "run" / "scores.json")
    for one, other in zip(scores, again, strict=True):
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(other, field.name)
            assert np.array_equal(left, right, equal_nan=True) if isinstance(left, np.ndarray) else left == right
            assert not isinstance(left, np.ndarray) or left.dtype == right.dtype
    assert summarize(scores, data.classes) == summarize(again, data.classes)
    assert paired_bootstrap(scores, again, 0.0).mean == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1, "images": [{}]}', '{"schema_version": 2}'])
def test_damaged_and_foreign_score_files_are_refused(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"scores\.json"):
        load_scores(path)
    with pytest.raises(DataError, match=r"score again"):
        load_scores(tmp_path / "missing.json")


@pytest.mark.real_data
def test_the_truth_of_real_frames_scores_one(pitting_dir):
    """Frames of 460x1130 and larger; the answer is looked up, so only reading and scoring are tested."""
    data = open_dataset(pitting_dir)
    samples = data.split("test")[::8]
    answers = iter([read_mask(sample.mask, 2) for sample in samples])
    scores = evaluate(lambda _: SimpleNamespace(mask=next(answers)), samples, data.classes)
    total = summarize(scores, data.classes)
    assert total["dice_mean"] == total["region_recall"] == total["small_region_recall"] == 1
    assert total["false_regions_per_negative_frame"] == 0
    assert total["hd95"]["pitting"]["value_px"] == 0


def test_an_image_that_decodes_to_noise_is_refused_as_predict_refuses_it(tmp_path):
    """OpenCV makes black or noise of a damaged strip, and a part that is black is soon a part without a fault."""
    pixels = np.random.default_rng(0).integers(0, 256, (301, 203), np.uint8)
    pixels = cv2.blur(pixels, (5, 5))
    encoded = cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, ADOBE_DEFLATE])[1]
    content = bytearray(encoded.tobytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = bytes(1500)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "a.tif").write_bytes(content)
    save(tmp_path / "masks" / "a.png", np.zeros((301, 203), np.uint8))
    (tmp_path / "dataset.yaml").write_text("classes: [good, pit]\ncolor: gray\n")
    data = open_dataset(tmp_path)
    segmenter = answering(np.zeros((301, 203), np.uint8))
    with pytest.raises(DataError, match=r"a\.tif"):
        evaluate(segmenter, data.samples, data.classes, color="gray")
    assert segmenter.frames == []
