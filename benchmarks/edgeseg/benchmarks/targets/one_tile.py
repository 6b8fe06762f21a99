"""What must be known of another tool's time where a frame is cut into tiles: the tool runs one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgeseg.benchmarks.network_input import network_input
from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.results.result import Caution
from edgeseg.benchmarks.subject import Frame, Subject


def one_tile_each(names: Iterable[tuple[str, AnySubject]], frame: Frame | None) -> Iterator[Caution]:
    """A caution for every row whose frame is more than one tile.

    Args:
        names: Of measured rows, each with its subject.
        frame: What was asked for.
    """
    for name, subject in names:
        if frame is None or not isinstance(subject, Subject) or subject.spec.input.geometry.mode != "tile":
            continue
        tiles = network_input((frame.shape[0], frame.shape[1]), subject.spec.input)
        if tiles.n > 1:
            height, width = frame.shape[:2]
            text = f"its time is of one tile of {tiles.words}: a frame of {height}x{width} px has {tiles.n}"
            yield Caution("one tile", name, text, f"take it {tiles.n} times for a frame, pre and post not included")
