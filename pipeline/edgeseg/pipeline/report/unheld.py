"""Gates that a recipe has, and that nothing of the run was held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeseg.pipeline.recipe.sections.gates import GateSection


def unheld_warnings(rows: Sequence[Mapping[str, Any]], gates: GateSection) -> list[dict[str, Any]]:
    """That `gates.min_speedup` speaks of targets alone that the run has not measured, in the words of all warnings.

    Args:
        rows: Of the report; those of variants that have a latency were measured on their `target`.
        gates: Of the recipe.
    """
    measured = sorted({row["target"] for row in rows if row["variant"] is not None and row["latency_ms"]})
    asked = sorted(gates.min_speedup)
    if not asked or not measured or set(asked) & set(measured):
        return []
    message = f"gates.min_speedup is of {', '.join(asked)}, but files were measured on {', '.join(measured)}"
    return [
        {
            "kind": "speedup_not_asked",
            "step": "bench",
            "message": f"{message}: no speed-up was asked of any",
            "remedy": f"set gates.min_speedup.{measured[0]}, or gates.min_speedup={{}}",
        }
    ]
