"""Reading single files: what is taken, and what is refused with a remedy."""

import zlib

import cv2
import numpy as np
import pytest

from edgeseg.runtime.dataset import read_image, read_mask
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import FaultError

from .data_folders import frame, gray_png, palette_png, png, save, truth


def refused(call, *args) -> FaultError:
    with pytest.raises(DataError) as caught:
        call(*args)
    assert isinstance(caught.value, FaultError)
    assert str(args[0]) in str(caught.value), "the file must be named"
    assert caught.value.fault.remedy
    return caught.value


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_lossless_formats_give_back_what_was_saved(tmp_path, suffix):
    rgb, gray = frame(1, (9, 7, 3)), frame(2, (9, 7))
    assert np.array_equal(read_image(save(tmp_path / f"rgb{suffix}", rgb), "rgb"), rgb)
    assert np.array_equal(read_image(save(tmp_path / f"gray{suffix}", gray), "gray"), gray)


def test_a_jpeg_is_read_in_rgb_order(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    pixels = read_image(save(tmp_path / "red.JPG", red), "rgb")
    assert pixels.dtype == np.uint8
    assert pixels[8, 8, 0] > 190
    assert pixels[8, 8, 1:].max() < 10


def test_gray_stored_as_three_channels_is_exactly_that_gray(tmp_path):
    gray = frame(3)
    path = save(tmp_path / "a.png", np.repeat(gray[..., None], 3, axis=2))
    assert np.array_equal(read_image(path, "gray"), gray)


def test_gray_is_repeated_where_rgb_is_asked_for(tmp_path):
    gray = frame(3)
    pixels = read_image(save(tmp_path / "a.png", gray), "rgb")
    assert pixels.shape == (*gray.shape, 3)
    assert all(np.array_equal(pixels[..., c], gray) for c in range(3))


def test_a_tinted_image_declared_gray_becomes_luma(tmp_path):
    rgb = frame(4, (8, 8, 3))
    expected = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(read_image(save(tmp_path / "a.png", rgb), "gray"), expected)


def test_an_opaque_alpha_is_dropped_and_a_real_one_refused(tmp_path):
    rgba = np.dstack([frame(5, (8, 8, 3)), np.full((8, 8), 255, np.uint8)])
    assert np.array_equal(read_image(save(tmp_path / "a.png", rgba), "rgb"), rgba[..., :3])
    rgba[3, 3, 3] = 254
    error = refused(read_image, save(tmp_path / "b.png", rgba), "rgb")
    assert "254" in str(error)
    assert "flatten" in str(error)


def test_gray_with_alpha_is_read_as_gray(tmp_path):
    gray = frame(6, (4, 5))
    rows = b"".join(b"\x00" + bytes(v for p in row for v in (int(p), 255)) for row in gray)
    (tmp_path / "la.png").write_bytes(png(5, 4, 8, 4, zlib.compress(rows)))
    assert np.array_equal(read_image(tmp_path / "la.png", "gray"), gray)


@pytest.mark.parametrize("call", [lambda p: read_image(p, "gray"), lambda p: read_mask(p, 3)])
def test_16_bit_is_refused_with_the_remedy(tmp_path, call):
    path = save(tmp_path / "deep.png", frame(7).astype(np.uint16) * 200)
    error = refused(call, path)
    assert error.fault.kind == "not 8-bit"
    assert "0..255" in str(error)


def test_16_bit_tiff_is_refused_too(tmp_path):
    assert (
        refused(read_image, save(tmp_path / "deep.tif", frame(7).astype(np.uint16)), "gray").fault.kind == "not 8-bit"
    )


def test_palette_pngs_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "palette.png"
    path.write_bytes(palette_png(truth()))
    assert cv2.imread(str(path)) is not None, "a palette PNG that cv2 reads"
    assert "keeps the numbers" in str(refused(read_mask, path, 3))
    assert "convert('RGB')" in str(refused(read_image, path, "rgb"))


@pytest.mark.parametrize("depth", [2, 4])
def test_masks_whose_ids_would_be_rescaled_are_refused(tmp_path, depth):
    path = tmp_path / "small.png"
    path.write_bytes(gray_png(truth(), depth))
    assert f"{depth}-bit" in str(refused(read_mask, path, 3))


def test_a_1_bit_mask_is_binary(tmp_path):
    path = tmp_path / "bit.png"
    path.write_bytes(gray_png(truth() > 0, 1))
    assert np.array_equal(read_mask(path, 2), truth() > 0)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_files_are_refused_and_never_half_gray(tmp_path, suffix, share):
    path = save(tmp_path / f"cut{suffix}", frame(8, (64, 64, 3)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    expected = "truncated" if suffix in (".png", ".jpg") else "unreadable"
    assert refused(read_image, path, "rgb").fault.kind == expected


def test_a_damaged_png_is_refused(tmp_path):
    path = save(tmp_path / "bad.png", frame(8, (64, 64)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert "checksum" in str(refused(read_image, path, "gray"))


def test_a_jpeg_with_bytes_after_its_end_is_fine(tmp_path):
    path = save(tmp_path / "tail.jpg", frame(9, (16, 16)))
    path.write_bytes(path.read_bytes() + b"camera maker's notes")
    assert read_image(path, "gray").shape == (16, 16)


def test_empty_missing_and_foreign_files_are_refused(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture at all, only called so")
    (tmp_path / "folder.png").mkdir()
    assert refused(read_image, tmp_path / "empty.png", "gray").fault.kind == "empty file"
    for name in ("text.png", "folder.png", "missing.png"):
        assert refused(read_image, tmp_path / name, "gray").fault.kind == "unreadable"


def test_a_frame_larger_than_memory_allows_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(1_000_000, 1_000_000, 8, 0, b"\x00"))
    error = refused(read_image, path, "gray")
    assert "too large" in str(error)


def test_one_pixel_is_an_image(tmp_path):
    assert read_image(save(tmp_path / "one.png", np.full((1, 1), 7, np.uint8)), "gray").tolist() == [[7]]


def test_exif_orientation_of_a_jpeg_is_applied(tmp_path):
    path = save(tmp_path / "turned.jpg", np.zeros((16, 32), np.uint8))
    exif = (
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    )
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert read_image(path, "gray").shape == (32, 16)


def test_a_mask_of_class_ids_is_read_as_it_is(tmp_path):
    assert np.array_equal(read_mask(save(tmp_path / "m.png", truth()), 3), truth())


def test_a_mask_in_three_equal_channels_is_read_and_a_coloured_one_refused(tmp_path):
    three = np.repeat(truth()[..., None], 3, axis=2)
    assert np.array_equal(read_mask(save(tmp_path / "m.png", three), 3), truth())
    three[2:6, 2:8, 0] = 128
    assert refused(read_mask, save(tmp_path / "c.png", three), 3).fault.kind == "coloured mask"


def test_0_and_255_mean_0_and_1_with_two_classes_only(tmp_path):
    path = save(tmp_path / "m.png", (truth() > 0).astype(np.uint8) * 255)
    assert np.array_equal(read_mask(path, 2), truth() > 0)
    error = refused(read_mask, path, 3)
    assert error.fault.kind == "unknown class id"
    assert "255" in str(error)
    assert "0 to 2" in str(error)


def test_unknown_ids_are_listed(tmp_path):
    mask = truth()
    mask[0, :20] = np.arange(100, 120)
    error = refused(read_mask, save(tmp_path / "m.png", mask), 3)
    assert "100, 101" in str(error)
    assert "..." in str(error)
    mixed = np.array([[0, 1, 255]], np.uint8)
    refused(read_mask, save(tmp_path / "mixed.png", mixed), 2)


def test_an_all_good_mask_is_all_background(tmp_path):
    assert not read_mask(save(tmp_path / "m.png", np.zeros((5, 5), np.uint8)), 2).any()


def test_a_jpeg_mask_is_refused(tmp_path):
    assert refused(read_mask, save(tmp_path / "m.jpg", truth()), 3).fault.kind == "bad mask format"
