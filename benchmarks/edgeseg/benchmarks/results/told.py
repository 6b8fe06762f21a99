"""What another tool told of a model: figures of samples that it kept to itself, and where the model really ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

# As printed; the tool's own statistics, never recomputed.
FIGURES = ("n", "min", "mean", "std", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True)
class Placement:
    """Which part of a network an accelerator took.

    Attributes:
        delegate: As the tool calls it.
        extent: `none` is a silent fallback: the processor ran it all, although the delegate was applied.
        kernels: Parts of the graph that the delegate runs.
        nodes: Operators it took.
        of_nodes: Operators there are.
    """

    delegate: str
    extent: Literal["full", "partial", "none"]
    kernels: int | None = None
    nodes: int | None = None
    of_nodes: int | None = None

    @property
    def words(self) -> str:
        """Such as `GPU took 60 of 64 operators`."""
        share = f"{self.nodes} of {self.of_nodes} operators" if self.of_nodes else f"{self.extent} of the graph"
        return f"{self.delegate} took {share}"


@dataclass(frozen=True)
class Operator:
    """One line of a per-operator table: kind, name, mean time [ms]."""

    kind: str
    name: str
    mean_ms: float


@dataclass(frozen=True)
class Told:
    """One process of another tool.

    Attributes:
        tool: Its name and version.
        stage: What the figures are of, such as `GPU compute time`.
        n: Runs they are of, where it says so.
        min: [ms], as all that follow.
        mean: The tool's mean.
        std: Its standard deviation.
        p50: Its median.
        p90: Its percentile, as p95 and p99.
        p95: See p90.
        p99: See p90.
        max: The slowest.
        samples_ms: Every sample, where the tool gave them.
        first_ms: The very first inference.
        init_ms: Opening the model.
        peak_mib: Highest memory of its process.
        placement: What an accelerator took.
        operators: Its per-operator table.
        window_ns: When the runs began and ended, on the clock of the power meter read beside them [ns].
        settings: What changes the meaning of the figures: transfers, spin wait, CUDA graph, interface, requests.
    """

    tool: str
    stage: str
    n: int | None = None
    min: float | None = None
    mean: float | None = None
    std: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    samples_ms: tuple[float, ...] = ()
    first_ms: float | None = None
    init_ms: float | None = None
    peak_mib: float | None = None
    placement: Placement | None = None
    operators: tuple[Operator, ...] = ()
    window_ns: tuple[int, int] | None = None
    settings: Mapping[str, str | bool | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse times that are none.

        Raises:
            ValueError: A figure is negative or not finite.
        """
        times = (getattr(self, name) for name in (*FIGURES, "first_ms", "init_ms"))
        if not all(0 <= time < float("inf") for time in (*times, *self.samples_ms) if time is not None):
            raise ValueError("a time is negative or not finite")

    @property
    def typical_ms(self) -> float | None:
        """The median, or the mean where the tool has no median [ms]."""
        return self.p50 if self.p50 is not None else self.mean

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        values = {**asdict(self), "samples_ms": list(self.samples_ms)}
        window = values.pop("window_ns")  # left out where it is not known, as before there was one
        return values if window is None else {**values, "window_ns": list(window)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Told:
        """Read what `to_json` wrote; a key that is not ours is a TypeError."""
        values = dict(obj)
        unknown = set(values) - {one.name for one in fields(cls)}
        if unknown:
            raise TypeError(f"unknown keys {sorted(unknown)}")
        values["placement"] = Placement(**values["placement"]) if values.get("placement") else None
        values["operators"] = tuple(Operator(**one) for one in values.get("operators", ()))
        values["window_ns"] = tuple(values["window_ns"]) if values.get("window_ns") else None
        values["samples_ms"] = tuple(values.get("samples_ms", ()))
        return cls(**values)
