"""Where frames come from. A source says of each that it is there; what it takes to have it is done if it is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from edgeseg.runtime.data.imagefile import Frame, to_color
from edgeseg.runtime.predict.film import Film
from edgeseg.runtime.spec.input_spec import InputSpec

_FPS_UNKNOWN = 25.0


@dataclass(frozen=True)
class Item:
    """A frame that is there.

    Attributes:
        name: The file, or what the source is called.
        load: Gives the frame; raises DataError where it cannot be read.
    """

    name: str
    load: Callable[[], Frame]


Source = Callable[[threading.Event], Iterator[Item]]  # it ends soon after the event is set


def of_iterable(frames: Iterable[Any]) -> Source:
    """Frames of anything that gives one after the other, at its own pace, copied: it may use its buffer again."""

    def items(stop: threading.Event) -> Iterator[Item]:
        for frame in frames:
            if stop.is_set():
                return
            yield Item("frame", partial(_same, np.array(frame)))

    return items


def of_film(opened: AbstractContextManager[Film], spec: InputSpec, *, paced: bool) -> Source:
    """Frames of a camera, or, `paced`, of a film at its own speed, as if it were one."""

    def items(stop: threading.Event) -> Iterator[Item]:
        with opened as film:
            start, pace_s = monotonic(), 1 / (film.fps or _FPS_UNKNOWN)
            for number, stored in film.frames():
                if stop.wait(start + (number - 1) * pace_s - monotonic()) if paced else stop.is_set():
                    return
                yield Item(film.name, partial(to_color, stored, spec.color, Path(film.name), spec.window))

    return items


def _same(frame: Frame) -> Frame:
    return frame
