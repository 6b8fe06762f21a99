"""Costs of a result's rows as texts: for tables, CSV and what is said below them."""

from __future__ import annotations

from edgeseg.benchmarks.results.result import BenchResult, Row


def per_million(result: BenchResult, row: Row) -> str:
    """What a million inferences cost; a dash where that is not told."""
    cost = result.cost(row)
    return "-" if isinstance(cost, str) else f"{cost * 1e6:.3g}"


def cost_remarks(result: BenchResult) -> list[str]:
    """What a cost takes for granted, and why it is missing where it is; nothing without a price list."""
    if result.price is None:
        return []
    missing = [f"{row.name}: no cost: {reason}" for row in result.rows if isinstance(reason := result.cost(row), str)]
    return [f"cost of a million inferences: {result.cost_assumption}", *missing]


def csv_cost(result: BenchResult, row: Row) -> dict[str, object]:
    """The columns of a row of the CSV that begin with `cost_`."""
    if result.price is None:
        return {}
    cost, about = result.cost(row), {"cost_currency": result.price.currency, "cost_assumption": result.cost_assumption}
    return about | ({"cost_reason": cost} if isinstance(cost, str) else {"cost_per_inference": cost})
