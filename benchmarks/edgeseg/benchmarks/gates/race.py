"""Several bundles and files measured in turns in one run, and new ones held against an old one by gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.checks import MIN_PROCESSES
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.gates.gates import SHARES, Decision, Gate, decide, raise_broken
from edgeseg.benchmarks.gates.junit import write_junit
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.sources import Origin
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.text.terminal import say

# Places of the old and of the new subject, in the order of the rows.
Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Race:
    """What takes turns in one run.

    Attributes:
        paths: Everything to measure; the old one first.
        gates: What the new ones must keep.
        against: The old one, `None` without gates.
    """

    paths: tuple[Path, ...]
    gates: tuple[Gate, ...] = ()
    against: Path | None = None

    @classmethod
    def parse(cls, gates: Sequence[str], against: Path | None, paths: Sequence[Path]) -> Race:
        """Read `--gate` and `--against`; the old one may be among the models, or is measured beside them.

        Raises:
            ConfigError: A gate has another form, or one of the two options lacks the other.
        """
        if bool(gates) != bool(against):
            missing = "--against OLD" if gates else "--gate METRIC=LIMIT"
            raise ConfigError(f"--gate and --against belong together: {missing} is missing")
        if against is None:
            return cls(tuple(paths))
        twin = next((p for p in paths if p.exists() and against.exists() and p.samefile(against)), None)
        others = [path for path in paths if path is not twin]
        if not others:
            raise ConfigError(f"--against {against}: it is the only model: name the new one too")
        old = twin or against
        return cls((old, *others), tuple(Gate.parse(gate) for gate in gates), old)

    def pairs(self, origins: Sequence[Origin], config: HarnessConfig) -> Pairs:
        """Which subject stands against which, refused before anything is measured where no gate could be decided.

        Raises:
            ConfigError: As `gates` and the files have it.
        """
        old = next((origin for origin in origins if origin.path == self.against), None)
        if self.against is None:
            return []
        if old is None:
            raise ConfigError(f"--against {self.against}: it has none of the variants asked for by --variant")
        pairs = _pairs_of(origins, old)
        _refuse_alone(self.paths, [origins[place].path for pair in pairs for place in pair])
        _refuse_undecidable(self.gates, config, [(origins[a], origins[b]) for a, b in pairs])
        return pairs

    def decide(self, result: BenchResult, pairs: Pairs) -> list[Decision]:
        """Every gate on every pair.

        Raises:
            MeasureError: A row of a pair was not measured, or lacks what a gate asks for.
        """
        names = [row.name for row in result.rows]
        return [decide(gate, result, names[old], names[new]) for gate in self.gates for old, new in pairs]

    def alone(self, result: BenchResult, pairs: Pairs) -> list[str]:
        """Names of rows in no pair: new variants that the old one lacks, and old ones that no new one has."""
        held = {place for pair in pairs for place in pair}
        return [row.name for n, row in enumerate(result.rows) if n not in held] if self.gates else []

    def conclude(self, results: Sequence[BenchResult], pairs: Pairs, junit: Path | None) -> None:
        """Decide, tell, and write the JUnit file, which also has the rows that failed and those in no pair.

        Raises:
            MeasureError: As `decide`.
            GateError: A gate was broken.
        """
        decisions: list[Decision] = []
        alone = self.alone(results[0], pairs) if results else []
        for name in alone:
            say(f"gates: {name} is held against nothing: it has no counterpart")
        try:
            for result in results:
                decisions += self.decide(result, pairs)
        finally:
            if junit is not None and results:
                write_junit(junit, results[0], decisions, alone)
        for decision in decisions:
            say(decision.sentence)
        raise_broken(decisions)


def _pairs_of(origins: Sequence[Origin], old: Origin) -> list[tuple[int, int]]:
    """Which subject stands against which: the same variant of what `old` came from, or its only one.

    Returns:
        Places of the old and of the new one.

    Raises:
        ConfigError: There is none, or the two are not of the same classes.
    """
    olds = {origin.variant: n for n, origin in enumerate(origins) if origin.path == old.path}
    pairs = []
    for n, origin in enumerate(origins):
        if n in olds.values():
            continue
        place = next(iter(olds.values())) if len(olds) == 1 else olds.get(origin.variant)
        if place is None:
            continue
        if origins[place].classes != origin.classes:
            raise ConfigError(
                f"{origin.path} has the classes {', '.join(origin.classes)}, {old.path} has "
                f"{', '.join(origins[place].classes)}: they do different things"
            )
        pairs.append((place, n))
    if not pairs:
        raise ConfigError(
            f"--against {old.path}: it has {', '.join(olds)}, and no other file has one of them: --variant"
        )
    return pairs


def _refuse_alone(paths: Sequence[Path], held: Sequence[Path]) -> None:
    """Refuse a model that no gate would look at.

    Raises:
        ConfigError: None of the variants of one of `paths` is in a pair.
    """
    alone = next((path for path in paths if path not in held), None)
    if alone is not None:
        raise ConfigError(
            f"{alone}: none of its variants has a counterpart in {held[0]}, so that no gate would hold it: leave it "
            "out, or name variants that both have with --variant"
        )


def _refuse_undecidable(gates: Sequence[Gate], config: HarnessConfig, pairs: Sequence[tuple[Origin, Origin]]) -> None:
    """Refuse, before anything is measured, gates that the measurement could not decide.

    Raises:
        ConfigError: Too few processes, no meter, or accuracies that are not of the same images.
    """
    metrics = {gate.metric for gate in gates}
    if metrics & {*SHARES, "energy"} and config.processes < MIN_PROCESSES:
        raise ConfigError(f"--processes {config.processes}: a gate needs {MIN_PROCESSES}, or nothing is shown")
    if "energy" in metrics and config.meter is None:
        raise ConfigError("--gate energy needs a power meter: --meter auto")
    for old, new in pairs if "dice" in metrics else ():
        if old.scored_on is None or new.scored_on is None:
            missing = old if old.scored_on is None else new
            raise ConfigError(
                f"--gate dice: {missing.path} does not say how well {missing.variant} does, or on what data"
            )
        if old.scored_on != new.scored_on:
            raise ConfigError(
                f"--gate dice: {old.path} was scored on other images than {new.path}: pack both from runs on one data "
                "set and split"
            )
