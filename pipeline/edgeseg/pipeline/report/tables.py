"""The tables of a report over all steps: the tree, what was decided on val, accuracy and cost in detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.duration import duration
from edgeseg.benchmarks.report import (
    Column,
    Markup,
    TreeRow,
    badge,
    escape,
    paragraph,
    tree_table,
)
from edgeseg.benchmarks.report.markup import Value
from edgeseg.benchmarks.report.parts import Tone
from edgeseg.pipeline.report.fields import (
    DASH,
    Report,
    Row,
    class_names,
    count,
    dig,
    fixed,
    megabytes,
    networks_of,
    number,
    points,
    reference_words,
    shipped_of,
    short,
    shown_split,
    stacked,
    with_interval,
    with_note,
)

_TONES: dict[str, Tone] = {"refused": "bad", "failed": "bad"}


def steps_table(report: Report) -> Markup:
    """Every step with what it lost against the teacher and gained against the reference, as a tree."""
    split, shipped = shown_split(report), shipped_of(report)
    columns: list[Column | str] = [
        "step",
        "status",
        Column("Dice", numeric=True, unit="val"),
        Column("Dice", numeric=True, unit="test"),
        Column("drop vs teacher", numeric=True, unit=f"points, {split}"),
        Column("within budget?", unit=split),
        Column("file", numeric=True, unit="MB"),
        Column("latency p50", numeric=True, unit="ms, total"),
        Column("speed-up vs reference", numeric=True, unit="same engine"),
    ]
    return _tree(report, columns, lambda row: _step_cells(row, split, row is shipped), _steps_caption(report))


def decisions_table(report: Report) -> Markup:
    """What the gates saw: differences on val, against the parent and against the teacher."""
    regions = number(report, "recipe", "settings", "gates", "max_region_recall_drop") is not None
    columns: list[Column | str] = [
        "step",
        Column("drop vs parent", numeric=True, unit="points, val"),
        "within budget?",
        Column("drop vs teacher", numeric=True, unit="points, val"),
        "within budget?",
        *((Column("regions lost vs teacher", numeric=True, unit="points, val"), "within budget?") if regions else ()),
        Column("as parent", numeric=True, unit="% of pixels"),
        Column("as torch", numeric=True, unit="% of pixels"),
        Column("speed-up vs parent", numeric=True),
        "refused for",
    ]
    caption = (
        f"{_budgets(report)} Positive = drop; below each number its 95 % interval, resampled by group. "
        "“Not shown” means that the images cannot tell, not that there is no drop. As parent, as torch: equal mask "
        "pixels, on val and in the parity check after the export."
    )
    networks = {**report, "steps": networks_of(report)}
    return _tree(networks, columns, lambda row: _decision_cells(row, regions), caption)


def accuracy_table(report: Report) -> Markup:
    """Per class, per image and by region."""
    split, classes = shown_split(report), class_names(report)
    columns: list[Column | str] = [
        "step",
        *(Column(f"Dice {name}", numeric=True) for name in classes),
        *(Column(f"HD95 {name}", numeric=True, unit="px") for name in classes),
        Column("per image", numeric=True, unit="median; p5"),
        Column("< 0.5", numeric=True, unit="% images"),
        Column("regions found", numeric=True, unit="%; small"),
        Column("false", numeric=True, unit="per empty frame"),
    ]
    rows = [row for row in report["steps"] if dig(row, "accuracy", split)]
    if not rows:
        return paragraph("No step was scored.")
    caption = (
        f"On {split}. Dice per class from counts summed over the split; per image: median, 5th percentile, and share "
        "below 0.5. HD95: 95th percentile of the distance between borders, over the n images where both masks have the "
        "class. A region is found from an IoU of 0.1 on; small: the lowest quartile of area. "
        f"{_empty_frames(rows, split)}"
    )
    return _tree({**report, "steps": rows}, columns, lambda row: _accuracy_cells(row, split, classes), caption)


def cost_table(report: Report) -> Markup:
    """Size, work, time and memory of every step, and how long it took to make."""
    columns: list[Column | str] = [
        "step",
        "engine",
        Column("params", numeric=True),
        Column("MACs", numeric=True),
        *(Column(stage, numeric=True, unit="p50 ms") for stage in ("pre", "infer", "post", "total")),
        Column("total", numeric=True, unit="p90 ms"),
        Column("n", numeric=True, unit="calls"),
        Column("peak memory", numeric=True, unit="MiB"),
        Column("made in", numeric=True),
    ]
    caption = "Latency of one decoded frame, batch 1; one call after the other. Peak memory is of the whole process."
    metered = [row["energy"] for row in report["steps"] if row.get("energy")]
    if not metered:
        return _tree(report, columns, lambda row: _cost_cells(row, report.get("wall_s")), caption)
    columns.append(Column("energy", numeric=True, unit="mJ, gross"))
    caption += f" Energy of one inference by {metered[0]['sensor']}."
    return _tree(
        report, columns, lambda row: [*_cost_cells(row, report.get("wall_s")), _energy(row.get("energy"))], caption
    )


def _tree(report: Report, columns: Sequence[Column | str], cells: Any, caption: Value) -> Markup:
    shipped = shipped_of(report)
    rows = [
        TreeRow(
            row["name"],
            row["parent"],
            cells(row),
            "good" if row is shipped else _TONES.get(row["status"], "plain"),
        )
        for row in report["steps"]
    ]
    return tree_table(columns, rows, caption)


def _step_cells(row: Row, split: str, ships: bool) -> list[Value]:
    drop = dig(row, "dice_drop_vs_teacher", split)
    return [
        stacked(
            [
                badge(row["status"]),
                badge("shipped") if ships else None,
                *(badge(f"not for {target}", "bad") for target in row["refused_for"]),
            ]
        ),
        fixed(number(row, "accuracy", "val", "dice_mean")),
        fixed(number(row, "accuracy", "test", "dice_mean")),
        _drop(drop),
        _verdict(drop, row),
        megabytes(number(row, "bytes")),
        short(number(row, "latency_ms", "total", "p50")),
        _speedup(row, "speedup_vs_reference"),
    ]


def _decision_cells(row: Row, regions: bool) -> list[Value]:
    drops = ("dice_drop_vs_parent", "dice_drop_vs_teacher", *(("region_recall_drop_vs_teacher",) if regions else ()))
    held = [cell for key in drops for cell in (_drop(dig(row, key, "val")), _verdict(dig(row, key, "val"), row))]
    agreement, parity = number(row, "agreement_vs_parent"), number(row, "parity", "mask_agreement")
    return [
        *held,
        None if agreement is None else fixed(100 * agreement, 2),
        None if parity is None else fixed(100 * parity, 3),
        _speedup(row, "speedup_vs_parent"),
        stacked(str(target) for target in row["refused_for"]),
    ]


def _accuracy_cells(row: Row, split: str, classes: Sequence[str]) -> list[Value]:
    found = dig(row, "accuracy", split)
    per_image = dig(found, "per_image")
    false_regions = dig(found, "false_regions_per_negative_frame")
    return [
        *(fixed(number(found, "dice", name)) for name in classes),
        *(_distance(dig(found, "hd95", name)) for name in classes),
        with_note(fixed(number(per_image, "median")), fixed(number(per_image, "p5"))),
        _percent(number(per_image, "share_below_0.5")),
        with_note(_percent(number(found, "region_recall")), _percent(number(found, "small_region_recall"))),
        None if isinstance(false_regions, str) else fixed(number(found, "false_regions_per_negative_frame"), 2),
    ]


def _cost_cells(row: Row, wall_s: Any) -> list[Value]:
    stages = [short(number(row, "latency_ms", stage, "p50")) for stage in ("pre", "infer", "post", "total")]
    memory = number(row, "peak_memory_mib")
    return [
        _engine(row),
        count(number(row, "params")),
        count(number(row, "macs")),
        *stages,
        short(number(row, "latency_ms", "total", "p90")),
        fixed(number(row, "latency_ms", "total", "n"), 0),
        fixed(memory, 0),
        duration(number(wall_s, row["name"])),
    ]


def _steps_caption(report: Report) -> str:
    parts = ["Drop: positive = the teacher is better; below each number its 95 % interval. Green: what ships."]
    parts.append(reference_words(report))
    if shown_split(report) == "val":
        parts.append("Test was not scored: it is, once, after what ships is fixed.")
    silent = [row for row in report["steps"] if number(row, "latency_ms", "total", "p50") is None]
    if silent:
        reasons = "; ".join(
            f"{row['name']} ({row.get('latency_reason') or row.get('reason') or 'not timed'})" for row in silent
        )
        parts.append(f"{DASH} for latency: {reasons}.")
    return " ".join(parts)


def _budgets(report: Report) -> str:
    gates = dig(report, "recipe", "settings", "gates")
    limits = {"max_dice_drop": "Dice against the parent", "max_total_dice_drop": "Dice against the teacher"}
    limits |= {"max_region_recall_drop": "region recall against the teacher"}
    budgets = ((number(gates, key), of_what) for key, of_what in limits.items())
    named = [f"at most {100 * budget:.1f} points of {of_what}" for budget, of_what in budgets if budget is not None]
    return f"Budget: {', '.join(named)}." if named else "The recipe sets no budget."


def _empty_frames(rows: Sequence[Row], split: str) -> str:
    """Why the last column has dashes, where it has."""
    words = (dig(row, "accuracy", split, "false_regions_per_negative_frame") for row in rows)
    why = next((word for word in words if isinstance(word, str)), None)
    return f"False regions per empty frame: {why}." if why else "False regions: per frame without any true region."


def _drop(drop: Any) -> Markup:
    mean, low, high = (points(number(drop, key)) for key in ("mean", "lo95", "hi95"))
    return with_interval(mean, low, high)


def _speedup(row: Row, key: str) -> Markup:
    value = dig(row, key)
    ratio, low, high = (short(number(value, key)) for key in ("ratio", "lo95", "hi95"))
    return with_interval(None if ratio is None else f"{ratio} ×", low, high)


def _energy(found: Any) -> Value:
    """Millijoules, and below them that they are no device's, where they are none."""
    level = dig(found, "evidence")
    return with_note(short(number(found, "gross_mj")), None if level == "device" else level)


def _verdict(drop: Any, row: Row) -> Value:
    """The verdict; green in a row that nothing else is held against: one drop that is small is no good news there."""
    word = dig(drop, "verdict")
    held_back = row["status"] != "ok" or row["refused_for"]
    return badge(str(word), "plain" if held_back and word == "not worse" else None) if word else escape(None)


def _distance(found: Any) -> Markup:
    value, n = short(number(found, "value_px")), number(found, "n")
    return with_note(value, None if n is None else f"n = {n:.0f}")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.0f}"


def _engine(row: Row) -> Markup:
    """The engine's name, and its version with the precision below."""
    name, _, version = str(row.get("engine") or "").partition(" ")
    below = ", ".join(part for part in (version, str(row.get("precision") or "")) if part)
    return with_note(name or None, below or None)
