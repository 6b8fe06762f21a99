"""How often a verdict is right: equals must be told apart as rarely, a planted slowdown found as often as we say.

Samples are made up with the spread of a real result's: how processes differ for life, how blocks differ, how the
machine's pace changes for both sides alike, and how single calls do, all drawn from what was seen there. Without a
result it is the spread that docs/measuring.md tells of an idle machine: eight equal processes between 7.98 and 8.29 ms.

    python benchmarks/measuring/verdict_rates.py result.json --slowdown 0.05 --runs 100

prints one JSON object: the fitted spread, and how many of the runs said what, of equals and of the planted slowdown.
Nothing is made up with

    python benchmarks/measuring/verdict_rates.py --races races/*.json

where each result is a race of a file with its own copy; the slowdown is planted in the second one's samples.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.compare import judge
from edgeseg.benchmarks.results.result import BenchResult, Row
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.speedup import Nested, speedup

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How samples of one subject differ, in logarithms: deviations that were seen, to be drawn from.

    Attributes:
        processes: Of processes from one another, each side its own, shape (n,).
        blocks: Of blocks from the middle one of their process, each side its own, shape (n,).
        pace: Of the machine from round to round, both sides alike, shape (n,).
        calls: Of single calls from the median of their block, shape (n,).
    """

    processes: Array
    blocks: Array
    pace: Array
    calls: Array


def idle_machine() -> Spread:
    """Medians of eight equal processes within 3.8 %: a standard deviation of 1.3 %; the pace changes by more."""
    rng = np.random.default_rng(0)
    drawn = {name: rng.normal(0, std, 2000) for name, std in (("processes", 0.0134), ("blocks", 0.015), ("pace", 0.05))}
    return Spread(**drawn, calls=rng.gamma(1.5, 0.02, 2000) - 0.02)


def fit(result: BenchResult) -> Spread:
    """The spread of a result: of how each two rows of one engine differ, process by process and round by round.

    Raises:
        ValueError: It has no two measured rows of one engine.
    """
    rows = [row for row in result.rows if row.processes]
    logs = {
        row.name: np.array([[np.log(np.median(b)) for b in process] for process in row.nested_ms()]) for row in rows
    }
    apart = [logs[a.name] - logs[b.name] for a, b in itertools.combinations(rows, 2) if a.backend == b.backend]
    if not apart:
        raise ValueError("a spread needs a result with two measured rows of one engine")
    centres = [np.median(one, axis=1) for one in apart]
    blocks = [one - centre[:, None] for one, centre in zip(apart, centres, strict=True)]
    processes = [centre - np.median(centre) for centre in centres]
    shared = np.mean([one - np.median(one) for one in logs.values()], axis=0)
    # A difference has the deviations of two sides.
    return Spread(_flat(processes) / 2**0.5, _flat(blocks) / 2**0.5, shared.ravel(), _calls(rows))


def _flat(parts: list[Array]) -> Array:
    """All values and their opposites: which side came first means nothing."""
    values = np.concatenate([part.ravel() for part in parts])
    return np.concatenate([values, -values])


def _calls(rows: list[Row]) -> Array:
    blocks = [block for row in rows for process in row.nested_ms() for block in process]
    return np.concatenate([np.log(block / np.median(block)) for block in blocks])


def simulate(
    spread: Spread, seed: int, slowdown: float, shape: tuple[int, int, int] = (5, 8, 32)
) -> tuple[Nested, Nested]:
    """Two sides of one interleaved run, the second `1 + slowdown` times as slow.

    Args:
        spread: How samples differ.
        seed: Of everything drawn.
        slowdown: As a ratio; 0 = equals.
        shape: Processes, blocks in each, calls in each.
    """
    rng = np.random.default_rng(seed)
    pace = rng.choice(spread.pace, shape[:2])
    sides = []
    for centre in (0.0, float(np.log1p(slowdown))):
        luck = rng.choice(spread.processes, (shape[0], 1)) + rng.choice(spread.blocks, shape[:2])
        sides.append(
            [list(process) for process in np.exp((centre + pace + luck)[..., None] + rng.choice(spread.calls, shape))]
        )
    return sides[0], sides[1]


def rates(spread: Spread, slowdown: float, runs: int, processes: int = 5, share: float = 0.5) -> Counter[str]:
    """How many of `runs` runs gave each verdict on the second side."""
    found: Counter[str] = Counter()
    for seed in range(runs):
        ratio = speedup(*simulate(spread, seed, slowdown, (processes, 8, 32)), share=share, n_resamples=300)
        found[judge(ratio, same_run=True, floor=0.0)[0]] += 1
    return found


def raced(results: list[Path], slowdown: float) -> dict[str, Any]:
    """What races of equals said, and what they say where the second row's samples are stretched.

    Args:
        results: Of races, each with two measured rows.
        slowdown: As a ratio.
    """
    pairs = []
    for path in results:
        rows = [row.nested_ms() for row in read_result(path).rows if row.processes]
        if len(rows) != 2:
            raise ValueError(f"{path} has {len(rows)} measured rows: a race of equals has two")
        pairs.append(rows)
    report: dict[str, Any] = {"races": len(pairs), "processes": sorted({len(first) for first, _ in pairs})}
    for name, share in (("p50", 0.5), ("p90", 0.9)):
        for planted in (0.0, slowdown):
            found: Counter[str] = Counter()
            for first, second in pairs:
                slower = [[block * (1 + planted) for block in process] for process in second]
                found[judge(speedup(first, slower, share=share), same_run=True, floor=0.0)[0]] += 1
            report[f"{name}, slower by {planted:.1%}"] = found
    ratios = [speedup(first, second).ratio for first, second in pairs]
    return report | {"ratios of equals": [min(ratios), float(np.median(ratios)), max(ratios)]}


def main() -> int:
    """Fit, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?", help="of `bench run --out`, with two rows of one engine")
    parser.add_argument("--races", type=Path, nargs="+", help="of `bench run a.edgeseg b.edgeseg`, equal bundles")
    parser.add_argument("--slowdown", type=float, default=0.05)
    parser.add_argument("--runs", type=int, default=100)
    given = parser.parse_args()
    if given.races:
        print(json.dumps(raced(given.races, given.slowdown), indent=2))  # noqa: T201  the script's result
        return 0
    spread = fit(read_result(given.result)) if given.result else idle_machine()
    report: dict[str, Any] = {f"std of {name}": float(np.std(values)) for name, values in vars(spread).items()}
    for processes in (5, 10):
        for name, share in (("p50", 0.5), ("p90", 0.9)):
            for slowdown in (0.0, given.slowdown):
                key = f"{name}, {processes} processes, slower by {slowdown:.0%}"
                report[key] = rates(spread, slowdown, given.runs, processes, share)
    print(json.dumps(report, indent=2))  # noqa: T201  the script's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
