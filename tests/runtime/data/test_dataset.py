"""Opening data-set folders: right ones, wrong ones, and the real ones."""

import builtins
import re

import numpy as np
import pytest

from edgeseg.runtime.data.dataset import (
    SPLITS,
    content_hash,
    list_images,
    open_dataset,
    read_image,
    read_mask,
    split_hash,
)
from edgeseg.runtime.data.folder import Description
from edgeseg.runtime.errors import DataError

from ..data_folders import CLASSES, frame, save, truth, write_folder


def test_a_folder_is_opened_with_all_it_says(tmp_path):
    yaml = "name: tiny\nclasses: [a, b, c]\ncolor: rgb\npixel_mm: 0.1\nlicence: CC0\nmay_redistribute: true\n"
    data = open_dataset(write_folder(tmp_path / "d", yaml=yaml))
    assert (data.name, data.classes, data.color, data.pixel_mm) == ("tiny", ("a", "b", "c"), "rgb", 0.1)
    assert (data.licence, data.may_redistribute) == ("CC0", True)
    assert [sample.stem for sample in data.samples] == [str(i) for i in range(9)]
    first = data.samples[0]
    assert (first.split, first.group, dict(first.columns)) == ("train", "g0", {"machine": "M0"})
    assert [len(data.split(name)) for name in SPLITS] == [5, 2, 2]
    assert np.array_equal(read_image(first.image, "gray"), frame(0))
    assert np.array_equal(read_mask(first.mask, 3), truth())


def test_a_device_needs_no_yaml(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "d")
    (root / "dataset.yaml").unlink()
    found = builtins.__import__

    def without_yaml(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError("No module named 'yaml'")
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    data = open_dataset(root, about=Description("d", tuple(CLASSES), "gray"))
    assert (data.name, data.classes, data.may_redistribute) == ("d", tuple(CLASSES), False)
    (root / "dataset.yaml").write_text("classes: [a, b]\ncolor: gray\n")
    with pytest.raises(DataError, match="pip install pyyaml"):
        open_dataset(root)


def test_without_splits_one_is_made_kept_and_used_again(tmp_path):
    root = write_folder(tmp_path / "d", meta=None, n=12)
    kept = tmp_path / "run" / "split.csv"
    data = open_dataset(root, split_file=kept)
    assert {sample.group for sample in data.samples} == {sample.stem for sample in data.samples}
    assert all(data.split(name) for name in SPLITS)
    kept.write_text(re.sub("^0,[a-z]+", "0,test", kept.read_text(), flags=re.M))
    again = open_dataset(root, split_file=kept)
    assert again.samples[0].split == "test"
    assert not (root / "split.csv").exists(), "the data folder is not written to"
    assert not (root / "meta.csv").exists()


def test_groups_without_splits_stay_together(tmp_path):
    meta = "stem,group\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(9))
    data = open_dataset(write_folder(tmp_path, meta=meta))
    assert len({(sample.group, sample.split) for sample in data.samples}) == 2
    with pytest.raises(DataError, match=r"is empty \(train 5, val 4, test 0\)"):
        data.split("test")


def test_a_csv_from_a_spreadsheet_is_read(tmp_path):
    meta = "\ufeffstem;split\r\n" + "".join(f"{i};{('train', 'val', 'test')[i % 3]}\r\n" for i in range(9))
    assert len(open_dataset(write_folder(tmp_path, meta=meta)).split("val")) == 3


def test_an_unknown_or_empty_split_is_refused_with_the_counts(tmp_path):
    data = open_dataset(write_folder(tmp_path, meta="stem,split\n" + "".join(f"{i},test\n" for i in range(9))))
    with pytest.raises(DataError, match=r"'train' is empty \(train 0, val 0, test 9\)"):
        data.split("train")
    with pytest.raises(DataError, match="'dev' is empty"):
        data.split("dev")


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("classes: [a, b]\ncolour: gray\n", r"unknown key 'colour'; did you mean color\?"),
        ("classes: [a, b]\n", "the key color is missing"),
        ("color: gray\n", "the key classes is missing"),
        ("classes: [background]\ncolor: gray\n", r"1 class\(es\): background; list 2 to 255"),
        ("classes: background\ncolor: gray\n", "classes is no list: 'background'"),
        ("classes: []\ncolor: gray\n", r"0 class\(es\)"),
        ("classes: [a, a]\ncolor: gray\n", "different, non-empty"),
        ("classes: [a, [3]]\ncolor: gray\n", r"classes\[1\] is \[3\], which is no name"),
        ("classes: [a, b]\ncolor: bgr\n", "color is 'bgr'; write gray or rgb"),
        ("classes: [a, b]\ncolor: gray\ntask: multiclass\n", "contradicts 2 classes"),
        ("classes: [a, b]\ncolor: gray\npixel_mm: -1\n", "pixel_mm is -1"),
        ("classes: [a, b]\ncolor: gray\npixel_mm: 1 mm\n", "pixel_mm is '1 mm'"),
        ("classes: [a, b]\ncolor: gray\nmay_redistribute: perhaps\n", "write true or false"),
        ("[1, 2\n", "not valid YAML"),
        ("", "holds no keys"),
        ("- a\n", "holds no keys"),
    ],
)
def test_a_wrong_dataset_yaml_is_refused_with_the_remedy(tmp_path, yaml, says):
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(write_folder(tmp_path, yaml=yaml))
    assert "dataset.yaml" in str(caught.value)


