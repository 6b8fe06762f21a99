"""What is scored is what was asked: classes by name, colour, pixel size, split; by a bundle whose answer is known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.__main__ import main
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.opening import About, open_for
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

CLASSES = ("dark", "middle", "bright")


def write_set(root: Path, classes: tuple[str, ...] | None = CLASSES, n: int = 6, first: int = 0, **about: Any) -> Path:
    """Images that the tiny model sees rightly; the masks' ids are those of `classes`, None writes no dataset.yaml."""
    named = classes if classes is not None and set(classes) == set(CLASSES) else CLASSES
    order = [named.index(name) for name in CLASSES]
    for index in range(first, first + n):
        seen = np.random.default_rng(index).integers(0, 3, (2, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
        for folder, pixels in (("images", seen * 100 + 20), ("masks", np.array(order, np.uint8)[seen])):
            (root / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / f"part{index}.png"), pixels)
    if classes is not None:
        lines = [f"{key}: {value}" for key, value in ({"color": "gray"} | about).items()]
        (root / "dataset.yaml").write_text("\n".join([f"classes: {json.dumps(classes)}", *lines]), encoding="utf-8")
    return root


def split_by(root: Path, splits: dict[str, str], column: str = "split") -> None:
    rows = [f"{stem},{split},M{index % 2}" for index, (stem, split) in enumerate(sorted(splits.items()))]
    (root / "meta.csv").write_text("\n".join([f"stem,{column},Machine No", *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the device's command; give the exit code, the report or None, and stderr."""

    def run(*arguments: object) -> tuple[int, Any, str]:
        code = main(["evaluate", *map(str, arguments), "--variant", "onnx-fp32"])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run


@pytest.fixture
def trained(tiny_onnx: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A bundle that knows its six images (train 4, val 1, test 1; pixels of 0.1 mm), and their folder."""
    data = write_set(tmp_path / "trained")
    split_by(data, {f"part{i}": split for i, split in enumerate(("train",) * 4 + ("val", "test"))})
    model, spec = tiny_onnx(geometry=Geometry("resize", height_px=64, width_px=96))
    seen = SeenImages.of_samples(open_dataset(data).samples, "gray")
    info = BundleInfo("tiny", "1", "tests only", spec.input, data=({"name": "x", "pixel_mm": 0.1},), seen=seen)
    path = tmp_path / "tiny.edgeseg"
    pack(path, info, [VariantSource("onnx-fp32", model, spec)], [np.zeros((20, 30), np.uint8)])
    return path, data


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("dark", "bright", "middle"), "bright 1 -> 2, middle 2 -> 1"),
        (("bright", "dark", "middle"), "dark 1 -> 0"),  # the data's first class is not the bundle's background
        (("bright", "middle", "dark"), "mapped by name"),
    ],
)
def test_classes_in_another_order_are_mapped_by_name(evaluate, tiny_bundle, tmp_path, classes, words) -> None:
    expected = evaluate(tiny_bundle, "--data", write_set(tmp_path / "a"))[1]
    assert expected["notes"] == [] and expected["accuracy"]["dice_mean"] > 0.9
    code, report, err = evaluate(tiny_bundle, "--data", write_set(tmp_path / "b", classes))
    assert code == 0
    assert report["accuracy"] == expected["accuracy"] and report["per_class"] == expected["per_class"]
    assert words in report["notes"][0] and "note: " in err


def test_two_classes_as_0_and_255_are_mapped_too(evaluate, tiny_onnx, tmp_path) -> None:
    model, spec = tiny_onnx(activation="sigmoid", geometry=Geometry("resize", height_px=64, width_px=96))
    bundle = tmp_path / "two.edgeseg"
    info = BundleInfo("two", "1", "tests only", spec.input)
    pack(bundle, info, [VariantSource("onnx-fp32", model, spec)], [np.zeros((20, 30), np.uint8)])
    image = np.full((64, 96), 20, np.uint8)
    image[:, 32:] = 220
    for classes, white in (("[good, bright]", image > 100), ("[bright, good]", image < 100)):
        for folder, pixels in (("images", image), ("masks", white.astype(np.uint8) * 255)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "set" / folder / "a.png"), pixels)
        (tmp_path / "set" / "dataset.yaml").write_text(f"classes: {classes}\ncolor: gray\n")
        assert evaluate(bundle, "--data", tmp_path / "set")[1]["accuracy"]["dice"]["bright"] > 0.95


def test_names_that_differ_in_case_and_blanks_are_taken_with_a_note(evaluate, tiny_bundle, tmp_path) -> None:
    code, report, _ = evaluate(tiny_bundle, "--data", write_set(tmp_path, ("Dark ", "MIDDLE", "bright")))
    assert code == 0 and report["accuracy"]["dice_mean"] > 0.9
    assert "differ in case and blanks alone" in report["notes"][0]
    assert set(report["per_class"]) == set(CLASSES)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("dark", "middle", "brihgt"), ["'brihgt' may be 'bright'", "--classes-by-id"]),
        (("dark", "x", "light"), ["Only the data have ['x', 'light'], only the bundle has ['middle', 'bright']"]),
        (("dark", "middle"), ["2 and 3"]),
        (("dark", "middle", "bright", "spot"), ["4 and 3"]),
    ],
)
def test_other_classes_are_refused_with_both_lists(evaluate, tiny_bundle, tmp_path, classes, words) -> None:
    code, report, err = evaluate(tiny_bundle, "--data", write_set(tmp_path, classes))
    assert (code, report) == (1, None)
    for one in (str(list(classes)), str(list(CLASSES)), "dataset.yaml", *words):
        assert one in err


def test_other_names_are_taken_by_id_where_asked_but_never_another_number(evaluate, tiny_bundle, tmp_path) -> None:
    code, report, _ = evaluate(tiny_bundle, "--data", write_set(tmp_path / "a", ("x", "y", "z")), "--classes-by-id")
    assert code == 0 and report["accuracy"]["dice_mean"] > 0.9 and "as asked" in report["notes"][0]
    assert evaluate(tiny_bundle, "--data", write_set(tmp_path / "b", ("x", "y")), "--classes-by-id")[0] == 1


def test_a_faulty_dataset_yaml_is_not_passed_over(evaluate, tiny_bundle, tmp_path) -> None:
    write_set(tmp_path)
    (tmp_path / "dataset.yaml").write_text("classes: [dark, middle, bright]\ncolor: gray\npixel: 1\n")
    code, _, err = evaluate(tiny_bundle, "--data", tmp_path)
    assert code == 1 and "unknown key 'pixel'" in err


def test_without_dataset_yaml_it_says_what_was_not_compared(evaluate, tiny_bundle, tmp_path) -> None:
    code, report, err = evaluate(tiny_bundle, "--data", write_set(tmp_path, None))
    assert code == 0 and report["accuracy"]["dice_mean"] > 0.9
    assert any("class names" in one and "there is no" in one for one in report["not_checked"])
    assert all(f"not checked: {one}" in err for one in report["not_checked"])
    (tmp_path / "data.yml").write_text("names: [dark, bright, middle]\n")
    _, report, _ = evaluate(tiny_bundle, "--data", tmp_path)
    assert any("(data.yml is not read)" in one for one in report["not_checked"])
    cv2.imwrite(str(tmp_path / "masks" / "part0.png"), np.full((64, 96), 3, np.uint8))
    code, _, err = evaluate(tiny_bundle, "--data", tmp_path)
    assert code == 1 and "the mask holds the values 3" in err


@pytest.mark.parametrize("name", ["dataset.yml", "Dataset.YAML"])
def test_a_description_under_a_near_name_is_not_passed_over(evaluate, tiny_bundle, tmp_path, name) -> None:
    write_set(tmp_path, ("dark", "bright", "middle"))
    (tmp_path / "dataset.yaml").rename(tmp_path / name)
    code, report, err = evaluate(tiny_bundle, "--data", tmp_path)
    assert (code, report) == (1, None) and f"but {name}" in err and "rename it to dataset.yaml" in err


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone.yaml")])
def test_a_description_that_is_no_file_is_not_passed_over(evaluate, tiny_bundle, tmp_path, make) -> None:
    make(write_set(tmp_path, None) / "dataset.yaml")
    code, report, err = evaluate(tiny_bundle, "--data", tmp_path)
    assert (code, report) == (1, None) and "dataset.yaml" in err


def test_a_device_without_yaml_says_that_it_did_not_read_it(tiny_bundle, tmp_path) -> None:
    data = write_set(tmp_path / "set", ("dark", "bright", "middle"))
    script = "import sys; sys.modules['yaml'] = None; from edgeseg.runtime.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "evaluate", tiny_bundle, "--data", data]
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (sentence,) = [one for one in json.loads(done.stdout)["not_checked"] if "class names" in one]
    assert "PyYAML is not installed" in sentence and "taken as the bundle's" in sentence


def ignoring_set(root: Path, written: str, value: int) -> Path:
    """A set of two classes whose second image holds pixels that do not count."""
    write_set(root, None, n=2)
    ring = np.zeros((64, 96), np.uint8)
    for index, marked in ((0, 1), (1, value)):
        ring[:8] = marked
        cv2.imwrite(str(root / "masks" / f"part{index}.png"), ring)
    (root / "dataset.yaml").write_text(f"classes: [good, pit]\ncolor: gray\n{written}", encoding="utf-8")
    return root


TWO = About(("good", "pit"), InputSpec("gray", Geometry("native"), 2))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ignore: 255\n", 255),
        ("# ignore: 7\r\nignore : 128  # nobody knows\r\nname: d", 128),
        ("# ignore: 255\n", None),
    ],
)
def test_ignored_pixels_do_not_count_without_yaml_either(tmp_path, monkeypatch, written, value) -> None:
    root = ignoring_set(tmp_path, written, value or 0)
    told = [one.read_truth(2).tolist() for one in open_for(TWO, root).data.samples]
    monkeypatch.setitem(sys.modules, "yaml", None)
    opened = open_for(TWO, root)
    assert [one.read_truth(2).tolist() for one in opened.data.samples] == told and opened.data.ignore == value
    (sentence,) = opened.not_checked
    assert "PyYAML is not installed" in sentence and (f"but for ignore: {value};" in sentence) == (value is not None)


@pytest.mark.parametrize(
    "written",
    [
        *(
            "ignore: 0xFF\n",
            "ignore: 0377\n",
            "ignore:\n  255\n",
            "'ignore': 255\n",
            "? ignore\n: 255\n",
            "  ignore: 255\n",
        ),
        *("ignore: [254, 255]\n", "ignore: 254\nignore: 255\n", "about: {ignore: 255}\n", "ignore: 2_5_5\n"),
    ],
)
def test_an_ignore_that_only_yaml_can_read_is_refused_without_it(tmp_path, monkeypatch, written) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DataError, match=r"dataset\.yaml: what it says of ignore takes PyYAML .*`pip install pyyaml`"):
        open_for(TWO, ignoring_set(tmp_path, written, 255))


@pytest.mark.parametrize(("written", "words"), [("ignore: 256\n", "ignore is 256"), ("ignore: 1\n", "the class 'pit'")])
def test_an_ignore_that_cannot_be_is_refused_without_yaml_too(tmp_path, monkeypatch, written, words) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DataError, match=words):
        open_for(TWO, ignoring_set(tmp_path, written, 255))


def test_colour_of_the_data_is_held_against_the_bundle(evaluate, tiny_bundle, tmp_path) -> None:
    data = write_set(tmp_path, color="rgb")
    for path in (data / "images").iterdir():
        cv2.imwrite(str(path), cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), cv2.COLOR_GRAY2BGR))
    code, report, _ = evaluate(tiny_bundle, "--data", data)
    assert code == 0 and report["accuracy"]["dice_mean"] > 0.9
    assert report["notes"] == ["dataset.yaml says color rgb: the frames are turned to gray (luma) for the bundle"]


def test_another_window_is_noted_and_the_bundle_s_applied(tmp_path: Path) -> None:
    data = write_set(tmp_path, window=[0, 50000])
    for window, notes in (((0, 50000), 0), ((1000, 40000), 1)):
        about = About(CLASSES, InputSpec("gray", Geometry("native"), 32, window=window))
        found = [note for note in open_for(about, data).notes if "window" in note]
        assert len(found) == notes
    assert "window [0, 50000], the bundle [1000, 40000]: the bundle's is applied" in found[0]


@pytest.mark.parametrize(
    ("pixel_mm", "note"), [(0.1, None), (0.104, None), (0.2, "0.2 mm, the bundle was trained on 0.1 mm")]
)
def test_distances_are_in_mm_and_pixels_of_another_size_are_noted(evaluate, trained, tmp_path, pixel_mm, note) -> None:
    data = write_set(tmp_path / "b", first=10, pixel_mm=pixel_mm)
    shifted = data / "masks" / "part10.png"
    cv2.imwrite(str(shifted), np.roll(cv2.imread(str(shifted), cv2.IMREAD_UNCHANGED), 8, axis=1))
    _, report, _ = evaluate(trained[0], "--data", data)
    distance = report["accuracy"]["hd95"]["bright"]
    assert distance["value_px"] > 0 and distance["value_mm"] == pytest.approx(distance["value_px"] * pixel_mm)
    assert (report["notes"] == []) if note is None else (note in report["notes"][0])
    assert report["not_checked"] == []


def test_pixel_sizes_that_one_side_does_not_know_are_not_compared(evaluate, trained, tiny_bundle, tmp_path) -> None:
    _, report, _ = evaluate(trained[0], "--data", write_set(tmp_path / "a"))
    (sentence,) = report["not_checked"]
    assert sentence.endswith("the bundle was trained on 0.1 mm, dataset.yaml has no pixel_mm")
    _, report, _ = evaluate(tiny_bundle, "--data", write_set(tmp_path / "b", pixel_mm=0.3))
    assert any("0.3 mm" in one and "does not say" in one for one in report["not_checked"])


def test_without_a_split_all_images_are_scored(evaluate, tiny_bundle, tmp_path) -> None:
    data = write_set(tmp_path)
    _, report, _ = evaluate(tiny_bundle, "--data", data)
    assert (report["split"], report["accuracy"]["n_images"]) == ("all", 6)
    assert "bring no split" in report["split_reason"]
    for split in ("train", "val", "test"):
        code, _, err = evaluate(tiny_bundle, "--data", data, "--split", split)
        assert code == 1 and "bring no split" in err
    code, _, err = evaluate(tiny_bundle, "--data", data, "--by", "split")
    assert code == 2 and "Known: group." in err


def test_with_a_split_test_is_scored_and_an_empty_one_is_refused(evaluate, trained) -> None:
    bundle, data = trained
    _, report, _ = evaluate(bundle, "--data", data)
    assert (report["split"], report["accuracy"]["n_images"]) == ("test", 1)
    assert "column split" in report["split_reason"]
    assert evaluate(bundle, "--data", data, "--split", "train")[1]["accuracy"]["n_images"] == 4
    assert evaluate(bundle, "--data", data, "--split", "all")[1]["accuracy"]["n_images"] == 6
    split_by(data, {f"part{i}": "train" for i in range(6)})
    code, _, err = evaluate(bundle, "--data", data)
    assert code == 1 and "the split test is empty (train 6, val 0, test 0). Choose another with --split" in err


def test_columns_are_found_without_regard_to_case_and_unused_ones_are_told(evaluate, trained) -> None:
    bundle, data = trained
    _, report, _ = evaluate(bundle, "--data", data, "--split", "all")
    assert report["columns_not_used"] == ["Machine No"]
    _, report, _ = evaluate(bundle, "--data", data, "--split", "all", "--by", "machine no , Split")
    assert report["columns_not_used"] == []
    assert {value: one["n_images"] for value, one in report["by"]["machine no"].items()} == {"M0": 3, "M1": 3}
    assert {value: one["n_images"] for value, one in report["by"]["Split"].items()} == {"train": 4, "val": 1, "test": 1}


def test_images_that_were_trained_on_are_counted_and_told(evaluate, trained, tmp_path) -> None:
    bundle, data = trained
    other = write_set(tmp_path / "other", n=2, first=50)  # two new ones
    for index in range(6):  # and the bundle's own, in other files, under other names, without their split
        shutil.copy(data / "masks" / f"part{index}.png", other / "masks" / f"x{index}.png")
        cv2.imwrite(str(other / "images" / f"x{index}.bmp"), cv2.imread(str(data / "images" / f"part{index}.png")))
    wrong = other / "masks" / "part50.png"
    cv2.imwrite(str(wrong), np.zeros((64, 96), np.uint8))
    _, report, err = evaluate(bundle, "--data", other)
    assert report["seen"] == {"train": 4, "val": 1, "test": 1, "unknown_to_bundle": 2}
    assert report["accuracy_unseen"]["n_images"] == 3
    assert report["accuracy_unseen"]["dice_mean"] < report["accuracy"]["dice_mean"] < 1
    unseen, over_all = report["accuracy_unseen"]["dice_mean"], report["accuracy"]["dice_mean"]
    (warning,) = report["warnings"]
    assert "of the 8 images scored here the bundle was trained on 4 and chosen by 1" in warning
    assert f"Dice is {unseen:.3f} over the 3 others, {over_all:.3f} over all" in warning
    assert f"warning: {warning}" in err


def test_all_seen_and_none_seen(evaluate, trained, tmp_path) -> None:
    bundle, data = trained
    _, report, _ = evaluate(bundle, "--data", data, "--split", "train")
    assert report["seen"]["train"] == 4 and report["accuracy_unseen"] is None
    assert "says nothing of new images" in report["warnings"][0]
    _, report, err = evaluate(bundle, "--data", write_set(tmp_path / "new", n=3, first=80))
    assert report["seen"] == {"train": 0, "val": 0, "test": 0, "unknown_to_bundle": 3}
    assert report["warnings"] == [] and report["accuracy_unseen"] is None and "warning" not in err
    _, report, _ = evaluate(bundle, "--data", data)
    assert report["seen"]["test"] == 1 and report["warnings"] == [], "its own test images are fair"


def test_a_bundle_without_hashes_says_that_it_is_not_known(evaluate, tiny_bundle, tmp_path) -> None:
    code, report, _ = evaluate(tiny_bundle, "--data", write_set(tmp_path))
    assert code == 0 and report["seen"] is None and report["warnings"] == []
    assert any("trained on: not known" in one for one in report["not_checked"])
