"""Masks that are pictures already: indices of palettes are kept, colours go by a table."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.dataset import open_dataset

from .sources import SAMPLES, imported, mask, picture, reasons, refused, turned_jpeg

COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]


def palette_png(path: Path, ids: Any, bits: int = 8, colours: list[tuple[int, int, int]] = COLOURS) -> None:
    """A PNG of these indices, written after the PNG specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = ids.shape
    unpacked = ((ids[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(height, width * bits)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(unpacked.astype(np.uint8), axis=1))
    head = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = chunk(b"IHDR", head) + chunk(b"PLTE", bytes(sum(colours, ()))) + chunk(b"tRNS", b"\0")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_voc_indices_are_kept_and_255_does_not_count(tmp_path: Path) -> None:
    report = imported("palette", SAMPLES / "palette", tmp_path / "new", "--classes", "scratch,dent,ring")
    found = mask(tmp_path / "new", "2007_000032")
    assert (found == 1).sum() > 100 and (found == 3).sum() == 80 and (found == 255).sum() > 50
    data = open_dataset(tmp_path / "new")
    assert data.ignore == 255 and data.classes == ("background", "scratch", "dent", "ring")
    assert report["splits"] == {"train": 1, "val": 1, "test": 0}
    # Stored with two bits, and listed by no list.
    assert (mask(tmp_path / "new", "2007_000033")[3:9, 3:12] == 2).all()
    assert reasons(report) == {"images that no list in ImageSets/Segmentation names": 1}


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_any_depth(bits: int, tmp_path: Path) -> None:
    ids = np.random.default_rng(bits).integers(0, min(4, 1 << bits), (20, 30), dtype=np.uint8)
    picture(tmp_path / "src" / "images" / "a.jpg")
    palette_png(tmp_path / "src" / "masks" / "a.png", ids, bits)
    imported("palette", tmp_path / "src", tmp_path / "new")
    assert np.array_equal(mask(tmp_path / "new", "a"), ids)


def test_gray_levels_are_ids_too(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "sub" / "a.jpg")
    ids = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    (tmp_path / "src" / "masks" / "sub").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "src" / "masks" / "sub" / "a.png"), ids)
    report = imported("palette", tmp_path / "src", tmp_path / "new")
    assert np.array_equal(mask(tmp_path / "new", "a"), ids)
    assert [one["name"] for one in report["classes"]] == ["background", "class_1", "class_2"]


def test_a_number_without_a_name_is_refused(tmp_path: Path) -> None:
    told = refused("palette", SAMPLES / "palette", tmp_path / "new", "--classes", "scratch,dent")
    assert "2007_000032.png" in told and "3 (80 pixels)" in told


def test_names_by_order_only_where_the_palette_agrees(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "JPEGImages" / "a.jpg")
    ids = np.full((20, 30), 2, np.uint8)
    palette_png(tmp_path / "src" / "SegmentationClass" / "a.png", ids)
    table = tmp_path / "src" / "labelmap.txt"
    table.write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:128,0,0::\nrim:0,128,0::\n")
    imported("palette", tmp_path / "src", tmp_path / "new")
    assert open_dataset(tmp_path / "new").classes == ("background", "dent", "rim")
    table.write_text("background:0,0,0::\nrim:0,128,0::\ndent:128,0,0::\n")
    told = refused("palette", tmp_path / "src", tmp_path / "other")
    assert "#008000" in told and "#800000" in told and "--from color" in told


def test_masks_of_0_and_255_alone_are_not_taken_for_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    ids = np.zeros((20, 30), np.uint8)
    ids[5:9] = 255
    (tmp_path / "src" / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "src" / "masks" / "a.png"), ids)
    assert "foreground=#ffffff" in refused("palette", tmp_path / "src", tmp_path / "new")
    imported("color", tmp_path / "src", tmp_path / "new", "--classes", "foreground=#ffffff")
    assert np.array_equal(mask(tmp_path / "new", "a") == 1, ids == 255)


def test_colours_go_by_the_label_map_of_the_export(tmp_path: Path) -> None:
    report = imported("color", SAMPLES / "voc", tmp_path / "new")
    assert [one["name"] for one in report["classes"]] == ["background", "dent", "ring", "scratch"]
    found = mask(tmp_path / "new", "part0")
    assert [(found == number).sum() for number in (1, 2, 3)] == [143, 80, 140]


