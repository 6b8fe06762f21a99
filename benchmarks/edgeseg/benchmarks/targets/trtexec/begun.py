"""What a board was when a job was begun there: it lies beside the logs, which may be fetched on another day."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeseg.benchmarks.machine.evidence import Taken
from edgeseg.benchmarks.results.result import Caution


@dataclass(frozen=True)
class Begun:
    """The board as it was.

    Attributes:
        created: When, UTC, ISO 8601.
        evidence: Of what is measured there.
        tensorrt: Its version.
        device: `environment.Device` as JSON.
        before: Load, temperatures and clocks, as JSON.
    """

    created: str
    evidence: Taken
    tensorrt: str
    device: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """As a file of the job's folder holds it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Begun:
        """Read what `to_text` wrote."""
        return cls(**json.loads(text))

    def cautions(self, now: Begun) -> Iterator[Caution]:
        """What to know of logs of a job that another command than this one, which asked the board `now`, has begun."""
        if self == now:
            return
        text = f"the job was begun at {self.created} by an earlier command, and its logs were found there"
        yield Caution("found there", None, text, "give the same command again for times of today")
        pairs: list[tuple[str, Any, Any]] = [("TensorRT", self.tensorrt, now.tensorrt)]
        pairs += [(key, self.device.get(key), now.device.get(key)) for key in {**self.device, **now.device}]
        differ = [f"{key}: {then or 'none'}, now {today or 'none'}" for key, then, today in pairs if then != today]
        if differ:
            text = f"the board has changed since the job was begun ({'; '.join(differ)}); the result says what it was"
            yield Caution("changed board", None, text, "give the same command again to measure it as it is")
