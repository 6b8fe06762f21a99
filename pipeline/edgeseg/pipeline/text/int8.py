"""The doctor's report for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.int8.verdict import hundredths
from edgeseg.pipeline.text.shown import simple_table

_SHOWN = 12


def doctor_int8_text(report: Mapping[str, Any], folder: Path) -> RenderableType:
    """The worst layers, what is wrong with them, the verdict, and where the files are."""
    found, rows = report["verdict"], report["layers"]
    style = "bold red" if found["status"] == "refused" else "bold green"
    table = simple_table(
        ("layer", "kind", "stays in", "Dice lost [points]", "pixels changed", "float ms", "INT8 ms"),
        [
            (
                *(row["layer"], row["kind"], "float" if row["in_float"] else "INT8"),
                hundredths(row["drop"]["mean"]),
                f"{row['differs']:.2%}",
                *(None if row[key] is None else f"{row[key]:.3f}" for key in ("float_ms", "int8_ms")),
            )
            for row in rows[:_SHOWN]
        ],
        left=3,
    )
    more = [Text(f"and {len(rows) - _SHOWN} layers that lose less", "dim")] if len(rows) > _SHOWN else []
    reasons = [Text(f"{row['layer']}: {row['explanation']}") for row in rows if row["bad"]]
    repairs = [Text(f"repaired: {repair['sentence']}") for repair in report["repairs"]]
    advice = [Text("settings: " + json.dumps(report["settings_to_use"]))] if report["float_layers"] else []
    gone = report["withdrawn"]
    files = [folder / "int8_doctor.html", folder / "int8_doctor.json", *filter(None, [report["delivered"]])]
    return Group(
        table,
        *more,
        *([Text(""), *reasons] if reasons else []),
        *repairs,
        Text(""),
        *(Text(note, "dim") for note in report["notes"]),
        Text(""),
        Text(found["sentence"], style),
        Text(found["detail"]),
        *advice,
        *([Text(f"removed: {gone}, which an earlier examination had delivered")] if gone else []),
        *(Text(f"written: {file}", "dim") for file in files),
    )
