"""One line of another tool's table, before it is a row of ours."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.benchmarks.results.told import Told


@dataclass(frozen=True)
class ForeignRow:
    """What a tool said of one model.

    Attributes:
        name: Of the model, as the tool calls it; "" where it does not say.
        engine: That ran it.
        told: Its figures; `None` where it failed.
        reason: Why it failed.
        precision: Where the tool says it.
        threads: Where the tool says it.
        size_mb: Where the tool says it [10^6 bytes].
        device: What the tool says of the machine.
    """

    name: str
    engine: str
    told: Told | None
    reason: str | None = None
    precision: str | None = None
    threads: int | None = None
    size_mb: float | None = None
    device: str | None = None
