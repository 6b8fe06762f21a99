"""Pixels that do not count, from the key in dataset.yaml and the values in mask files to scores."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.runtime.data.check import check_dataset, examine
from edgeseg.runtime.data.dataset import content_hash, file_hash, open_dataset, read_mask
from edgeseg.runtime.data.folder import Description
from edgeseg.runtime.data.ignored import IGNORED, as_background, leave_out
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.evaluate import evaluate, load_scores, save_scores
from edgeseg.runtime.score.image_score import dice, score_image
from edgeseg.runtime.score.metrics import summarize

from ..data_folders import CLASSES, frame, save, truth, write_folder

K = 3
YAML = f"name: tiny\nclasses: {CLASSES}\ncolor: gray\nlicence: CC0\n"
masks = hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, K - 1))
planes = hnp.arrays(np.bool_, (9, 11))


def ringed(value: int) -> np.ndarray:
    """`truth()` with a frame of ignored pixels around everything and some beside the objects."""
    mask = truth()
    mask[:1] = mask[-1:] = value
    mask[mask == 0] = np.where(np.arange((mask == 0).sum()) % 5 == 0, value, 0)
    return mask


def ignoring_folder(root: Path, value: int = 255, declared: str = "ignore: 255\n") -> Path:
    write_folder(root, yaml=YAML + declared)
    for path in (root / "masks").iterdir():
        save(path, ringed(value))
    return root


# The key in dataset.yaml


@pytest.mark.parametrize("value", [3, 128, 254, 255])
def test_any_value_that_is_no_class_id_can_be_declared(value: int, tmp_path: Path) -> None:
    data = open_dataset(ignoring_folder(tmp_path / "d", value, f"ignore: {value}\n"))
    assert data.ignore == value and {sample.ignore for sample in data.samples} == {value}
    expected = np.where(ringed(value) == value, IGNORED, ringed(value))
    assert np.array_equal(data.samples[0].read_truth(K), expected)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("0", r"ignore is 0, which is the id of the class 'background'; .* write ignore: 255"),
        ("2", "ignore is 2, which is the id of the class 'scratch'"),
        ("256", "ignore is 256; give the one value from 0 to 255"),
        ("-1", "ignore is -1"),
        ("yes", "ignore is True"),
        ("255.0", "ignore is 255.0"),
        ("'255'", "ignore is '255'"),
        ("[254, 255]", r"ignore is \[254, 255\]"),
        ("void", "ignore is 'void'"),
    ],
)
def test_other_values_are_refused(written: str, words: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", yaml=f"{YAML}ignore: {written}\n")
    with pytest.raises(DataError, match=rf"dataset\.yaml: (line \d+: )?{words}"):
        open_dataset(root)
    assert [fault.kind for fault in check_dataset(root)] == ["bad description"]


def test_an_empty_key_declares_nothing(tmp_path: Path) -> None:
    assert open_dataset(write_folder(tmp_path / "d", yaml=f"{YAML}ignore:\n")).ignore is None


def test_where_dataset_yaml_is_not_read_the_caller_says_it(tmp_path: Path) -> None:
    root = ignoring_folder(tmp_path / "d")
    told = Description("d", tuple(CLASSES), "gray", ignore=255)
    data = open_dataset(root, about=told)
    assert data.ignore == 255 and (data.samples[0].read_truth(K) == IGNORED).any()
    assert open_dataset(root, about=replace(told, ignore=None)).ignore is None


def test_only_a_declared_value_is_part_of_the_content(tmp_path: Path) -> None:
    data = open_dataset(write_folder(tmp_path / "plain"))
    files = sorted(f"{one.stem}\0{file_hash(one.image)}\0{file_hash(one.mask)}" for one in data.samples)
    lines = ["classes\0" + "\0".join(CLASSES), "color\0gray", *files]
    plain = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert content_hash(data) == plain, "hashes of data sets without the key stay what they were"
    declared = [open_dataset(write_folder(tmp_path / f"{v}", yaml=f"{YAML}ignore: {v}\n")) for v in (254, 255)]
    assert len({plain, *map(content_hash, declared)}) == 3


# Values of mask files


@pytest.mark.parametrize(
    ("values", "n_classes", "ignore", "ids"),
    [
        ((0, 1, 2, 255), 3, 255, (0, 1, 2, IGNORED)),
        ((0, 1, 2, 200), 3, 200, (0, 1, 2, IGNORED)),
        ((0, 255), 2, None, (0, 1)),
        ((0, 255), 2, 255, (0, IGNORED)),
        ((0, 1, 255), 2, 255, (0, 1, IGNORED)),
        ((0, 128, 255), 2, 128, (0, IGNORED, 1)),
        ((0, 1, 128), 2, 128, (0, 1, IGNORED)),
        ((255,), 2, 255, (IGNORED,)),
        ((0, 1, 254, 255), 255, 255, (0, 1, 254, IGNORED)),
        ((0, 1), 2, 255, (0, 1)),
    ],
)
def test_values_become_ids(values, n_classes, ignore, ids, tmp_path: Path) -> None:
    stored = np.tile(np.array(values, np.uint8), (4, 1))
    found = read_mask(save(tmp_path / "m.png", stored), n_classes, ignore)
    assert np.array_equal(found, np.tile(np.array(ids, np.uint8), (4, 1)))
    assert found.dtype == np.uint8 and found.flags.c_contiguous


@pytest.mark.parametrize(
    ("values", "n_classes", "ignore", "words"),
    [
        ((0, 1, 255), 2, None, r"holds the values 0, 1, 255, .* 0 and 1, or 0 and 255; if 255 marks pixels to leave "
                               r"out, write ignore: 255 in dataset.yaml; if it is foreground, write 1 in its place"),
        ((1, 255), 2, None, "if 255 marks pixels to leave out, write ignore: 255"),
        ((0, 128, 255), 2, None, "if 128 marks pixels to leave out, write ignore: 128"),
        ((0, 1, 255), 3, None, r"holds the values 255, but 3 classes have the ids 0 to 2; if 255 marks pixels to leave "
                               r"out, write ignore: 255 in dataset.yaml; else correct the mask"),
        ((0, 1, 7, 255), 3, None, "the ids 0 to 2; correct the mask, or the classes in dataset.yaml"),
        ((0, 1, 255), 3, 254, r"holds the values 255, but .* \(and ignore is 254\); correct the mask"),
        ((0, 1, 255), 2, 254, r"\(and ignore is 254\)"),
        ((0, 1, 253), 2, 254, "one value alone can be left out: write it for 253 too"),
        ((0, 1, 2), 2, None, "if 2 is foreground, add its class: the background is one, of id 0; if 2 marks"),
        ((1, 2, 3), 3, None, "if 3 is foreground, subtract 1, as ids begin with 0; if 3 marks"),
        ((0, 127), 2, None, "write ignore: 127 in dataset.yaml; if it is foreground, write 1 in its place"),
    ],
)  # fmt: skip
def test_what_may_mean_two_things_is_refused_with_both(values, n_classes, ignore, words, tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.tile(np.array(values, np.uint8), (4, 1)))
    with pytest.raises(DataError, match=words):
        read_mask(path, n_classes, ignore)


# data check


def test_a_declared_value_is_no_fault_and_no_class(tmp_path: Path) -> None:
    assert check_dataset(ignoring_folder(tmp_path / "d")) == []
    undeclared = check_dataset(ignoring_folder(tmp_path / "e", declared=""))
    assert len(undeclared) == 9 and {fault.kind for fault in undeclared} == {"unknown class id"}


def two_classes(root: Path, *values: int, declared: str = "") -> Path:
    """Masks of 0 and one other value, in turn."""
    write_folder(root, meta=None, yaml=f"classes: [good, pit]\ncolor: gray\n{declared}", n=4)
    for i in range(4):
        save(root / "masks" / f"{i}.png", np.minimum(truth(), 1) * np.uint8(values[i % len(values)]))
    return root


def test_foreground_that_is_all_left_out_is_told(tmp_path: Path) -> None:
    assert check_dataset(two_classes(tmp_path / "a", 255)) == []
    (fault,) = check_dataset(two_classes(tmp_path / "b", 255, declared="ignore: 255\n"))
    assert fault.kind == "no positives" and "pixels of 255 are left out" in fault.message
    assert "if 255 is foreground, remove ignore from dataset.yaml" in fault.remedy


def test_masks_in_which_nothing_counts_are_warned_of(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d", 1, declared="ignore: 255\n")
    assert examine(root).warnings == ()
    save(root / "masks" / "1.png", np.full_like(truth(), 255))
    (warning,) = examine(root).warnings
    assert warning.kind == "much ignored" and warning.message.startswith("25.0% of all pixels are left out")
    assert "1 of the 4 masks hold nothing else" in warning.message


def test_much_that_is_left_out_is_warned_of(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d", 1, declared="ignore: 255\n")
    for path in (root / "masks").iterdir():
        save(path, np.where(truth() == 0, 255, np.minimum(truth(), 1)))
    assert "much ignored" in {one.kind for one in examine(root).warnings}


def test_two_values_of_foreground_are_told(tmp_path: Path) -> None:
    (fault,) = check_dataset(two_classes(tmp_path / "a", 1, 255))
    assert fault.file == "masks/1.png" and fault.message == "its foreground is 255, that of 0.png is 1"
    assert "ignore: 255" in fault.remedy
    assert check_dataset(two_classes(tmp_path / "b", 1, 255, declared="ignore: 255\n")) == []


# Scores


@given(masks, masks, planes)
def test_counts_are_those_of_the_pixels_that_count(pred, true, counted) -> None:
    score = score_image(pred, np.where(counted, true, np.uint8(IGNORED)), K)
    for k in range(K):
        assert score.tp[k] == np.sum((pred == k) & (true == k) & counted)
        assert score.fp[k] == np.sum((pred == k) & (true != k) & counted)
        assert score.fn[k] == np.sum((pred != k) & (true == k) & counted)
    assert score.has_foreground == bool(true[counted].any())
    assert score.is_negative == (bool(counted.any()) and not true[counted].any())


@given(masks, masks, masks, planes)
def test_what_is_predicted_on_ignored_pixels_changes_nothing(pred, other, true, counted) -> None:
    true = np.where(counted, true, np.uint8(IGNORED))
    one = score_image(pred, true, K, stem="a")
    for elsewhere in (other, np.full_like(other, IGNORED)):  # masks that were kept have IGNORED there too
        two = score_image(np.where(counted, pred, elsewhere), true, K, stem="a")
        for name in (
            "tp",
            "fp",
            "fn",
            "hd95_px",
            "region_class",
            "region_area_px",
            "region_iou",
            "n_predicted_regions",
        ):
            # hd95 is of OpenCV's float32 distances: equal to their last digit.
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-6, atol=0, err_msg=name)


def test_regions_end_where_pixels_do_not_count() -> None:
    """An object found together with the unclear ring around it is found exactly, by one region."""
    true = np.zeros((40, 40), np.uint8)
    true[10:24, 10:24] = IGNORED
    true[13:21, 13:21] = 1
    pred = np.zeros_like(true)
    pred[11:23, 11:23] = 1  # reaches into the ring
    pred[10, 10] = 1  # and a false spot that lies in it altogether
    score = score_image(pred, true, 2)
    assert (score.fp[1], score.fn[1], score.hd95_px[1], score.region_iou.tolist()) == (0, 0, 0.0, [1.0])
    assert score.n_predicted_regions[1] == 1 and dice(score.tp, score.fp, score.fn)[1] == 1.0
    pred[9:25, 15] = 1  # a line across ring and object, out on both sides
    score = score_image(pred, true, 2)
    assert (score.fp[1], score.n_predicted_regions[1], score.region_iou.tolist()) == (2, 3, [1.0])


def test_a_frame_of_which_nothing_counts_is_in_no_mean(tmp_path: Path) -> None:
    nothing = np.full((24, 32), IGNORED, np.uint8)
    spots = (np.random.default_rng(0).random((24, 32)) < 0.1).astype(np.uint8)
    scores = [
        score_image(truth(), truth(), K, stem="found"),
        score_image(spots, nothing, K, stem="unclear"),
        score_image(spots, np.zeros_like(nothing), K, stem="good"),
    ]
    save_scores(tmp_path / "scores.json", scores)
    total = summarize(load_scores(tmp_path / "scores.json"), CLASSES)
    json.dumps(total, allow_nan=False)
    assert total["n_negative_frames"] == 1 and total["n_images"] == 3
    assert total["false_regions_per_negative_frame"] == scores[2].n_predicted_regions.sum() > 0
    assert total["per_image"] == {"median": 1.0, "p5": 1.0, "share_below_0.5": 0.0, "n": 1}


def test_an_id_that_is_no_class_is_still_refused_where_it_counts() -> None:
    true, pred = truth(), truth()
    true[0, 0] = IGNORED
    pred[5, 5] = IGNORED
    with pytest.raises(DataError, match="holds the id 255, but there are 3 classes"):
        score_image(pred, true, K)
    pred[5, 5] = K
    with pytest.raises(DataError, match="holds the id 3"):
        score_image(pred, true, K)


def test_evaluate_takes_it_from_the_samples(tmp_path: Path) -> None:
    data = open_dataset(ignoring_folder(tmp_path / "d"))
    guess = np.where(ringed(255) == 255, frame(3) % K, truth()).astype(np.uint8)  # right wherever it counts
    scores = evaluate(lambda _: SimpleNamespace(mask=guess), data.samples, data.classes)
    assert summarize(scores, data.classes)["dice_mean"] == 1.0
    assert all((score.tp + score.fn).sum() == np.sum(ringed(255) != 255) for score in scores)


# The two helpers


def test_masks_without_ignored_pixels_are_handed_back_uncopied() -> None:
    mask, true = truth(), truth()
    assert as_background(mask) is mask and leave_out(mask, true) is mask
    true[0, 0] = true[3, 3] = IGNORED
    kept = leave_out(mask, true)
    assert kept[0, 0] == kept[3, 3] == IGNORED and np.sum(kept != mask) == 2 and mask[3, 3] == 1
    assert np.sum(as_background(kept) != mask) == 1 and as_background(kept)[3, 3] == 0
