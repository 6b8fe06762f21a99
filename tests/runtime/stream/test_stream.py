"""The newest frame of each kind of source: what is passed over is counted, and a frame is never half another one."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.runtime import Segmenter, Stream
from edgeseg.runtime.errors import ConfigError, DataError, FrameError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.predict.own_files import encode_own
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.runtime.stream.folder import Watch

from ..predict.films import FPS, frame, write_film

GRAY = InputSpec("gray", Geometry("native"), 1)


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def gray(level: int) -> np.ndarray:
    return np.full((8, 8), level, np.uint8)


class Feed:
    """An iterator that gives what is put into it, as a camera's library does: always in the same buffer."""

    def __init__(self) -> None:
        self._frames: queue.Queue[int | None] = queue.Queue()
        self._buffer = gray(0)

    def put(self, *levels: int | None) -> None:
        for level in levels:
            self._frames.put(level)

    def __iter__(self) -> Iterator[np.ndarray]:
        while (level := self._frames.get()) is not None:
            self._buffer[:] = level
            yield self._buffer


def test_the_newest_comes_first_and_the_others_are_counted() -> None:
    feed = Feed()
    feed.put(1)
    with Stream.of(feed) as stream:
        first = next(stream)
        assert (first.frame[0, 0], first.number, first.dropped) == (1, 1, 0)  # type: ignore[index]
        feed.put(2, 3, 4)
        wait_for(lambda: stream.counts.came == 4)
        second = next(stream)
        assert (second.frame[0, 0], second.number, second.dropped) == (4, 4, 2)  # type: ignore[index]
        feed.put(5, None)
        assert [(shot.number, shot.dropped) for shot in stream] == [(5, 0)]  # the last one of a source is not lost
        assert first.frame[0, 0] == 1  # type: ignore[index]  # though the source has used its buffer again
    counts = stream.counts
    assert (counts.came, counts.given, counts.dropped, counts.unreadable) == (5, 3, 2, 0)


def test_what_an_iterator_raises_is_raised_after_its_last_frame() -> None:
    def frames() -> Iterator[np.ndarray]:
        yield gray(7)
        raise OSError("the cable")

    with Stream.of(frames()) as stream:
        assert next(stream).number == 1
        with pytest.raises(OSError, match="the cable"):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)


def test_it_stops_from_another_thread_while_it_waits() -> None:
    feed = Feed()
    with Stream.of(feed) as stream:
        timer = threading.Timer(0.1, stream.stop)
        timer.start()
        assert list(stream) == []
        feed.put(None)


def test_a_film_runs_at_its_own_speed_and_in_the_model_s_colour(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", n=8)
    with Stream.film(film, GRAY) as stream:
        shots = list(stream)
    assert sum(1 + shot.dropped for shot in shots) == 8 == stream.counts.came
    times = {shot.number: shot.came_s for shot in shots}
    assert times[8] - times[min(times)] >= (8 - min(times) - 1) / FPS  # a whole frame for the first one's delay
    for shot in shots:
        right = cv2.cvtColor(frame(shot.number - 1), cv2.COLOR_BGR2GRAY)
        assert shot.frame is not None and shot.frame.shape == right.shape
        assert np.abs(shot.frame.astype(int) - right).max() < 30


def test_a_camera_that_the_user_has_opened(tmp_path: Path) -> None:
    capture = cv2.VideoCapture(str(write_film(tmp_path / "a.avi", n=5)))
    rgb = InputSpec("rgb", Geometry("native"), 1)
    with Stream.camera(capture, rgb) as stream:
        shot = next(stream)
        assert shot.frame is not None and shot.frame.shape == (64, 96, 3)
        with pytest.raises(DataError, match="still plugged in"):
            list(stream)
    assert stream.counts.came == 5
    assert capture.isOpened()
    capture.release()


def test_no_camera_no_film_no_folder(tmp_path: Path) -> None:
    with Stream.camera(97, GRAY) as stream, pytest.raises(ConfigError, match="camera 97"):
        next(stream)
    with Stream.film(tmp_path / "none.mp4", GRAY) as stream, pytest.raises(DataError, match=r"none\.mp4"):
        next(stream)
    with Stream.folder(tmp_path / "none", GRAY) as stream, pytest.raises(DataError, match="cannot be listed"):
        next(stream)


def write_image(path: Path, level: int) -> None:
    """Write an image as one should: hidden, then renamed."""
    hidden = path.with_name(f".{path.name}")
    cv2.imwrite(str(hidden), gray(level))
    hidden.replace(path)


def test_a_folder_gives_what_comes_into_it(tmp_path: Path) -> None:
    write_image(tmp_path / "before.png", 1)
    with Stream.folder(tmp_path, GRAY) as stream:
        shots: queue.Queue = queue.Queue()
        threading.Thread(target=lambda: [shots.put(shot) for shot in stream], daemon=True).start()
        time.sleep(0.3)  # until it watches
        for number, name in enumerate(("a.png", "b.png", "a.png"), 2):  # the third under the first one's name
            write_image(tmp_path / name, number)
            (tmp_path / "notes.txt").write_text(name)
            shot = shots.get(timeout=60)
            assert (Path(shot.name).name, shot.frame[0, 0], shot.dropped) == (name, number, 0)
        (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-20])
        bad = shots.get(timeout=60)
        assert bad.frame is None and "cut.png" in bad.reason
        assert stream.counts.unreadable == 1


def test_a_file_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    whole = cv2.imencode(".png", gray(3))[1].tobytes()
    with (tmp_path / "slow.png").open("wb") as file:
        for start in range(0, len(whole), 16):
            file.write(whole[start : start + 16])
            file.flush()
            assert watch.finished() == []
    assert watch.finished() == [tmp_path / "slow.png"]
    assert watch.finished() == []


def test_of_many_files_the_last_written_is_the_newest(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for second, name in enumerate(("m", "k", "p", "b"), 1):
        write_image(tmp_path / f"{name}.png", second)
        os.utime(tmp_path / f"{name}.png", ns=(second * 10**9, second * 10**9))
    write_bytes(tmp_path / "mask.png", encode_own(gray(1)))  # as a line's own masks, written beside its frames
    assert watch.finished() == []
    assert [path.stem for path in watch.finished()] == ["m", "k", "p", "b"]


def test_a_shot_without_a_frame_is_for_the_segmenter_to_refuse(tiny_bundle: Path) -> None:
    with Segmenter.open(tiny_bundle, "onnx-fp32", 1) as segmenter, pytest.raises(FrameError):
        segmenter(None)  # type: ignore[arg-type]


SCRIPT = """
import itertools, sys, time
from pathlib import Path
import numpy as np
from edgeseg.runtime import Stream, Worker

def frames():
    for n in itertools.count():
        time.sleep(0.01)
        yield np.full((40, 50), n % 256, np.uint8)

with Worker.open(Path(sys.argv[1]), "onnx-fp32", 1) as worker, Stream.of(frames()) as stream:
    for shot in stream:
        assert worker(shot.frame).status == "ok"
        print(worker.pid, flush=True)
print("ended well", stream.counts.given == worker.counts.ok > 0, flush=True)
"""


def test_sigterm_ends_a_line_after_the_frame_in_hand(tiny_bundle: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        pid = int(script.stdout.readline())
        script.terminate()
        said = script.stdout.read().splitlines()
        assert script.wait(60) == 0 and said[-1] == "ended well True"
    assert not Path(f"/proc/{pid}").exists()
