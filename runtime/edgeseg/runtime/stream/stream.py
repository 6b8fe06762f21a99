"""The newest frame, for who is slower than what he looks at."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.errors import DataError
from edgeseg.runtime.predict.film import Film, open_camera, open_film
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.runtime.stream.folder import of_folder
from edgeseg.runtime.stream.sources import Item, Source, of_film, of_iterable

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Shot:
    """One frame of a stream.

    Attributes:
        frame: As a Segmenter takes it; None where it cannot be read, which is for the user to reject.
        number: Of the frame in its source, from 1.
        name: The file, or what the source is called.
        reason: Why there is no frame, or None.
        dropped: Frames between this one and the last that was given.
        came_s: When it came, by `time.monotonic` [s].
    """

    frame: np.ndarray | None
    number: int
    name: str
    reason: str | None
    dropped: int
    came_s: float


@dataclass(frozen=True)
class StreamCounts:
    """Frames of a stream so far: `came` = `given` + `dropped`, and one more where the newest waits.

    Attributes:
        came: Frames that came.
        given: Those handed out.
        dropped: Those a newer one came before.
        unreadable: Those handed out as a reason.
    """

    came: int = 0
    given: int = 0
    dropped: int = 0
    unreadable: int = 0


class Stream:
    """Hands out the newest frame each time it is asked, and counts those that it passed over.

        with Stream.camera(0, worker.spec.input) as stream:
            for shot in stream:
                answer = worker(shot.frame, regions=True)

    A thread takes frames as they come and keeps the last one. At the end of a source its last frame is still handed
    out. Inside the `with`, in the main thread, SIGTERM ends the frames after the one in hand, unless the program heeds
    it by itself.

    Args:
        source: Where frames come from; see `of`, `camera`, `film` and `folder`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._newest: tuple[Item, float] | None = None
        self._came = self._given = self._dropped = self._unreadable = 0
        self._passed_over = 0
        self._ended = False
        self._error: BaseException | None = None
        self._before: Any = None
        self._thread = threading.Thread(target=self._take, name="edgeseg stream", daemon=True)

    @classmethod
    def of(cls, frames: Iterable[Any]) -> Stream:
        """Of anything that gives one frame after the other, such as a camera's own library, at the pace it does."""
        return cls(of_iterable(frames))

    @classmethod
    def camera(cls, camera: int | cv2.VideoCapture, spec: InputSpec) -> Stream:
        """Of a camera by its number, or one that was opened as the user likes, who also releases it."""
        if isinstance(camera, int):
            return cls(of_film(open_camera(camera), spec, paced=False))
        return cls(of_film(nullcontext(Film(camera, "camera", live=True)), spec, paced=False))

    @classmethod
    def film(cls, path: Path, spec: InputSpec) -> Stream:
        """Of a film, at the speed it was taken at."""
        return cls(of_film(open_film(Path(path)), spec, paced=True))

    @classmethod
    def folder(cls, path: Path, spec: InputSpec) -> Stream:
        """Of the images that come into a folder from now on; see `of_folder`."""
        return cls(of_folder(Path(path), spec))

    @property
    def counts(self) -> StreamCounts:
        """What became of the frames so far."""
        with self._news:
            return StreamCounts(self._came, self._given, self._dropped, self._unreadable)

    def stop(self) -> None:
        """End the frames; may be called from a signal handler or another thread."""
        self._stop.set()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Stop, and wait a little for the source to let go."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def __iter__(self) -> Iterator[Shot]:
        return self

    def __next__(self) -> Shot:
        """The newest frame; waits for one that was not handed out yet.

        Raises:
            StopIteration: At the end of the source, or after `stop`.
            DataError: If the camera or the film fails, or the folder is gone.
            Exception: Whatever the user's own iterator raised.
        """
        if self._thread.ident is None:
            self._thread.start()
        with self._news:
            while self._newest is None and not self._ended and not self._stop.is_set():
                self._news.wait()
            if self._stop.is_set():
                raise StopIteration
            if self._newest is None:
                error, self._error = self._error, None
                raise error or StopIteration
            (item, came_s), self._newest = self._newest, None
            number, dropped, self._passed_over = self._came, self._passed_over, 0
            self._given += 1
        return self._shot(item, Shot(None, number, item.name, None, dropped, came_s))

    def __enter__(self) -> Stream:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._before = signal.signal(signal.SIGTERM, lambda *_: self.stop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> None:
        try:
            with contextlib.closing(self._source(self._stop)) as items:  # type: ignore[type-var]
                for item in items:
                    if self._stop.is_set():
                        break
                    self._put(item)
        except BaseException as error:
            self._error = error
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _put(self, item: Item) -> None:
        with self._news:
            self._came += 1
            if self._newest is not None:
                self._dropped += 1
                self._passed_over += 1
            self._newest = (item, monotonic())
            self._news.notify_all()

    def _shot(self, item: Item, shot: Shot) -> Shot:
        try:
            frame, reason = item.load(), None
        except DataError as error:
            frame, reason = None, str(error)
            with self._news:
                self._unreadable += 1
            _LOG.warning("%s", reason, extra={"event": "frame_unreadable", **asdict(self.counts)})
        return Shot(frame, shot.number, shot.name, reason, shot.dropped, shot.came_s)
