"""What the samples are taken for: MLPerf's scenarios, and a device under load until it is hot.

One engine, one frame, calls back to back; the scenarios differ in how many calls make a query, in the figure that
counts and in how long it takes until it does. So all of them are read from the same blocks.

Reference:
    MLPerf Inference rules (inference_rules.adoc): a query is issued when the one before is done. SingleStream: one
    sample a query, 90th percentile; MultiStream: eight samples a query, 99th percentile; both early stopping bounds.
    Offline: all samples are there at once, samples per second. Each 600 s at least, Offline 24,576 samples.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.results.samples import ProcessRun
from edgeseg.benchmarks.stats import describe

_MLPERF_S = 600.0


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        calls: Calls that make a query.
        min_queries: Fewer bound no percentile of the kind that counts, or are too few for MLPerf's Offline.
        metric: The figure that counts.
    """

    calls: int
    min_queries: int
    metric: str


SCENARIOS: dict[str, Scenario] = {
    "single-stream": Scenario(1, 64, "p90_upper_ms"),
    "multi-stream": Scenario(8, 662, "p99_upper_ms"),
    "offline": Scenario(1, 24_576, "samples_per_s"),
    "sustained": Scenario(1, 64, "p50_last_over_first"),
}


def outcome(name: str, processes: tuple[ProcessRun, ...]) -> dict[str, Any]:
    """The scenario's figures of a row, JSON-able; a value that its samples cannot give is `None`.

    `meets_mlperf` says whether there were as many queries, for as long, as MLPerf's rules ask for; it is no submission.
    """
    scenario = SCENARIOS[name]
    queries = _queries_ms(processes, scenario.calls)
    window_s = sum(_window_s(process) for process in processes)
    found: dict[str, Any] = {
        "name": name,
        "metric": scenario.metric,
        "calls_per_query": scenario.calls,
        "queries": int(queries.size),
        "window_s": window_s,
        "meets_mlperf": name != "sustained" and queries.size >= scenario.min_queries and window_s >= _MLPERF_S,
    }
    if not queries.size:
        return found
    spread = describe(queries)
    found |= {"p50_ms": spread.p50, "p90_ms": spread.p90, "p99_ms": spread.p99}
    found |= {"p90_upper_ms": spread.p90_upper, "p99_upper_ms": spread.p99_upper}
    found["samples_per_s"] = queries.size * scenario.calls / window_s if window_s > 0 else None
    return found


def _queries_ms(processes: tuple[ProcessRun, ...], calls: int) -> npt.NDArray[np.float64]:
    """The time of each query [ms]; calls at the end of a block that make no whole query are left out."""
    blocks = [block.stage_ms("total") for process in processes for block in process.blocks]
    whole = [block[: block.size // calls * calls].reshape(-1, calls).sum(axis=1) for block in blocks]
    return np.concatenate(whole) if whole else np.empty(0)


def _window_s(process: ProcessRun) -> float:
    """How long the blocks lasted, the clock and the loop between calls included [s]."""
    return sum(
        (block.end_ns - block.start_ns) / 1e9
        if block.end_ns is not None
        else float(block.stage_ms("total").sum()) / 1e3
        for block in process.blocks
    )


@dataclass(frozen=True)
class Deadline:
    """How many calls came too late.

    Attributes:
        ms: The time that a call may take [ms].
        late: Calls that took longer.
        n: All calls.
        late_upper95: With 95 % confidence the true share of late calls is not above this ratio (Clopper and Pearson
            1934, one-sided), where calls are independent. Three in `n` where none was late.
    """

    ms: float
    late: int
    n: int
    late_upper95: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


def deadline_of(total_ms: npt.NDArray[np.float64], ms: float) -> Deadline | None:
    """Holds samples [ms], shape (n,), against a deadline [ms]; `None` without samples."""
    if not total_ms.size:
        return None
    late = int(np.count_nonzero(total_ms > ms))
    return Deadline(ms, late, int(total_ms.size), share_upper(late, int(total_ms.size)))


def share_upper(k: int, n: int, confidence: float = 0.95) -> float:
    """The largest share p at which k or fewer of n still come up with probability `1 - confidence`."""
    if k >= n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(60):  # a bisection to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_cdf(k, n, middle) > 1 - confidence else (low, middle)
    return high


def _binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k), in logarithms, since (1 - p) ** n is soon below the smallest float."""
    if p >= 1.0:
        return 0.0
    i = np.arange(k + 1, dtype=np.float64)
    steps = np.log(n - i[:-1]) - np.log(i[1:])  # of the binomial coefficient, from one i to the next
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + i * math.log(p) + (n - i) * math.log1p(-p)
    top = float(logs.max())
    return float(math.exp(top) * np.exp(logs - top).sum())
