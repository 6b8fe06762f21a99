"""Comparisons as a table for people."""

from __future__ import annotations

from edgeseg.benchmarks.compare import Comparison
from edgeseg.benchmarks.results.table import align


def comparison_text(found: list[Comparison]) -> str:
    """A line a pair, then the reasons and what else differs."""
    rows = [
        (c.a, c.b, f"{c.a_p50_ms:.3f}", f"{c.b_p50_ms:.3f}", f"{c.ratio:.3f}", _interval(c), c.verdict) for c in found
    ]
    columns = ("A", "B", "A p50 ms", "B p50 ms", "A/B", "95 % interval", "verdict on B")
    notes = dict.fromkeys(note for comparison in found for note in comparison.notes)
    reasons = [f"{c.b}: {c.verdict}: {c.reason}" for c in found]
    return "\n".join([align(columns, rows), "", *reasons, *(f"note: {note}" for note in notes)])


def _interval(comparison: Comparison) -> str:
    return "-" if comparison.lo95 is None else f"{comparison.lo95:.3f} to {comparison.hi95:.3f}"
