"""What is not taken of a folder is listed or a fault, and what images and masks wait for is told."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.data.check import examine
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import DataError

from ...data_folders import frame, save, truth, write_folder


def rename(folder: Path, change) -> None:
    for path in list(folder.iterdir()):
        path.rename(folder / change(path.name))


def faults(root: Path) -> list[tuple[str, str]]:
    with pytest.raises(DataError):
        open_dataset(root)
    return [(fault.file, fault.kind) for fault in examine(root).faults]


def test_images_in_a_folder_of_images_are_a_fault_and_counted(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for folder in ("images", "masks"):
        (root / folder / "batch2").mkdir()
        for stem in "678":
            (root / folder / f"{stem}.png").rename(root / folder / "batch2" / f"{stem}.png")
    (root / "meta.csv").unlink()
    assert faults(root) == [("images/batch2/", "images in a folder")]
    found = examine(root)
    assert (found.n_images, found.n_masks) == (6, 6)
    assert [(one["where"], one["files"], one["n"]) for one in found.not_taken] == [
        ("images/", ["batch2/"], 3),
        ("masks/", ["batch2/"], 3),
    ]


def test_an_image_of_another_kind_whose_mask_waits_is_a_fault(tmp_path: Path) -> None:
    root = write_folder(tmp_path, meta=None)
    for stem in "036":
        (root / "images" / f"{stem}.png").rename(root / "images" / f"{stem}.gif")
    (root / "images" / "1.png").rename(root / "images" / "1.png ")
    (root / "images" / "2.png").unlink()
    (root / "images" / "2.png").symlink_to("nowhere.png")
    names = ("0.gif", "1.png ", "2.png", "3.gif", "6.gif")
    assert faults(root) == [(f"images/{name}", "image not taken") for name in names]


def test_what_nothing_waits_for_is_listed_and_said(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for name in ("._0.png", "notes.txt", "more.gif"):
        (root / "images" / name).write_text("x")
    (root / "masks" / "drawn").mkdir()
    save(root / "masks" / "drawn" / "x.png", truth())
    save(root / "masks" / "orphan.png", truth())
    data = open_dataset(root)
    assert len(data.samples) == 9
    said = "\n".join(data.remarks)
    for words in (
        "._0.png (1): hidden",
        "notes.txt",
        "more.gif (1): a .gif file",
        "drawn/ (1)",
        "orphan.png (1): without",
    ):
        assert words in said
    assert [fault.kind for fault in examine(root).faults] == ["mask without image"]
    assert {reason["reason"] for reason in examine(root).not_taken} >= {"hidden", "a .txt file", "a .gif file"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda name: name.replace(".png", "_mask.png"),
            "take '_mask' out of the names in masks/: 0_mask.png becomes 0.png",
        ),
        (lambda name: f"mask_{name}", "take 'mask_' out"),
        (lambda name: name.replace(".png", ".gif"), "no usable file, only .gif"),
        (lambda name: f"0{name}", "leading zeros"),
        (lambda name: f" {name}", "in blanks"),
        (lambda name: name.replace(".png", ".jpg"), "JPEG changes class ids"),
        (lambda name: f"{int(name[0]) + 20}.png", "none of the 9 images has a mask of its name"),
    ],
)
def test_all_masks_named_otherwise_are_one_fault(tmp_path: Path, change, says: str) -> None:
    root = write_folder(tmp_path, meta=None)
    rename(root / "masks", change)
    with pytest.raises(DataError) as caught:
        open_dataset(root)
    assert says in str(caught.value) and "1 fault(s)" in str(caught.value)
    assert len(examine(root).faults) == 1


def test_other_files_in_place_of_masks_say_what_reads_them(tmp_path: Path) -> None:
    for suffix, says in ((".json", "data import"), (".txt", "--from yolo"), (".npy", "8-bit gray PNG")):
        root = write_folder(tmp_path / suffix, meta=None)
        rename(root / "masks", lambda name, suffix=suffix: name.replace(".png", suffix))
        with pytest.raises(DataError, match=f"only {suffix} in it.*{says}"):
            open_dataset(root)


def test_what_an_archive_of_macos_leaves_is_no_fault(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "images" / "__MACOSX").mkdir()
    (root / "images" / "__MACOSX" / "._0.png").write_text("x")
    assert len(open_dataset(root).samples) == 9 and examine(root).faults == ()


def test_rows_that_pair_with_no_image_are_not_told_as_empty_splits(tmp_path: Path) -> None:
    meta = "stem,split\n" + "".join(f"X{i},{('train', 'val', 'test')[i % 3]}\n" for i in range(9))
    assert {fault.kind for fault in examine(write_folder(tmp_path, meta=meta)).faults} == {"row without image"}


def test_a_few_masks_named_otherwise_are_one_fault_and_one_missing_another(tmp_path: Path) -> None:
    root = write_folder(tmp_path, meta=None)
    for stem in "123":
        (root / "masks" / f"{stem}.png").rename(root / "masks" / f"{stem}_seg.png")
    (root / "masks" / "5.png").unlink()
    assert faults(root) == [("masks/", "names do not pair"), ("images/5.png", "missing mask")]


def test_unicode_forms_are_told(tmp_path: Path) -> None:
    root = write_folder(tmp_path, meta=None)
    for folder, form in (("images", "NFC"), ("masks", "NFD")):
        rename(root / folder, lambda name, form=form: unicodedata.normalize(form, f"é{name}"))
    with pytest.raises(DataError, match="form of Unicode"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("folder", "other"),
    [("images", "Images"), ("images", "img_dir"), ("images", "JPEGImages"), ("masks", "Masks"), ("masks", "labels"),
     ("masks", "SegmentationClass"), ("masks", "ground truth"), ("masks", "labelsTr")],
)  # fmt: skip
def test_folders_under_another_name_are_told(tmp_path: Path, folder: str, other: str) -> None:
    root = write_folder(tmp_path)
    (root / folder).rename(root / other)
    with pytest.raises(DataError, match=f"no such folder, but {other}/ is there; rename {other} to {folder}"):
        open_dataset(root)


def test_images_beside_the_folder_and_folders_by_split(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    save(loose / "a.png", frame(0))
    with pytest.raises(DataError, match=r"1 picture\(s\) lie beside it; make the folder images"):
        open_dataset(loose)
    write_folder(tmp_path / "split" / "train")
    with pytest.raises(DataError, match=r"train/ has folders of its own; .*the split into meta.csv"):
        open_dataset(tmp_path / "split")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_swapped_folders_are_one_fault(tmp_path: Path, suffix: str) -> None:
    root = write_folder(tmp_path, meta=None)
    rename(root / "images", lambda name: name.replace(".png", suffix))
    (root / "images").rename(root / "x")
    (root / "masks").rename(root / "images")
    (root / "x").rename(root / "masks")
    assert examine(root).faults[0].kind == "folders swapped"
    assert "rename the two folders" in examine(root).faults[0].remedy


def test_shares_show_masks_the_wrong_way_round(tmp_path: Path) -> None:
    root = write_folder(tmp_path, yaml="classes: [background, pit]\ncolor: gray\n")
    for i in range(9):
        save(root / "masks" / f"{i}.png", (truth() > 0).astype(np.uint8) * 255)
    found = examine(root)
    share = float((truth() > 0).mean())
    assert [(one.name, one.n_images) for one in found.shares] == [("background", 9), ("pit", 9)]
    assert found.shares[1].pixels == pytest.approx(share) and found.warnings == ()
    for i in range(9):
        save(root / "masks" / f"{i}.png", (truth() == 0).astype(np.uint8) * 255)
    found = examine(root)
    assert found.shares[1].pixels == pytest.approx(1 - share) and found.faults == ()
    assert [one.kind for one in found.warnings] == ["background not largest"]


def test_one_class_in_place_of_the_background_is_seen_among_several(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for i in range(9):
        save(root / "masks" / f"{i}.png", np.array([2, 0, 1], np.uint8)[truth()])
    (warning,) = examine(root).warnings
    assert warning.message.startswith("scratch covers") and "100% of the masks" in warning.message


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32, np.float64])
def test_images_and_masks_of_any_depth_are_looked_at(tmp_path: Path, dtype: type) -> None:
    root = write_folder(tmp_path)
    for path in [*(root / "images").iterdir(), *(root / "masks").iterdir()]:
        pixels = truth() if path.parent.name == "masks" else frame(int(path.stem))
        save(path.with_suffix(".tif"), pixels.astype(dtype))
        path.unlink()
    found = [fault.kind for fault in examine(root).faults]
    is_float = dtype in (np.float32, np.float64)
    assert found == ["not 8-bit"] * (18 if is_float else 9), "whole numbers are ids in any depth, and no image is"


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_lost_link_is_to_be_mended(tmp_path: Path, folder: str) -> None:
    root = write_folder(tmp_path, meta=None)
    (root / folder / "3.png").unlink()
    (root / folder / "3.png").symlink_to("nowhere.png")
    (fault,) = examine(root).faults
    assert "a link to nothing" in fault.message and fault.remedy.startswith("mend the link")


def test_hidden_and_nameless_files_are_called_so(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    rename(root / "images", lambda name: f".{name}")
    assert "only hidden files in it" in examine(root).faults[0].message
    rename(root / "images", lambda name: name.strip(".").removesuffix(".png"))
    assert "only files without a suffix in it" in examine(root).faults[0].message
