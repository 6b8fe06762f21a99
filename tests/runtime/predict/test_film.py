"""Films and cameras: every frame once, in RGB's right order, upright; and what is wrong is said."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.predict.film import open_camera, open_film

from .films import FPS, frame, turn, write_avi_of, write_film

GBK = os.fsdecode("检测".encode("gbk"))


def read(path: Path, every: int = 1, most: int | None = None) -> dict[int, np.ndarray]:
    with open_film(path) as film:
        return dict(film.frames(every, most))


@pytest.mark.parametrize(
    ("every", "most", "numbers"), [(1, None, range(1, 13)), (5, None, (1, 6, 11)), (2, 3, (1, 3, 5))]
)
def test_frames_have_their_numbers(tmp_path: Path, every: int, most: int | None, numbers: range) -> None:
    found = read(write_film(tmp_path / "a.avi"), every, most)
    assert list(found) == list(numbers)
    for number, pixels in found.items():
        assert np.abs(pixels.astype(int) - frame(number - 1)).max() < 30


def test_what_the_header_says(tmp_path: Path) -> None:
    with open_film(write_film(tmp_path / "a.avi")) as film:
        assert (film.fps, film.frames_stated, film.frames_read) == (FPS, 12, 0)
        list(film.frames())
        assert (film.frames_read, film.missing) == (12, 0)


@pytest.mark.parametrize("name", [f"{GBK}.avi", "100%d.avi", "film001.avi", "a b;c|d.avi", "检测.avi"])
def test_any_name(tmp_path: Path, name: str) -> None:
    write_film(tmp_path / "a.avi", 3).rename(tmp_path / name)
    assert list(read(tmp_path / name)) == [1, 2, 3]


def test_a_name_that_reads_as_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film(tmp_path / "a.avi", 3).rename(tmp_path / "rtsp:x.avi")
    monkeypatch.chdir(tmp_path)
    assert list(read(Path("rtsp:x.avi"))) == [1, 2, 3]


def test_a_film_of_a_phone_held_upright_is_turned(tmp_path: Path) -> None:
    film = turn(write_film(tmp_path / "a.mp4", codec="mp4v"))
    upright = np.rot90(frame(0), -1)
    assert np.abs(read(film)[1].astype(int) - upright).mean() < 5


def test_frames_of_another_size_come_in_the_first_one_s(tmp_path: Path) -> None:
    film = write_avi_of(tmp_path / "a.avi", [*(frame(k) for k in range(3)), *(frame(k, 48, 80) for k in range(3))])
    assert {pixels.shape for pixels in read(film).values()} == {(64, 96, 3)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[: len(content) * 4 // 5], "ended after .* of 12 frames: truncated or damaged"),
        (lambda content: content[:60], "no readable film|no frame"),
        (lambda content: b"", "0 bytes"),
        (lambda content: b"RIFF____AVI " + b"x" * 900, "no readable film|no frame"),
    ],
)
def test_a_damaged_film_is_a_failure(tmp_path: Path, change, words: str) -> None:
    path = write_film(tmp_path / "a.avi")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=words):
        read(path)


def test_an_mp4_without_its_index_is_a_failure(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", codec="mp4v")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"no readable film|no frame"):
        read(path)


def test_no_such_film(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: cannot be read \(No such file"):
        read(tmp_path / "gone.mp4")


@pytest.mark.skipif(Path("/dev/video99").exists(), reason="a camera 99 is here")
def test_no_such_camera() -> None:
    with (
        pytest.raises(ConfigError, match=r"camera 99: /dev/video99 is not there \(cameras here: .*\)"),
        open_camera(99),
    ):
        pass
