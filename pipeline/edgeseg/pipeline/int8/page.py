"""The doctor's report as one HTML page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.report import (
    Column,
    Markup,
    Point,
    badge,
    code,
    details,
    facts,
    figure,
    heading,
    items,
    join,
    page,
    paragraph,
    scatter_svg,
    table,
    verdict,
)
from edgeseg.pipeline.int8.verdict import hundredths
from edgeseg.pipeline.report.fields import fixed
from edgeseg.runtime.files.atomic import write_text

_NAMED = 6  # points of the plot that are labelled
_SHOWN = 15  # rows of the table that are not folded away
_LIST = re.compile(r"\[[^][{}]*\]")
_COLUMNS = (
    "layer",
    Column("Dice lost", True, "points"),
    "95 % interval",
    Column("pixels that change", True, "%"),
    Column("float", True, "ms"),
    Column("INT8", True, "ms"),
    "in float",
    "kind",
    "evidence",
)


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the page of an `int8_doctor.json`; it needs nothing beside it and fetches nothing.

    Raises:
        EdgesegError: The file cannot be written.
    """
    found = report["verdict"]
    tone: Any = "bad" if found["status"] == "refused" else "good"
    body: list[Any] = [verdict(found["sentence"], tone, found["detail"]), _summary(report)]
    for title, content in (
        ("What is wrong, and why", _explanations(report)),
        ("Empty ranges", _repairs(report)),
        ("What to do", _advice(report)),
        ("Float against INT8, by target", _targets(report)),
        ("What each layer loses and costs", _layers(report)),
        ("The search for float layers", _trials(report)),
        ("How this was measured", _measured(report)),
    ):
        body += [heading(title), content]
    subtitle = " · ".join(
        part for part in (report["command"], report["created"], report["engine"], ", ".join(report["targets"])) if part
    )
    write_text(path, page(f"INT8 doctor: {report['name']}", body, subtitle=subtitle))


def _summary(report: Mapping[str, Any]) -> Markup:
    dice, data = report["dice_mean"], report["data"]
    return facts(
        {
            "mean Dice on val, float": fixed(dice["float"], 4),
            "everything in INT8": fixed(dice["int8"], 4),
            "budget": f"{100 * report['max_drop']:.2f} points",
            "val": f"{data['name']}, {data['n_images']} images, {data['n_groups']} groups",
            "layers": f"{len(report['layers'])}, {len(report['float_layers'])} of them to keep in float",
        }
    )


def _explanations(report: Mapping[str, Any]) -> Markup:
    bad = [row for row in report["layers"] if row["bad"]]
    if not bad:
        words = f"Nothing: no layer alone loses more than the budget of {100 * report['max_drop']:.2f} points on val, "
        return paragraph(words + "and with all of them in INT8 the budget holds.")
    note = (
        paragraph("With all layers in INT8 the budget holds nevertheless, so none has to stay in float.")
        if not report["float_layers"]
        else Markup()
    )
    entries = [
        join(
            [
                Markup(f"<strong>{join([row['layer']])}</strong>"),
                badge("stays in float", "warn") if row["in_float"] else "",
                f"alone in INT8 it loses {hundredths(row['drop']['mean'])} points. {row['explanation']}",
            ],
            " ",
        )
        for row in bad
    ]
    return join([items(entries), note])


def _repairs(report: Mapping[str, Any]) -> Markup:
    if not report["repairs"]:
        return paragraph("None: every activation had a range.")
    return items(repair["sentence"] for repair in report["repairs"])


def _advice(report: Mapping[str, Any]) -> Markup:
    if report["findings"]:
        rows = [(row["answer"], row["truth"], f"{row['share']:.1%}") for row in report["class_correspondence"]]
        columns = ("the float network answers", "most of it is", Column("share", True))
        return join([paragraph("Mend what stands above first; no figure below means much."), table(columns, rows)])
    if report["verdict"]["status"] == "refused":
        words = "Ship the float file. The settings below are what INT8 would need."
        return join([paragraph(words), code(_settings(report))])
    if not report["float_layers"] and not report["repairs"]:
        return paragraph("Nothing: INT8 can be used as it is.")
    return join([paragraph("Put this where the INT8 file is made:"), code(_settings(report))])


def _settings(report: Mapping[str, Any]) -> str:
    text = json.dumps(report["settings_to_use"], indent=2)
    # A list of names on one line: fifty lines of them would bury the rest.
    return _LIST.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text)