def test_colours_of_palettes_and_pixels_that_do_not_count(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    ids = np.zeros((20, 30), np.uint8)
    ids[3:5], ids[8:10] = 1, 2
    palette_png(tmp_path / "src" / "masks" / "a.png", ids)
    # The palette's first colour is transparent here, which a mask is not judged by.
    told = refused("color", tmp_path / "src", tmp_path / "new", "--classes", "dent=#800000")
    assert "#008000: 60 pixels in 1 mask(s)" in told
    report = imported("color", tmp_path / "src", tmp_path / "new", "--classes", "dent=#800000,ignore=#008000")
    found = mask(tmp_path / "new", "a")
    assert (found[3:5] == 1).all() and (found[8:10] == 255).all() and report["ignore"] == 255


def test_colours_without_a_class_are_counted_and_nothing_is_written(tmp_path: Path) -> None:
    told = refused("color", SAMPLES / "voc", tmp_path / "new", "--classes", "scratch=#fa3253,ring=#0000ff")
    assert "#33ddff: 143 pixels in 1 mask(s)" in told and "part0.png" in told


@pytest.mark.parametrize("classes", ["dent", "dent=red", "a=#ff0000,b=#FF0000", "a=#ff0000,a=#00ff00", "=#ff0000"])
def test_tables_of_colours_that_say_nothing(classes: str, tmp_path: Path) -> None:
    assert "--classes" in refused("color", SAMPLES / "voc", tmp_path / "new", "--classes", classes)


def test_jpeg_masks_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    picture(tmp_path / "src" / "masks" / "a.jpg", level=0)
    assert "a.jpg" in refused("color", tmp_path / "src", tmp_path / "new", "--classes", "dent=#ff0000")
    assert "a.jpg" in refused("palette", tmp_path / "src", tmp_path / "new")


def test_masks_of_other_names_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    picture(tmp_path / "src" / "masks" / "a_mask.png")
    told = refused("palette", tmp_path / "src", tmp_path / "new")
    assert "masks/a_mask.png" in told and "images/a.png" in told


@pytest.mark.parametrize("kind", ["palette", "color"])
@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (("images", "labels", "masks"), "folders of masks side by side (labels, masks); leave the one"),
        (("JPEGImages", "SegmentationClass", "masks"), "folders of masks side by side (SegmentationClass, masks)"),
        (("JPEGImages", "images", "masks"), "folders of images side by side (JPEGImages, images)"),
    ],
)
def test_two_folders_of_a_kind_are_refused(folders: tuple[str, ...], told: str, kind: str, tmp_path: Path) -> None:
    for folder in folders:
        picture(tmp_path / "src" / folder / "a.png")
    assert told in refused(kind, tmp_path / "src", tmp_path / "new", "--classes", "dent=#800000")


def test_folders_beside_the_masks_that_are_none(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for root in (source / "train", source / "val"):
        picture(root / "JPEGImages" / f"{root.name}.jpg")
        palette_png(root / "SegmentationClass" / f"{root.name}.png", np.full((20, 30), 2, np.uint8))
        palette_png(root / "SegmentationObject" / f"{root.name}.png", np.full((20, 30), 1, np.uint8))
        for folder in ("Annotations", "labels"):  # of boxes
            (root / folder).mkdir()
            (root / folder / f"{root.name}.txt").write_text("")
    assert imported("palette", source, tmp_path / "new")["images"] == 2
    assert (mask(tmp_path / "new", "val") == 2).all()


def test_a_mask_as_stored_is_turned_with_its_picture(tmp_path: Path) -> None:
    turned_jpeg(tmp_path / "src" / "images" / "a.jpg", (20, 30), 6)
    ids = np.zeros((20, 30), np.uint8)
    ids[:4, :9] = 1
    palette_png(tmp_path / "src" / "masks" / "a.png", ids)
    imported("palette", tmp_path / "src", tmp_path / "new")
    assert np.array_equal(mask(tmp_path / "new", "a"), np.rot90(ids, -1))
