"""The panel on the threshold that was chosen on val: what each one tried gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.benchmarks.report import Column, Markup, badge, join, paragraph, table
from edgeseg.benchmarks.report.markup import Value
from edgeseg.pipeline.report.fields import dig, fixed, mapping, number


def operating_point_panel(found: Any) -> Markup:
    """Every threshold with its Dice, regions found and false ones; nothing where none was chosen.

    Args:
        found: Result of the step `operating_point`, or None.
    """
    if not dig(found, "decision"):
        return Markup("")
    value, teacher = number(found, "decision", "value"), number(found, "teacher_recall")
    known = "" if teacher is None else f" The teacher, at 0.5, finds {fixed(teacher, 3)} of the regions."
    given = dig(found, "points")
    rows = [_row(mapping(one), value) for one in given] if isinstance(given, list) else []
    columns: list[Column | str] = [
        "threshold",
        Column("Dice", numeric=True, unit="val"),
        Column("regions found", numeric=True, unit="val"),
        Column("false regions", numeric=True, unit="a frame without objects"),
    ]
    words = f"Threshold {value:g}: {dig(found, 'reason')}.{known}"
    return join(
        [
            paragraph(words),
            table(columns, rows, "The network that is exported, in FP32; all its files have the same threshold."),
        ]
    )


def _row(point: Mapping[str, Any], taken: float | None) -> list[Value]:
    value = number(point, "value")
    name = join([f"{value:g}", badge("taken", "good")], " ") if value == taken else f"{value:g}"
    return [
        name,
        fixed(number(point, "dice"), 3),
        fixed(number(point, "region_recall"), 3),
        fixed(number(point, "false_regions"), 2),
    ]