def test_a_missing_dataset_yaml_says_what_writes_one(tmp_path):
    root = write_folder(tmp_path)
    (root / "dataset.yaml").unlink()
    with pytest.raises(DataError, match="edgeseg init"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda root: (root / "masks" / "3.png").unlink(), "images/3.png: no mask 3.png"),
        (lambda root: save(root / "images" / "3.jpg", frame(3)), "has the same stem as 3.jpg"),
        (lambda root: save(root / "images" / "new.png", frame(3)), "no mask new.png"),
        (lambda root: (root / "images" / "8.png").unlink(), r"meta.csv: 8 is not in images/"),
        (
            lambda root: [path.unlink() for path in (root / "images").iterdir()],
            "images/: no usable file, nothing in it",
        ),
        (lambda root: (root / "images").rename(root / "pictures"), "images/: no such folder"),
        (lambda root: (root / "masks").rename(root / "labels"), "masks/: no such folder"),
        (lambda root: (root / "meta.csv").write_text("stem,split\n0,valid\n"), "0 has the split 'valid'; write train"),
        (lambda root: (root / "meta.csv").write_text("name,split\n0,train\n"), "the header is name, split"),
        (lambda root: (root / "meta.csv").write_text(""), "the header is empty"),
        (lambda root: (root / "meta.csv").write_text("stem,split\n0\n"), "line 2 has not 2 fields"),
        (lambda root: (root / "meta.csv").write_text("stem,split\n0,train\n0,val\n"), "0 has two rows"),
        (lambda root: (root / "meta.csv").write_bytes(b"stem,split\n\xff\xfe,train\n"), "not UTF-8"),
        (lambda root: (root / "meta.csv").write_text("stem,split\n01,train\n"), "leading zeros"),
    ],
)
def test_a_wrong_folder_is_refused_with_the_file_and_the_remedy(tmp_path, break_it, says):
    root = write_folder(tmp_path)
    break_it(root)
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(root)
    assert "edgeseg data check" in str(caught.value)


def test_a_folder_of_other_files_says_which(tmp_path):
    root = write_folder(tmp_path)
    for path in (root / "images").iterdir():
        path.rename(path.with_suffix(".dcm"))
    with pytest.raises(DataError, match=r"only \.dcm in it"):
        open_dataset(root)


def test_images_without_masks_are_listed_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "c.tif", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.JPG", "b.png", "c.tif"]
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="same stem"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        list_images(tmp_path / "none")


def test_a_group_across_splits_is_refused(tmp_path):
    meta = "stem,split,group\n" + "".join(f"{i},{SPLITS[i % 3]},g{i // 2}\n" for i in range(9))
    with pytest.raises(DataError, match="the group g0 is in train, val"):
        open_dataset(write_folder(tmp_path, meta=meta))


def test_no_folder_at_all(tmp_path):
    with pytest.raises(DataError, match="no such folder; give a folder with images/"):
        open_dataset(tmp_path / "nowhere")


def test_other_files_in_the_folders_are_no_matter(tmp_path):
    root = write_folder(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (root / "images" / name).write_text("x")
    (root / "images" / "old.png").mkdir()
    assert len(open_dataset(root).samples) == 9


def test_hashes_know_content_and_split_and_nothing_else(tmp_path):
    here, there = write_folder(tmp_path / "here"), write_folder(tmp_path / "there")
    one, two = open_dataset(here), open_dataset(there)
    assert content_hash(one) == content_hash(two)
    assert split_hash(one) == split_hash(two)
    header, *rows = (there / "meta.csv").read_text().splitlines()
    (there / "meta.csv").write_text("\n".join([header, *reversed(rows)]))
    assert split_hash(open_dataset(there)) == split_hash(one)
    (there / "meta.csv").write_text((here / "meta.csv").read_text().replace("5,val,g3", "5,test,g3b"))
    assert split_hash(open_dataset(there)) != split_hash(one)
    assert content_hash(open_dataset(there)) == content_hash(one)
    save(there / "masks" / "0.png", np.zeros((24, 32), np.uint8))
    assert content_hash(open_dataset(there)) != content_hash(one)


def test_hashes_notice_swapped_masks(tmp_path):
    root = write_folder(tmp_path)
    save(root / "masks" / "0.png", np.zeros((24, 32), np.uint8))
    before = content_hash(open_dataset(root))
    (root / "masks" / "0.png").rename(root / "masks" / "x.png")
    (root / "masks" / "1.png").rename(root / "masks" / "0.png")
    (root / "masks" / "x.png").rename(root / "masks" / "1.png")
    assert content_hash(open_dataset(root)) != before


@pytest.mark.real_data
def test_the_ultrasound_data_set_opens_as_it_is(ultrasound_dir):
    data = open_dataset(ultrasound_dir)
    assert data.classes == ("background", "nerve", "vessel")
    assert [len(data.split(name)) for name in SPLITS] == [175, 29, 40]
    for sample in data.samples[::40]:
        image, mask = read_image(sample.image, data.color), read_mask(sample.mask, 3)
        assert image.ndim == 2
        assert image.shape == mask.shape
    assert {sample.columns["channels"] for sample in data.samples} == {"1", "3"}


@pytest.mark.real_data
def test_the_ball_screw_data_set_opens_as_it_is(pitting_dir):
    data = open_dataset(pitting_dir)
    assert (len(data.samples), data.color) == (604, "rgb")
    assert [len(data.split(name)) for name in SPLITS] == [353, 126, 125]
    sample = next(sample for sample in data.samples if sample.columns["class"] == "pitting")
    mask = read_mask(sample.mask, 2)
    assert set(np.unique(mask)) == {0, 1}
    assert read_image(sample.image, "rgb").shape == (*mask.shape, 3)
    assert len(content_hash(data)) == len(split_hash(data)) == 64
