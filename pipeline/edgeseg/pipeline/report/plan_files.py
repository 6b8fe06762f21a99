"""The report's panel on the INT8 files of one plan: whether they hold its numbers, and whether their masks agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.benchmarks.report import Column, Markup, badge, heading, join, table
from edgeseg.benchmarks.report.markup import Value
from edgeseg.pipeline.report.fields import Report, dig, fixed, mapping, number


def plan_files_panel(report: Report) -> Markup:
    """Every file of the plan, and every two of them that run here against each other; nothing for older runs."""
    found = mapping(report.get("plan_files"))
    if not found:
        return Markup("")
    return join([heading("The INT8 files of one plan", 3), _files(mapping(found.get("files"))), _pairs(found)])


def _files(files: Mapping[str, Any]) -> Markup:
    columns: list[Column | str] = [
        "file",
        "status",
        Column("read back equal", numeric=True, unit="activations + kernels"),
        Column("Dice", numeric=True, unit="val"),
        "remark",
    ]
    rows: list[list[Value]] = []
    for name, entry in files.items():
        tensors, kernels = (number(entry, "read_back", key) for key in ("n_tensors", "n_kernels"))
        read = None if tensors is None or kernels is None else f"{tensors:.0f} + {kernels:.0f}"
        remark = "; ".join(str(its) for its in (dig(entry, "evidence"), dig(entry, "reason")) if its)
        rows.append([name, badge(entry["status"]), read, fixed(number(entry, "val_dice"), 3), remark or None])
    return table(columns, rows, "Scales and zero points read from each file and found equal to the plan's.")


def _pairs(found: Mapping[str, Any]) -> Markup:
    columns: list[Column | str] = [
        "files",
        Column("pixels that differ", numeric=True, unit="%"),
        Column("Dice apart", numeric=True, unit="points"),
        "within limits?",
    ]
    rows: list[list[Value]] = []
    given = found.get("pairs")
    for pair in given if isinstance(given, list) else []:
        differ, apart = number(pair, "pixels_differ"), number(pair, "dice_difference")
        holds = dig(pair, "holds")
        verdict = dig(pair, "reason") if holds is None else "yes" if holds else "no"
        cells = [None if differ is None else f"{100 * differ:.2f}", None if apart is None else _apart(pair, apart)]
        rows.append([f"{dig(pair, 'a')}, {dig(pair, 'b')}", *cells, str(verdict)])
    images = number(found, "scored_on", "n_images")
    pixels, dice = (number(found, "limits", key) for key in ("pixels_differ", "dice_difference"))
    limits = "" if pixels is None or dice is None else f" Limits: {100 * pixels:.1f} % and {100 * dice:.1f} point."
    return table(columns, rows, f"Masks against each other on {images or 0:.0f} images of val.{limits}")


def _apart(pair: object, apart: float) -> str:
    """The difference [points] with its interval, where the record has one."""
    low, high = number(pair, "lo95"), number(pair, "hi95")
    words = f"{100 * apart:+.2f}"
    return words if low is None or high is None else f"{words} ({100 * low:+.2f} to {100 * high:+.2f})"
