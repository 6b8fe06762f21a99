"""PNG, BMP, TIFF and WebP by their content; what is refused is read by cv2 without a word."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from edgeseg.runtime import container
from edgeseg.runtime.container import DamagedError

from .image_files import bmp, coded, decodes, exif, picture, riff, riff_chunk, tiff, webp_turned

Image = pytest.importorskip("PIL.Image")  # not among the lowest versions

LOSSLESS_WEBP, LOSSY_WEBP = (cv2.IMWRITE_WEBP_QUALITY, 101), (cv2.IMWRITE_WEBP_QUALITY, 80)
TIFF_CODINGS = {"raw": 1, "LZW": 5, "deflate": 8, "old deflate": 32946, "PackBits": 32773}
GRAYS = [(level, level, level) for level in range(256)]


def read(data: bytes) -> np.ndarray | None:
    content = container.look(data)
    pixels = container.decode(data, content)
    container.verify(data, content)
    return pixels


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return data[:33] + png_chunk(kind, content) + data[33:]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 3), (1, 1), (301, 203, 3)])
def test_whole_files_are_read_as_cv2_reads_them(suffix, shape):
    pixels = np.full(shape, 90, np.uint8) if shape == (1, 1) else picture(shape)
    data = coded(suffix, pixels, *(LOSSLESS_WEBP if suffix == ".webp" else ()))
    content = container.look(data)
    assert content.size_px == shape[:2]
    assert (content.loss, content.frames, content.orientation, content.bits) == (None, 1, 1, 8)
    found = read(data)
    assert found is not None
    assert np.array_equal(found[..., 0] if found.ndim > len(shape) else found, pixels)


@pytest.mark.parametrize("name", TIFF_CODINGS)
@pytest.mark.parametrize("shape", [(301, 203, 3), (64, 33), (1, 1)])
def test_whole_tiffs_of_every_coding_are_read(name, shape):
    pixels = np.full(shape, 90, np.uint8) if shape == (1, 1) else picture(shape)
    found = read(coded(".tif", pixels, cv2.IMWRITE_TIFF_COMPRESSION, TIFF_CODINGS[name]))
    assert found is not None
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_pictures_are_whole(level):
    blank = np.full((301, 203, 3), level, np.uint8)
    files = [coded(".tif", blank, cv2.IMWRITE_TIFF_COMPRESSION, coding) for coding in TIFF_CODINGS.values()]
    files += [coded(".webp", blank, *quality) for quality in (LOSSLESS_WEBP, LOSSY_WEBP)]
    for data in [*files, coded(".png", blank), coded(".bmp", blank)]:
        found = read(data)
        assert found is not None
        assert np.ptp(found) <= 1


@pytest.mark.parametrize("name", [name for name in TIFF_CODINGS if name != "raw"])
@pytest.mark.parametrize("how", ["zeroed", "noise"])
def test_a_damaged_strip_is_refused(name, how):
    data = coded(".tif", picture((301, 203, 3)), cv2.IMWRITE_TIFF_COMPRESSION, TIFF_CODINGS[name])
    at, n = len(data) // 2, 1500
    bad = (
        data[:at]
        + (bytes(n) if how == "zeroed" else np.random.default_rng(1).integers(0, 256, n, np.uint8).tobytes())
        + data[at + n :]
    )
    assert cv2.imdecode(np.frombuffer(bad, np.uint8), cv2.IMREAD_COLOR) is not None, "cv2 makes black or noise of it"
    with pytest.raises(DamagedError):
        read(bad)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("how", ["zeroed", "twice"])
def test_a_damaged_webp_is_refused(lossless, how):
    data = coded(".webp", picture((200, 240, 3)), *(LOSSLESS_WEBP if lossless else LOSSY_WEBP))
    at, n = len(data) // 2, len(data) // 5
    if how == "zeroed":
        bad = data[:at] + bytes(n) + data[at + n :]
    else:
        bad = riff(riff_chunk(data[12:16], data[20:at] + data[at - n : at] + data[at:]))
    assert decodes(bad) is not None
    with pytest.raises(DamagedError):
        read(bad)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.9, 0.99])
def test_a_file_that_ends_early_is_refused_without_a_traceback(suffix, share):
    data = coded(suffix, picture((64, 64, 3)))
    for cut in {data[: int(len(data) * share) + 4], data[: int(len(data) * share) + 9]}:
        with pytest.raises(DamagedError):
            container.look(cut)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_no_change_of_a_header_ends_in_another_error(suffix):
    data = coded(suffix, picture((40, 40, 3)))
    rng = np.random.default_rng(0)
    for _ in range(1500):
        bad = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            near = int(rng.integers(2)) and suffix != ".tif"
            bad[int(rng.integers(2, 60 if near else len(bad)))] = int(rng.integers(256))
        try:
            content = container.look(bytes(bad))
            if content.size_px[0] * content.size_px[1] < 1 << 20:
                read(bytes(bad))
        except (DamagedError, cv2.error):
            pass


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_read_in_every_container(orientation):
    gray = picture((24, 40))
    files = {
        "PNG": with_chunk(coded(".png", gray), b"eXIf", exif(orientation)),
        "WebP": webp_turned(coded(".webp", picture((24, 40, 3)), *LOSSLESS_WEBP), orientation, (24, 40)),
        "TIFF": tiff(gray, t274=orientation),
    }
    for name, data in files.items():
        assert decodes(data) is not None, name
        content = container.look(data)
        assert (content.container, content.orientation) == (name, orientation)


def test_frames_and_pages_are_counted():
    gray = picture((24, 40))
    still = coded(".png", gray)
    assert container.look(with_chunk(still, b"acTL", struct.pack(">II", 5, 0))).frames == 5
    assert container.look(with_chunk(still, b"acTL", struct.pack(">II", 1, 0))).frames == 1
    assert container.look(tiff(gray, pages=3)).frames == 3
    assert container.look(tiff(gray, pages=3, t254=1)).frames == 1, "smaller copies of the first page are no pictures"
    frame = riff_chunk(b"ANMF", bytes(16) + coded(".webp", picture((24, 40, 3)), *LOSSLESS_WEBP)[12:])
    animation = riff(riff_chunk(b"VP8X", struct.pack("<I", 2) + bytes(6)) + riff_chunk(b"ANIM", bytes(6)) + frame * 2)
    assert container.look(animation).frames == 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiffs_of_either_byte_order_and_size_are_read(order, big):
    for pixels in (picture((24, 40)), picture((24, 40)).astype(np.uint16) * 250):
        content = container.look(data := tiff(pixels, order=order, big=big))
        assert (content.size_px, content.bits) == ((24, 40), 8 * pixels.itemsize)
        assert np.array_equal(container.decode(data, content), pixels)


def test_what_a_tiff_says_of_its_numbers_is_read():
    gray = picture((24, 40))
    assert container.look(tiff(gray, t262=0)).white_is_zero
    assert not container.look(tiff(gray)).white_is_zero
    assert container.look(tiff(gray, t262=5)).inks == "CMYK"
    assert container.look(tiff(gray, t262=6)).loss
    assert container.look(tiff(gray, t259=7)).loss
    assert container.look(tiff(gray, t258=4)).bits == 4
    with pytest.raises(DamagedError, match="ring"):
        ring = bytearray(data := tiff(gray))
        ring[-4:] = data[4:8]
        container.look(bytes(ring))


@pytest.mark.parametrize(
    ("palette", "bits", "expected"),
    [
        (GRAYS, 8, "ramp"),
        (GRAYS[:40], 8, "ramp"),
        (GRAYS[::-1], 8, "gray"),
        ([(255, 255, 255), (0, 0, 0)], 8, "gray"),
        ([(0, 0, 0), (255, 255, 255)], 1, "ramp"),
        ([(255, 255, 255), (0, 0, 0)], 1, "gray"),
        ([(17 * k, 17 * k, 17 * k) for k in range(16)], 4, "gray"),
        ([(0, 0, 0), (128, 0, 0), (0, 128, 0)], 8, "colours"),
    ],
)
def test_a_palette_is_judged_by_what_it_makes_of_the_numbers(palette, bits, expected):
    indices = np.arange(24 * 40).reshape(24, 40) % len(palette)
    content = container.look(data := bmp(indices, palette, bits))
    assert content.palette == expected
    assert container.decode(data, content) is not None


def test_lossy_webp_is_told_from_lossless():
    colour = picture((24, 40, 3))
    assert container.look(coded(".webp", colour, *LOSSY_WEBP)).loss == "lossy WebP"
    assert container.look(coded(".webp", colour, *LOSSLESS_WEBP)).loss is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a" + bytes(50), "GIF"),
        (b"P5 4 4 255\n" + bytes(16), "PNM"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM"),
        (b"\x00\x00\x00\x1cftypavif" + bytes(50), "AVIF"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000"),
        (b"not a picture", "no readable image"),
        (b"x", "no readable image"),
    ],
)
def test_other_files_are_named_by_their_content(data, name):
    with pytest.raises(DamagedError, match=name):
        container.look(data)


def jpeg_tiff(pixels: np.ndarray) -> bytes:
    """Strips of JPEG with common tables, as libtiff writes them."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression="jpeg")
    return buffer.getvalue()


def test_strips_of_jpeg_are_whole_or_damaged():
    data = jpeg_tiff(picture((96, 160)))
    assert read(data) is not None
    for blank in (bytes(400), np.random.default_rng(0).integers(0, 250, 60, np.uint8).tobytes()):
        middle = len(data) // 2
        damaged = data[:middle] + blank + data[middle + len(blank) :]
        assert decodes(damaged) is not None, "cv2 says nothing"
        with pytest.raises(DamagedError, match="damaged"):
            read(damaged)


@pytest.mark.parametrize("name", TIFF_CODINGS)
def test_nothing_is_said_of_whole_files(name, capfd):
    files = [coded(".tif", picture(), cv2.IMWRITE_TIFF_COMPRESSION, TIFF_CODINGS[name]), jpeg_tiff(picture((96, 160)))]
    capfd.readouterr()  # writing is not what is asked
    for data in files:
        read(data)
    assert capfd.readouterr() == ("", "")
