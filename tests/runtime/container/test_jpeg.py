"""JPEGs: whole ones are read as cv2 reads them, damaged ones refused, though cv2 takes them."""

import cv2
import numpy as np
import pytest

from edgeseg.runtime import container
from edgeseg.runtime.container import DamagedError, jpeg_scan

from .image_files import coded, decodes, jpeg_turned, picture

KINDS = {
    "colour": ("colour", ()),
    "colour 4:4:4": ("colour", (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)),
    "colour 4:2:2": ("colour", (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)),
    "gray": ("gray", ()),
    "own codes": ("colour", (cv2.IMWRITE_JPEG_OPTIMIZE, 1)),
    "restarts": ("colour", (cv2.IMWRITE_JPEG_RST_INTERVAL, 7)),
    "restarts in gray": ("gray", (cv2.IMWRITE_JPEG_RST_INTERVAL, 33)),
    "progressive": ("colour", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "progressive gray": ("gray", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
}


def made(kind: str, shape: tuple[int, int] = (91, 157)) -> bytes:
    pixels = picture(shape if KINDS[kind][0] == "gray" else (*shape, 3))
    return coded(".jpg", pixels, *KINDS[kind][1])


def read(data: bytes) -> np.ndarray:
    """As `imagefile` does where damage is looked for."""
    content = container.look(data)
    pixels = container.decode(data, content)
    container.verify(data, content)
    return pixels


def body(data: bytes) -> tuple[int, int]:
    """Begin and end of the first scan's data and of all that follows it."""
    return data.index(b"\xff\xda") + 14, len(data) - 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(91, 157), (8, 8), (1, 1), (17, 200)])
def test_whole_files_are_read_as_cv2_reads_them(kind, shape):
    data = coded(".jpg", np.full(shape, 90, np.uint8), *KINDS[kind][1]) if shape == (1, 1) else made(kind, shape)
    assert np.array_equal(read(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR))


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("kind", KINDS)
def test_blank_pictures_are_whole(kind, level):
    # Optimised codes write a blank picture as zeros alone, and its last bytes change nothing.
    shape = (256, 320) if KINDS[kind][0] == "gray" else (256, 320, 3)
    read(coded(".jpg", np.full(shape, level, np.uint8), *KINDS[kind][1]))


@pytest.mark.parametrize("tail", [b"camera maker's notes", bytes(512), b"\xff" * 9])
def test_bytes_after_the_end_are_left_alone(tail):
    data = made("colour")
    assert np.array_equal(read(data + tail), decodes(data))


def test_of_two_pictures_in_one_file_the_first_is_read():
    data = made("colour")
    assert np.array_equal(read(data + made("gray", (40, 40))), decodes(data))


def test_fill_bytes_before_a_marker_are_no_damage():
    data = made("colour")
    assert np.array_equal(read(data[:-2] + b"\xff\xff\xff\xd9"), decodes(data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_scan_that_ends_early_is_refused_though_its_end_was_mended(kind, share):
    data = made(kind)
    begin, end = body(data)
    cut = data[: begin + int((end - begin) * share)].rstrip(b"\xff") + b"\xff\xd9"
    assert decodes(cut) is not None, "cv2 fills the rest with gray"
    with pytest.raises(DamagedError):
        read(cut)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("progressive")])
@pytest.mark.parametrize("how", ["zeroed", "noise", "lost", "twice"])
@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_a_scan_damaged_in_its_middle_is_refused(kind, how, place):
    if not jpeg_scan._tells_the_end():
        pytest.skip("OpenCV before 4.11 does not tell all of it")
    data = made(kind)
    begin, end = body(data)
    at = begin + int((end - begin) * place)
    n = max(150, (end - begin) // 10)
    noise = np.random.default_rng(1).integers(0, 255, n, np.uint8).tobytes()
    middle = {"zeroed": bytes(n), "noise": noise, "lost": b"", "twice": data[at : at + n] * 2}[how]
    bad = data[:at] + middle + data[at + n :]
    assert decodes(bad) is not None
    with pytest.raises(DamagedError):
        read(bad)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("progressive")])
def test_a_progressive_scan_that_ends_early_is_refused_wherever_it_stands(kind):
    data = made(kind)
    scans = container.look(data).jpeg.scans
    for scan in scans:
        bad = data[: scan.begin + (scan.end - scan.begin) // 3].rstrip(b"\xff") + data[scan.end :]
        assert decodes(bad) is not None
        if not np.array_equal(decodes(bad), decodes(data)):
            with pytest.raises(DamagedError):
                read(bad)


@pytest.mark.parametrize("kind", ["colour", "gray", "own codes"])
def test_most_damage_is_found_without_decoding_twice(kind):
    data = made(kind)
    begin, end = body(data)
    cut = data[: (begin + end) // 2].rstrip(b"\xff") + b"\xff\xd9"
    zeroed = data[:-600] + bytes(500) + data[-100:]
    for bad in (cut, zeroed) if kind != "own codes" else (cut,):
        with pytest.raises(DamagedError):
            container.decode(bad, container.look(bad))


def test_a_missing_restart_marker_is_refused():
    data = made("restarts")
    at = data.index(b"\xff\xd3")
    with pytest.raises(DamagedError, match="restart markers"):
        container.look(data[:at] + data[at + 2 :])


def test_a_missing_scan_of_a_progressive_file_is_refused():
    data = made("progressive")
    last = data.rindex(b"\xff\xda")
    last_tables = data.rfind(b"\xff\xc4", 0, last)
    bad = data[:last_tables] + b"\xff\xd9"
    assert decodes(bad) is not None
    with pytest.raises(DamagedError, match="last scans"):
        container.look(bad)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read(orientation, order):
    assert container.look(jpeg_turned(made("gray"), orientation, order)).orientation == orientation


def test_a_broken_exif_block_says_nothing():
    data = jpeg_turned(made("gray"), 6)
    at = data.index(b"II*")
    for broken in (b"XX", b"II*\x00\xff\xff\xff\xff"):
        assert container.look(data[:at] + broken + data[at + len(broken) :]).orientation == 1


@pytest.mark.parametrize("kind", ["colour", "gray"])
def test_an_opencv_that_does_not_report_the_end_is_no_hindrance(kind, monkeypatch):
    # OpenCV before 4.11 repeats the last row it got. The newest one run here reports the end, so it is made to look so.
    if not jpeg_scan._tells_the_end():
        pytest.skip("this OpenCV is such a one: the other tests run on it")
    data = made(kind)
    begin, end = body(data)
    cut = data[: (begin + end) // 2].rstrip(b"\xff") + b"\xff\xd9"

    def old(coded: bytes, flags: int) -> np.ndarray:
        pixels = cv2.imdecode(np.frombuffer(coded, np.uint8), flags)
        if pixels is None:
            pixels = cv2.imdecode(np.frombuffer(coded + b"\xff\xd9", np.uint8), flags)
            pixels[len(pixels) // 3 :] = pixels[len(pixels) // 3]
        return pixels

    monkeypatch.setattr(jpeg_scan, "_decode", old)
    monkeypatch.setattr(jpeg_scan, "_tells_the_end", lambda: False)
    assert np.array_equal(read(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR))
    with pytest.raises(DamagedError, match="end early"):
        read(cut)
    with pytest.raises(DamagedError, match="more data"):
        read(data[:-2] + data[-300:-2] + data[-2:])


@pytest.mark.real_data
def test_every_real_jpeg_is_whole(pitting_dir):
    for path in sorted((pitting_dir / "images").iterdir())[::10]:
        data = path.read_bytes()
        assert np.array_equal(read(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)), path.name
