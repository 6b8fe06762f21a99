"""Order statistics of latency samples, and bounds on them that a few samples cannot flatter.

A percentile here is always a value that was measured (nearest rank), never an interpolation between two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Samples = Sequence[float] | npt.NDArray[np.floating] | npt.NDArray[np.integer]

# MLPerf's confidence that the true percentile does not lie above the bound.
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Distribution:
    """What is printed of one set of samples; every `_ms` value is milliseconds, `cv` is a ratio.

    `p50 p90 p95 p99` are order statistics. `p90_upper` and `p99_upper` are the early-stopping bounds of
    MLPerf, `None` below 64 and 662 samples, where no bound of that confidence exists.
    """

    n: int
    min: float
    mean: float
    std: float
    cv: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    p90_upper: float | None
    p99_upper: float | None

    def to_json(self) -> dict[str, float | int | None]:
        """The fields as JSON, with `median` beside `p50` because readers of other tools look for that name."""
        return {**asdict(self), "median": self.p50}


def describe(samples_ms: Samples) -> Distribution:
    """Summarises samples in milliseconds, float, shape (n,).

    Raises:
        ValueError: There is no sample.
    """
    ordered = np.sort(np.asarray(samples_ms, dtype=np.float64))
    if ordered.size == 0:
        raise ValueError("describe() needs at least one sample")
    mean, std = float(ordered.mean()), float(ordered.std(ddof=1)) if ordered.size > 1 else 0.0
    return Distribution(
        n=int(ordered.size),
        min=float(ordered[0]),
        mean=mean,
        std=std,
        cv=std / mean if mean > 0 else 0.0,
        p50=order_statistic(ordered, 0.50),
        p90=order_statistic(ordered, 0.90),
        p95=order_statistic(ordered, 0.95),
        p99=order_statistic(ordered, 0.99),
        max=float(ordered[-1]),
        p90_upper=upper_bound(ordered, 0.90),
        p99_upper=upper_bound(ordered, 0.99),
    )


def order_statistic(ordered: npt.NDArray[np.float64], share: float) -> float:
    """The smallest sample that at least `share` of all samples do not exceed (nearest rank).

    Args:
        ordered: Samples in rising order, shape (n,), n >= 1.
        share: The percentile as a ratio in (0, 1].
    """
    # The small term keeps 0.9 * 10 = 9.000000000000002 from becoming rank 10.
    rank = math.ceil(share * ordered.size - 1e-9)
    return float(ordered[max(rank, 1) - 1])


def upper_bound(ordered: npt.NDArray[np.float64], share: float) -> float | None:
    """The early-stopping estimate: with 99 % confidence the true percentile is not above it.

    With q samples, t is the largest count with BinomCDF(t; q, 1 - share) <= 1 - confidence; the t - 1 highest
    latencies are discarded and the highest of the rest is the bound.

    Args:
        ordered: Samples in rising order, shape (q,).
        share: The percentile as a ratio in (0, 1).

    Returns:
        The bound, or `None` while q is too small for any t >= 1 (q < 64 at p90, q < 662 at p99).

    Reference:
        MLPerf Inference, inference_rules.adoc, appendix "early stopping", with d = 0 and c = 0.99.
    """
    discard = allowed_over(int(ordered.size), share)
    return float(ordered[-discard]) if discard >= 1 else None


def allowed_over(n: int, share: float, confidence: float = CONFIDENCE) -> int:
    """The largest t with BinomCDF(t; n, 1 - share) <= 1 - confidence; -1 where not even t = 0 fulfils it."""
    over = 1.0 - share
    # In logarithms, since 0.9 ** 10000 is below the smallest float.
    log_term, log_odds = n * math.log(share), math.log(over) - math.log(share)
    cumulative, t = math.exp(log_term), -1
    while cumulative <= 1.0 - confidence and t < n:
        t += 1
        log_term += log_odds + math.log(n - t) - math.log(t + 1) if t < n else 0.0
        cumulative += math.exp(log_term)
    return t


def relative_spread(medians: Sequence[float]) -> float:
    """How far the highest of several medians lies above the lowest, as a ratio (0 for one value)."""
    return max(medians) / min(medians) - 1.0 if medians and min(medians) > 0 else 0.0
