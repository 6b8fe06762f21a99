"""The rows of several results side by side: which machine, which variant, and who is on the Pareto front."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.results.costs import per_million
from edgeseg.benchmarks.results.given import Given, given
from edgeseg.benchmarks.results.result import ENGINE_ONLY, WHOLE_PIPELINE, BenchResult, Evidence, Pipeline, Row
from edgeseg.benchmarks.results.table import dice_of

# Dice that may be lost for speed before a row stops being the one to name: a point.
CLOSE = 0.01


@dataclass(frozen=True)
class Entry:
    """One row, the result it is of, and what its machine is called on the page.

    Attributes:
        machine: Its name.
        result: That the row is of.
        row: The row.
        several: There are rows of other frames, inputs or threads, so that a name has to say which it is.
    """

    machine: str
    result: BenchResult
    row: Row
    several: bool = False

    @property
    def where(self) -> str:
        """The machine; with frame and threads where these differ among the rows."""
        return f"{self.machine} ({self.given.words}, threads {self.threads})" if self.several else self.machine

    @property
    def name(self) -> str:
        """The variant and where it ran."""
        return f"{self.row.name} on {self.where}"

    @property
    def given(self) -> Given:
        """What its times are of."""
        return given(self.result, self.row)

    @property
    def threads(self) -> str:
        """Of the engine; "-" where nobody says."""
        return "-" if self.row.threads is None else str(self.row.threads)

    @property
    def setup(self) -> tuple[str, str]:
        """What rows have to share so that their times are compared."""
        return self.given.key, self.threads

    @property
    def split(self) -> str | None:
        """Of the images that its Dice is of."""
        return dice_of(self.row)[1]

    @property
    def p50_ms(self) -> float | None:
        """Median of the total, or what another tool says is typical [ms]."""
        return self.row.time_ms("p50")

    @property
    def dice(self) -> float | None:
        """Mean Dice of the file."""
        return dice_of(self.row)[0]

    @property
    def energy_mj(self) -> float | None:
        """Gross energy of an inference [mJ]."""
        energy = self.result.energy(self.row)
        return energy.gross_mj if isinstance(energy, Energy) else None

    @property
    def energy_words(self) -> str | None:
        """Such as `12.3`, or `12.3 (replayed)` where the meter tells less than the row's evidence says [mJ]."""
        if self.energy_mj is None:
            return None
        less = self.result.energy_evidence != self.result.evidence
        return f"{self.energy_mj:.3g}{f' ({self.result.energy_evidence})' if less else ''}"


def entries_of(results: Sequence[BenchResult]) -> list[Entry]:
    """All rows; results of one machine and of one evidence share a name, others of that name get a number."""
    machines: dict[str, str] = {}
    counts: dict[str, int] = {}
    found = []
    for result in results:
        key = json.dumps([result.evidence, result.device], sort_keys=True, default=str)
        if key not in machines:
            name = str(result.device.get("name") or result.device.get("arch") or "unknown machine")
            counts[name] = counts.get(name, 0) + 1
            machines[key] = name if counts[name] == 1 else f"{name} ({counts[name]})"
        found += [Entry(machines[key], result, row) for row in result.rows]
    several = len({entry.setup for entry in found if entry.row.measured}) > 1
    return [replace(entry, several=several) for entry in found]


def cost_cell(entry: Entry) -> str:
    """What a million inferences cost, with the currency, or why that is not told."""
    cost, price = entry.result.cost(entry.row), entry.result.price
    if isinstance(cost, str) or price is None:
        return f"none: {cost}"
    return f"{per_million(entry.result, entry.row)} {price.currency}".rstrip()


def front_of(entries: Sequence[Entry]) -> list[Entry]:
    """Those that none other of their machine, pipeline, frame, threads and split beats in both Dice and time."""
    known = [entry for entry in entries if entry.dice is not None and entry.p50_ms is not None]
    return [entry for entry in known if not any(_beats(other, entry) for other in known)]


def bests_of(entries: Sequence[Entry]) -> list[Entry]:
    """The fastest of those whose Dice is within a point of the best; without any Dice the fastest.

    Only like is held against like: whole pipelines that were measured here; where there is none, engines alone; then
    what other tools told. An emulator's times, a recording's and an estimate are no reason to choose a file.

    Returns:
        One for each frame and number of threads, and for each split that Dice is of.
    """
    kinds: tuple[tuple[Evidence, Pipeline], ...]
    kinds = (("device", WHOLE_PIPELINE), ("device", ENGINE_ONLY), ("imported", ENGINE_ONLY))
    timed = [entry for entry in entries if entry.p50_ms is not None]
    timed = next((alike for kind in kinds if (alike := [entry for entry in timed if _is(entry, kind)])), [])
    return [_best(group) for alike in _grouped(timed, lambda one: one.setup) for group in _scored_alike(alike)]


def _scored_alike(entries: list[Entry]) -> list[list[Entry]]:
    """Those with a Dice by its split; where there are none, all."""
    scored = [entry for entry in entries if entry.dice is not None]
    return _grouped(scored, lambda one: one.split) if scored else [entries]


def _grouped(entries: Sequence[Entry], key: Callable[[Entry], object]) -> list[list[Entry]]:
    groups: dict[object, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def _best(group: Sequence[Entry]) -> Entry:
    top = max((entry.dice for entry in group if entry.dice is not None), default=None)
    close = [entry for entry in group if top is None or (entry.dice is not None and entry.dice >= top - CLOSE)]
    return min(close, key=lambda entry: entry.p50_ms or 0.0)


def _is(entry: Entry, kind: tuple[Evidence, Pipeline]) -> bool:
    return (entry.result.evidence, entry.result.pipeline) == kind


def _beats(one: Entry, other: Entry) -> bool:
    alike = [(entry.machine, entry.result.pipeline, entry.setup, entry.split) for entry in (one, other)]
    if alike[0] != alike[1]:
        return False
    values = [(one.p50_ms or 0.0, -(one.dice or 0.0)), (other.p50_ms or 0.0, -(other.dice or 0.0))]
    return values[0] != values[1] and all(a <= b for a, b in zip(*values, strict=True))
