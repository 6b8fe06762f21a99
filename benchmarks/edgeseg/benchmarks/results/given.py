"""What a row's times are of: the frame, or the inputs of an engine alone. Only rows of the same are compared."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.benchmarks.results.result import BenchResult, Row


@dataclass(frozen=True)
class Given:
    """What was given in one call.

    Attributes:
        key: The same for the same pixels, or for as many values made up.
        words: As tables show it.
    """

    key: str
    words: str


def given(result: BenchResult, row: Row) -> Given:
    """What a row of a result is the time of; of another tool's only its batch is known, if that."""
    frame = result.frame
    if frame is not None:
        height, width = frame.shape[:2]
        return Given(f"{frame.sha256} {frame.shape}", f"{frame.name} {height}x{width} {frame.sha256[:6]}")
    if row.engine_only is not None:
        shapes = ", ".join("x".join(map(str, tensor.shape)) for tensor in row.engine_only.inputs)
        return Given(f"{row.engine_only.n_values} values", shapes or "-")
    batch = row.told[0].settings.get("batch") if row.told else None
    words = "-" if batch is None else f"batch {batch}"
    return Given(words, words)
