"""How INT8 was chosen: every candidate that was tried, what val says of it, and on which images ranges were taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.benchmarks.report import Column, Markup, TreeRow, badge, join, paragraph, tree_table
from edgeseg.benchmarks.report.markup import Value
from edgeseg.pipeline.report.fields import (
    Report,
    Row,
    dig,
    fixed,
    mapping,
    megabytes,
    name_of,
    number,
    points,
    status_of,
    with_interval,
)

_CAPTION = (
    "Below the best: how far the Dice on val is below that of the best candidate, with its 95 % interval, resampled by "
    "group; where it includes zero, these images cannot tell the two apart. As FP32: Dice between the masks of a "
    "candidate and those of the FP32 file, mean over foreground classes. Of the candidates that cannot be told from "
    "the best the one most like FP32 is taken; of those alike to 0.1 point the simplest, which is listed first."
)


def quantization_section(report: Report) -> Markup:
    """What was taken and why, what was calibrated on, and what was tried."""
    found = mapping(report.get("quantization"))
    method, network = dig(found, "method"), dig(found, "network")
    if not method:
        return paragraph("report.json says nothing of INT8.")
    named = f"{method} ranges, {network or 'unknown'} network"
    parts = [paragraph(f"Taken: {named}; {dig(found, 'reason') or 'no reason given'}."), paragraph(_images(found))]
    tried = dig(found, "candidates")
    rows = [_row(found, one) for one in tried if isinstance(one, Mapping)] if isinstance(tried, list) else []
    return join([*parts, _table(rows)] if rows else parts)


def _table(rows: list[TreeRow]) -> Markup:
    columns: list[Column | str] = [
        "candidate",
        Column("Dice", numeric=True, unit="val"),
        Column("below the best", numeric=True, unit="points, val"),
        Column("as FP32", numeric=True, unit="Dice, %"),
        Column("file", numeric=True, unit="MB"),
        "why not",
    ]
    return tree_table(columns, rows, _CAPTION)


def _row(found: Row, one: Row) -> TreeRow:
    taken = (one.get("method"), one.get("network")) == (found.get("method"), found.get("network"))
    status = status_of(one)
    drop, agreement = dig(one, "dice_drop_vs_best"), number(one, "agreement_with_fp32")
    cells: list[Value] = [
        fixed(number(one, "val_dice"), 4),
        with_interval(*(points(number(drop, key)) for key in ("mean", "lo95", "hi95"))),
        None if agreement is None else fixed(100 * agreement, 2),
        megabytes(number(one, "bytes")),
        "" if taken else str(one.get("reason") or "not said"),
    ]
    badges = [badge("taken", "good")] * taken + [badge(status)] * (status != "ok")
    return TreeRow(name_of(one), None, cells, "good" if taken else "plain", join([name_of(one), *badges], " "))


def _images(found: Row) -> str:
    """On which images ranges were taken, by class, and on which candidates were scored."""
    kind = (
        "images of the folder quantize.folder, without masks" if found.get("source") == "folder" else "training images"
    )
    drawn = found.get("images")
    n = len(drawn) if isinstance(drawn, list) else number(found, "n_images")
    words = f"Calibrated on {_count(n, number(found, 'of'))} {kind}{_by_class(found)}."
    scored, fp32 = mapping(found.get("scored_on")), number(found, "fp32_val_dice")
    if not scored:
        return words
    known = f" The FP32 file's Dice on them is {fixed(fp32, 4)}." if fp32 is not None else ""
    n_scored = _count(number(scored, "n_images"), number(scored, "of"))
    return f"{words} Scored on {n_scored} val images{_by_class(scored)}.{known}"


def _count(n: float | None, of: float | None) -> str:
    if n is None:
        return "an unknown number of"
    return f"{n:.0f}" if of is None or of == n else f"{n:.0f} of {of:.0f}"


def _by_class(values: Mapping[str, Any]) -> str:
    counts = mapping(values.get("images_by_class"))
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f" ({listed})" if listed else ""
