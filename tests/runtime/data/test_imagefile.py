"""Reading single files: what is taken, and what is refused with a remedy."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.runtime import container
from edgeseg.runtime.data.dataset import read_image, read_mask
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import FaultError

from ..container.image_files import bmp, coded, exif, jpeg_turned, tiff, webp_turned
from ..data_folders import frame, gray_png, palette_png, png, save, truth

LOSSLESS_WEBP, LOSSY_WEBP = (cv2.IMWRITE_WEBP_QUALITY, 101), (cv2.IMWRITE_WEBP_QUALITY, 80)


def refused(call, *args) -> FaultError:
    with pytest.raises(DataError) as caught:
        call(*args)
    assert isinstance(caught.value, FaultError)
    assert str(args[0]) in str(caught.value), "the file must be named"
    assert caught.value.fault.remedy
    return caught.value


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
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


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_image_needs_a_window_and_comes_out_as_stored_with_one(tmp_path, suffix):
    deep = frame(7).astype(np.uint16) * 200 + 300
    path = save(tmp_path / f"deep{suffix}", deep)
    error = refused(read_image, path, "gray")
    assert error.fault.kind == "not 8-bit"
    assert "window: [lo, hi]" in error.fault.remedy
    assert f"{deep.min()} to {deep.max()}" in str(error)
    found = read_image(path, "gray", (300, 40_000))
    assert found.dtype == np.uint16
    assert np.array_equal(found, deep)
    assert np.array_equal(read_image(path, "rgb", (300, 40_000)), np.repeat(deep[..., None], 3, axis=2))


def test_16_bit_colours_keep_their_order(tmp_path):
    deep = frame(7, (9, 7, 3)).astype(np.uint16) * 200
    assert np.array_equal(read_image(save(tmp_path / "deep.png", deep), "rgb", (0, 65535)), deep)


def test_an_8_bit_image_among_16_bit_ones_is_refused(tmp_path):
    error = refused(read_image, save(tmp_path / "flat.png", frame(7)), "gray", (0, 4095))
    assert error.fault.kind == "not 16-bit"
    assert "[0, 4095]" in str(error)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_other_depths_are_refused_with_and_without_a_window(tmp_path, dtype):
    kind = 3 if dtype == np.float32 else 2
    for window in (None, (0, 4095)):
        path = tmp_path / "deep.tif"
        path.write_bytes(tiff(truth().astype(dtype), t339=kind))
        assert np.dtype(dtype).name in str(refused(read_image, path, "gray", window))


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint16, ".png"), (np.uint16, ".tif"), (np.int32, ".tif")])
def test_ids_stored_in_more_bits_are_ids(tmp_path, dtype, suffix):
    path = tmp_path / f"deep{suffix}"
    mask = truth().astype(dtype)
    path.write_bytes(coded(suffix, mask) if dtype == np.uint16 else tiff(mask, t339=2))
    assert np.array_equal(read_mask(path, 3), truth())
    binary = (truth() > 0) * 255
    path.write_bytes(coded(suffix, binary.astype(np.uint16)))
    assert np.array_equal(read_mask(path, 2), truth() > 0)


@pytest.mark.parametrize("factor", [257, 1000])
def test_ids_beyond_8_bits_are_refused_without_a_harmful_remedy(tmp_path, factor):
    error = refused(read_mask, save(tmp_path / "deep.png", truth().astype(np.uint16) * factor), 3)
    assert str(2 * factor) in str(error)
    assert "class id" in error.fault.remedy
    assert "window" not in str(error)


@pytest.mark.parametrize("container", ["PNG", "BMP"])
def test_palettes_are_refused_with_the_remedy(tmp_path, container):
    path = tmp_path / "palette.png"
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    path.write_bytes(palette_png(truth()) if container == "PNG" else bmp(truth(), colours))
    assert cv2.imread(str(path)) is not None, "a palette that cv2 reads"
    assert "keep the numbers" in str(refused(read_mask, path, 3))
    assert "convert('RGB')" in str(refused(read_image, path, "rgb"))


def test_a_palette_that_inverts_is_an_image_but_no_mask(tmp_path):
    path = tmp_path / "inverted.bmp"
    path.write_bytes(bmp(truth() > 0, [(255, 255, 255), (0, 0, 0)]))
    assert np.array_equal(read_image(path, "gray"), np.where(truth() > 0, 0, 255))
    assert refused(read_mask, path, 2).fault.kind == "palette"
    path.write_bytes(bmp(truth() > 0, [(255, 255, 255), (0, 0, 0)], bits=1))
    assert refused(read_mask, path, 2).fault.kind == "palette"


def test_a_bmp_whose_palette_changes_nothing_is_a_mask(tmp_path):
    path = tmp_path / "gray.bmp"
    path.write_bytes(bmp(truth(), [(level, level, level) for level in range(256)]))
    assert np.array_equal(read_mask(path, 3), truth())
    path.write_bytes(bmp(truth() > 0, [(0, 0, 0), (255, 255, 255)], bits=1))
    assert np.array_equal(read_mask(path, 2), truth() > 0)


@pytest.mark.parametrize("bits", [4, 8])
def test_bmp_ids_that_cv2_would_change_are_refused(tmp_path, bits):
    path = tmp_path / "small.bmp"
    step = 255 // (2**bits - 1) if bits == 4 else 2
    path.write_bytes(bmp(truth(), [(step * k, step * k, step * k) for k in range(2**bits if bits == 4 else 128)], bits))
    assert cv2.imread(str(path)).max() == 2 * step
    refused(read_mask, path, 3)


def test_a_tiff_in_which_0_is_white_is_an_image_but_no_mask(tmp_path):
    path = tmp_path / "white.tif"
    path.write_bytes(tiff((truth() > 0).astype(np.uint8) * 255, t262=0))
    assert np.array_equal(read_image(path, "gray"), np.where(truth() > 0, 0, 255)), "as it is shown"
    assert refused(read_mask, path, 2).fault.kind == "white is zero"
    path.write_bytes(tiff(frame(1).astype(np.uint16) * 9, t262=0))
    assert refused(read_image, path, "gray", (0, 4095)).fault.kind == "white is zero"


@pytest.mark.parametrize("name", ["m.png", "m.jpg", "m.tif", "m", "m.txt"])
def test_a_mask_is_judged_by_its_content_whatever_its_name(tmp_path, name):
    path = tmp_path / name
    for lossless in (coded(".png", truth()), coded(".tif", truth()), coded(".bmp", truth())):
        path.write_bytes(lossless)
        assert np.array_equal(read_mask(path, 3), truth())
    three = np.repeat(truth()[..., None], 3, axis=2)
    path.write_bytes(coded(".webp", three, *LOSSLESS_WEBP))
    assert np.array_equal(read_mask(path, 3), truth())
    lossy = [coded(".jpg", truth()), coded(".jpg", truth(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
    for content in [*lossy, coded(".webp", three, *LOSSY_WEBP), tiff(truth(), t259=7), tiff(truth(), t259=34712)]:
        path.write_bytes(content)
        assert refused(read_mask, path, 3).fault.kind == "bad mask format"


@pytest.mark.parametrize("name", ["i.png", "i.jpg", "i.bmp", "i"])
def test_an_image_is_judged_by_its_content_whatever_its_name(tmp_path, name):
    path, rgb = tmp_path / name, frame(1, (40, 56, 3))
    for suffix in (".png", ".tif", ".bmp"):
        path.write_bytes(coded(suffix, rgb[..., ::-1]))
        assert np.array_equal(read_image(path, "rgb"), rgb)
    path.write_bytes(coded(".jpg", rgb))
    assert read_image(path, "rgb").shape == rgb.shape


def turned(container: str, orientation: int) -> bytes:
    gray = frame(5, (16, 32))
    if container == "PNG":
        content = coded(".png", gray)
        block = exif(orientation)
        chunk = b"eXIf" + block
        return (
            content[:33] + len(block).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + content[33:]
        )
    if container == "WebP":
        colour = np.repeat(gray[..., None], 3, axis=2)
        return webp_turned(coded(".webp", colour, *LOSSLESS_WEBP), orientation, gray.shape)
    return tiff(gray, t274=orientation) if container == "TIFF" else jpeg_turned(coded(".jpg", gray), orientation)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("container", ["PNG", "WebP", "TIFF", "JPEG"])
def test_an_orientation_is_applied_to_jpegs_and_refused_elsewhere_by_its_name(tmp_path, container, orientation):
    path = tmp_path / "turned.png"
    path.write_bytes(turned(container, orientation))
    if container == "JPEG":
        plain = tmp_path / "plain.jpg"
        plain.write_bytes(turned(container, 1))
        stored = read_image(plain, "gray")
        half = stored[:, ::-1], stored[::-1, ::-1], stored[::-1]
        quarter = stored.T, stored.T[:, ::-1], stored.T[::-1, ::-1], stored.T[::-1]
        assert np.array_equal(read_image(path, "gray"), (*half, *quarter)[orientation - 2])
    else:
        error = refused(read_image, path, "gray")
        assert f"EXIF orientation {orientation}" in str(error)
        assert "exif_transpose" in error.fault.remedy
    assert refused(read_mask, path, 256).fault.kind == ("bad mask format" if container == "JPEG" else "turned image")


def test_several_pictures_in_one_file_are_refused(tmp_path):
    path = tmp_path / "pages.tif"
    path.write_bytes(tiff(truth(), pages=4))
    for call, arg in ((read_image, "gray"), (read_mask, 3)):
        error = refused(call, path, arg)
        assert error.fault.kind == "several frames"
        assert "4 pictures" in str(error)


def test_inks_are_refused(tmp_path):
    path = tmp_path / "inks.tif"
    path.write_bytes(tiff(truth(), t262=5))
    assert "CMYK" in str(refused(read_image, path, "rgb"))


def test_the_limit_of_opencv_is_named(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(1 << 16, 1 << 16, 8, 0, b"\x00"))
    assert "OPENCV_IO_MAX_IMAGE_PIXELS" in refused(read_image, path, "gray").fault.remedy
    path.write_bytes(bmp(np.zeros((1, (1 << 20) + 1), np.uint8), [(0, 0, 0)]))
    assert "OPENCV_IO_MAX_IMAGE_WIDTH" in refused(read_image, path, "gray").fault.remedy


@pytest.mark.parametrize("depth", [2, 4])
def test_masks_whose_ids_would_be_rescaled_are_refused(tmp_path, depth):
    path = tmp_path / "small.png"
    path.write_bytes(gray_png(truth(), depth))
    assert f"{depth}-bit" in str(refused(read_mask, path, 3))


def one_bit_files() -> dict[str, bytes]:
    white = truth() > 0
    tif = tiff(white.astype(np.uint8), data=np.packbits(white, axis=1).tobytes(), t258=1)
    return {"png": gray_png(white, 1), "bmp": bmp(white, [(0, 0, 0), (255, 255, 255)], bits=1), "tif": tif}


@pytest.mark.parametrize("ignore", [None, 255, 254])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["png", "bmp", "tif"])
def test_a_1_bit_mask_is_0_and_1(tmp_path, kind, n_classes, ignore):
    path = tmp_path / f"bit.{kind}"
    path.write_bytes(one_bit_files()[kind])
    assert container.look(path.read_bytes()).bits == 1
    mask = read_mask(path, n_classes, ignore)
    assert mask.dtype == np.uint8 and np.array_equal(mask, truth() > 0)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_files_are_refused_and_never_half_gray(tmp_path, suffix, share):
    path = save(tmp_path / f"cut{suffix}", frame(8, (64, 64, 3)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refused(read_image, path, "rgb").fault.kind == "truncated"


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
    (tmp_path / "moving.png").write_bytes(b"GIF89a" + bytes(20))
    assert "a GIF, by its content" in str(refused(read_image, tmp_path / "moving.png", "gray"))
    for name in ("text.png", "folder.png", "missing.png", f"{'long' * 100}.png"):
        assert refused(read_image, tmp_path / name, "gray").fault.kind == "unreadable"


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="no /dev/zero here")
def test_a_device_is_not_read_for_ever():
    with pytest.raises(DataError, match="/dev/zero: a device, no file"):
        read_image("/dev/zero", "gray")


def test_a_frame_larger_than_memory_allows_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(1_000_000, 1_000_000, 8, 0, b"\x00"))
    error = refused(read_image, path, "gray")
    assert "too large" in str(error)


def test_one_pixel_is_an_image(tmp_path):
    assert read_image(save(tmp_path / "one.png", np.full((1, 1), 7, np.uint8)), "gray").tolist() == [[7]]


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
