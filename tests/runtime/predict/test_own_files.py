"""A file is ours as long as nobody has changed it; and every reader still takes it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.imagefile import read_mask
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.predict.own_files import is_own, seal_mp4, sealed_png

MASK = np.random.default_rng(0).integers(0, 3, (40, 50), np.uint8)


def test_a_sealed_mask_reads_as_before(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(sealed_png(encode_png(MASK)))
    assert is_own(path)
    np.testing.assert_array_equal(read_mask(path, 3), MASK)  # checks every chunk
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), MASK)
    PIL = pytest.importorskip("PIL.Image")  # noqa: N806
    with PIL.open(path) as image:
        np.testing.assert_array_equal(np.array(image), MASK)
        assert image.info["Software"].startswith("edgeseg ")


def test_a_change_breaks_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    sealed = sealed_png(encode_png(MASK))
    for changed in (
        encode_png(MASK),
        sealed_png(encode_png(MASK))[:-1],
        b"",
        sealed.replace(b"IDAT", b"IDAt"),
        sealed + b"x",
    ):
        path.write_bytes(changed)
        assert not is_own(path)
    # Corrected by hand in a program that keeps the words it does not know.
    other = sealed_png(encode_png(MASK + np.uint8(1)))
    path.write_bytes(other[:-57] + sealed[-57:])
    assert not is_own(path)
    path.write_bytes(sealed)
    assert is_own(path)
    (tmp_path / "link.png").symlink_to(path)
    assert not is_own(tmp_path / "link.png") and not is_own(tmp_path) and not is_own(tmp_path / "gone")


def test_a_long_film_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as file:
        file.truncate(40 << 20)  # sparse
    seal_mp4(path)
    tracemalloc.start()
    assert is_own(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 << 20
    with path.open("r+b") as file:
        file.seek(30 << 20)
        file.write(b"x")
    assert not is_own(path)


def test_a_sealed_film_still_plays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MP4")
    for level in range(5):
        writer.write(np.full((48, 64, 3), 40 * level, np.uint8))
    writer.release()
    assert not is_own(path)
    seal_mp4(path)
    assert is_own(path)
    capture = cv2.VideoCapture(str(path))
    levels = [round(float(capture.read()[1].mean()) / 40) for _ in range(5)]
    assert levels == [0, 1, 2, 3, 4] and not capture.read()[0]
    with path.open("ab") as file:
        file.write(b"x")
    assert not is_own(path)
