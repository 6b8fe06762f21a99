"""All faults of a folder at once, each with its file, kind and remedy."""

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.check import check_dataset

from ..data_folders import frame, palette_png, save, truth, write_folder


def kinds(root) -> list[tuple[str, str]]:
    faults = check_dataset(root)
    assert all(fault.message and fault.remedy for fault in faults)
    return [(fault.file, fault.kind) for fault in faults]


def test_a_right_folder_has_no_fault_and_progress_is_told(tmp_path):
    told = []
    assert check_dataset(write_folder(tmp_path), progress=lambda *step: told.append(step)) == []
    assert told == [(i, 9) for i in range(1, 10)]


def test_every_kind_is_listed_at_once(tmp_path):
    root = write_folder(tmp_path, n=13)
    save(root / "images" / "0.png", frame(0).astype(np.uint16))
    (root / "masks" / "1.png").write_bytes(palette_png(truth()))
    save(root / "masks" / "2.png", truth()[:20])
    save(root / "masks" / "3.png", truth() + 2)
    (root / "images" / "4.png").write_bytes((root / "images" / "4.png").read_bytes()[:100])
    (root / "masks" / "5.png").write_bytes(b"")
    save(root / "images" / "6.png", np.dstack([frame(6, (24, 32, 3)), frame(7)]))
    (root / "masks" / "7.png").unlink()
    save(root / "masks" / "orphan.png", truth())
    colours = np.zeros((24, 32, 3), np.uint8)
    colours[..., 2] = 200
    save(root / "images" / "8.png", colours)
    save(root / "images" / "9.png", frame(12))
    save(root / "images" / "10.bmp", frame(99))
    found = kinds(root)
    assert len(found) == len(set(found)), "each is told once"
    assert set(found) == {
        ("images/0.png", "not 8-bit"),
        ("masks/1.png", "palette"),
        ("masks/2.png", "size mismatch"),
        ("masks/3.png", "unknown class id"),
        ("images/4.png", "truncated"),
        ("masks/5.png", "empty file"),
        ("images/6.png", "transparent"),
        ("images/7.png", "missing mask"),
        ("images/8.png", "colour in gray"),
        ("images/10.png", "duplicate stem"),
        ("images/9.png", "leak between splits"),
        ("masks/orphan.png", "mask without image"),
    }


def test_the_same_picture_in_two_splits_is_a_leak_in_any_format(tmp_path):
    root = write_folder(tmp_path)
    (root / "images" / "8.png").unlink()
    save(root / "images" / "8.bmp", frame(0))
    (fault,) = check_dataset(root)
    assert (fault.file, fault.kind) == ("images/8.bmp", "leak between splits")
    assert "0.png" in fault.message
    assert "test and train" in fault.message


def test_the_same_picture_within_a_split_is_no_leak(tmp_path):
    root = write_folder(tmp_path)
    save(root / "images" / "1.png", frame(0))
    assert check_dataset(root) == []


def test_without_splits_a_repeated_picture_needs_one_group(tmp_path):
    root = write_folder(tmp_path, meta=None)
    save(root / "images" / "5.png", frame(2))
    assert kinds(root) == [("images/5.png", "repeated image")]
    (root / "meta.csv").write_text("stem,group\n" + "".join(f"{i},{'same' if i in (2, 5) else ''}\n" for i in range(9)))
    assert check_dataset(root) == []


def test_a_split_without_positives_and_an_empty_split(tmp_path):
    root = write_folder(tmp_path)
    for stem in "56":
        save(root / "masks" / f"{stem}.png", (truth() == 1).astype(np.uint8))
    (fault,) = check_dataset(root)
    assert fault.kind == "no positives"
    assert "split val has scratch" in fault.message
    (root / "meta.csv").write_text("stem,split\n" + "".join(f"{i},{'train' if i < 7 else 'val'}\n" for i in range(9)))
    assert ("meta.csv", "empty split") in kinds(root)


def test_one_class_only_in_the_masks(tmp_path):
    root = write_folder(tmp_path, meta=None)
    for i in range(9):
        save(root / "masks" / f"{i}.png", np.zeros((24, 32), np.uint8))
    (fault,) = check_dataset(root)
    assert (fault.file, fault.kind) == ("masks/", "no positives")
    assert "pit, scratch" in fault.message


def test_one_class_only_in_dataset_yaml_and_the_files_are_still_read(tmp_path):
    root = write_folder(tmp_path, yaml="classes: [background]\ncolor: gray\n")
    (root / "images" / "0.png").write_bytes(b"")
    assert kinds(root) == [("dataset.yaml", "bad description"), ("images/0.png", "empty file")]


def test_a_missing_class_is_not_claimed_while_masks_are_unreadable(tmp_path):
    root = write_folder(tmp_path)
    for stem in "56":
        (root / "masks" / f"{stem}.png").write_bytes(b"")
    assert kinds(root) == [("masks/5.png", "empty file"), ("masks/6.png", "empty file")]


def test_group_across_splits_and_unknown_splits(tmp_path):
    meta = "stem,split,group\n" + "".join(f"{i},{('train', 'val', 'test', 'dev')[i % 4]},g\n" for i in range(9))
    found = kinds(write_folder(tmp_path, meta=meta))
    assert ("meta.csv", "group across splits") in found
    assert found.count(("meta.csv", "unknown split")) == 2


def test_a_one_pixel_image_is_a_fault(tmp_path):
    root = write_folder(tmp_path)
    save(root / "images" / "0.png", np.zeros((1, 1), np.uint8))
    save(root / "masks" / "0.png", np.zeros((1, 1), np.uint8))
    (fault,) = check_dataset(root)
    assert fault.kind == "tiny image"
    assert "1x1" in fault.message


def test_a_faint_tint_declared_gray_is_fine(tmp_path):
    root = write_folder(tmp_path)
    tinted = np.repeat(frame(0)[..., None] // 2, 3, axis=2) + np.array([0, 5, 20], np.uint8)
    save(root / "images" / "0.png", tinted)
    assert check_dataset(root) == []


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_missing_and_empty_folders_are_one_fault(tmp_path, folder):
    root = write_folder(tmp_path)
    for path in (root / folder).iterdir():
        path.unlink()
    assert kinds(root) == [(f"{folder}/", "empty folder")]
    (root / folder).rmdir()
    assert kinds(root) == [(f"{folder}/", "missing folder")]


def test_no_data_set_at_all(tmp_path):
    (fault,) = check_dataset(tmp_path / "nowhere")
    assert fault.kind == "missing folder"


def test_a_color_check_reads_what_is_stored(tmp_path):
    """Saturated colours whose luma is constant must not pass as gray."""
    root = write_folder(tmp_path)
    stored = cv2.cvtColor(np.dstack([frame(0), frame(1), frame(2)]), cv2.COLOR_HSV2RGB)
    save(root / "images" / "0.png", stored)
    assert kinds(root) == [("images/0.png", "colour in gray")]


@pytest.mark.real_data
def test_the_real_data_sets_have_no_fault(ultrasound_dir):
    assert check_dataset(ultrasound_dir) == []


def test_images_that_no_split_can_be_made_of_are_a_fault(tmp_path):
    two = write_folder(tmp_path / "two", meta=None, n=2)
    assert ("images/", "empty split") in kinds(two)
    one_group = write_folder(tmp_path / "group", meta="stem,group\n" + "".join(f"{i},p{i % 2}\n" for i in range(9)))
    assert kinds(one_group) == [("images/", "empty split")]
    assert kinds(write_folder(tmp_path / "three", meta=None, n=3)) == []