def _targets(report: Mapping[str, Any]) -> Markup:
    rows = []
    for target, its in report["targets"].items():
        raced = its["race"]
        bounds = None if raced["lo95"] is None else f"{raced['lo95']:.2f} to {raced['hi95']:.2f}"
        rows.append(
            (
                *(target, badge(raced["verdict"])),
                *(fixed(raced[key], 2) for key in ("float_ms", "int8_ms", "ratio")),
                *(bounds, hundredths(its["drop"]["mean"])),
                *(f"{its[key] / 1e6:.2f}" for key in ("float_bytes", "int8_bytes")),
            )
        )
    columns = (
        *("target", "INT8 is", Column("float p50", True, "ms"), Column("INT8 p50", True, "ms")),
        *(Column("ratio", True), "95 % interval", Column("Dice lost", True, "points")),
        *(Column("float", True, "MB"), Column("INT8", True, "MB")),
    )
    kept = "the float layers" if report["float_layers"] else "no float layer"
    return table(columns, rows, f"INT8 with {kept}; whole pipeline, both files taking turns in one run.")


def _layers(report: Mapping[str, Any]) -> Markup:
    rows = [_row(row) for row in report["layers"]]
    parts = [_plot(report), table(_COLUMNS, rows[:_SHOWN], "The layers that lose most, each alone in INT8.")]
    if rows[_SHOWN:]:
        parts.append(details(f"the other {len(rows) - _SHOWN} layers", table(_COLUMNS, rows[_SHOWN:])))
    others = report["others_ms"]
    words = "Conversions between float and integer and changes of layout, which belong to no layer, take "
    parts.append(paragraph(f"{words}{others['float']:.3f} ms in the float file and {others['int8']:.3f} ms in INT8."))
    slower = [row["layer"] for row in report["layers"] if (row["int8_ms"] or 0) > (row["float_ms"] or float("inf"))]
    if slower:
        listed = ", ".join(slower[:_SHOWN]) + (f" and {len(slower) - _SHOWN} more" if slower[_SHOWN:] else "")
        parts.append(
            paragraph(
                f"Slower in INT8 than in float, by these profiles: {listed}. Keeping one in float also costs the "
                "conversions around it, so only a run of the whole decides."
            )
        )
    return join(parts)


def _row(row: Mapping[str, Any]) -> Sequence[Any]:
    drop = row["drop"]
    bounds = None if drop["lo95"] is None else f"{hundredths(drop['lo95'])} to {hundredths(drop['hi95'])}"
    return (
        row["layer"],
        hundredths(drop["mean"]),
        bounds,
        hundredths(row["differs"]),
        fixed(row["float_ms"], 3),
        fixed(row["int8_ms"], 3),
        badge("float", "warn") if row["in_float"] else "",
        row["kind"],
        ", ".join(dict.fromkeys(cause["kind"] for cause in row["causes"])),
    )


def _plot(report: Mapping[str, Any]) -> Markup:
    points = [
        Point(
            x=row["int8_ms"],
            y=100 * row["drop"]["mean"],
            label=row["layer"] if place < _NAMED else "",
            group="stays in float" if row["in_float"] else "INT8",
            emphasised=row["in_float"],
        )
        for place, row in enumerate(report["layers"])
    ]
    drawn = scatter_svg(points, "time of the layer in INT8 [ms]", "Dice lost by it alone [points]", log_x=True)
    return figure(drawn, "Up is worse. What lies high and to the left costs Dice and saves little: keep it in float.")


def _trials(report: Mapping[str, Any]) -> Markup:
    rows = [
        (
            place,
            len(trial["float_layers"]),
            hundredths(trial["drop"]["mean"]),
            hundredths(trial["differs"]),
            badge("holds", "good") if trial["holds"] else badge("does not", "bad"),
            ", ".join(trial["float_layers"]) or "none",
        )
        for place, trial in enumerate(report["trials"], start=1)
    ]
    columns = (
        Column("trial", True),
        Column("float layers", True),
        Column("Dice lost", True, "points"),
        Column("pixels that change", True, "%"),
        "budget",
        "which",
    )
    caption = "From everything in INT8, the worst layers are added; then each is tried without. On all of val."
    return table(columns, rows, caption)


def _measured(report: Mapping[str, Any]) -> Markup:
    parts: list[Any] = [items(report["notes"])]
    for target, its in report["targets"].items():
        raced = its["race"]
        words = f"{target}, timed on val image {raced['frame']}: {raced['verdict']} ({raced['reason']})."
        weak = " What weakens this timing:" if raced["warnings"] else ""
        parts += [paragraph(words + weak), *([items(raced["warnings"])] if raced["warnings"] else [])]
    parts.append(paragraph(f"The examination took {report['wall_s']:.0f} s."))
    return join(parts)
