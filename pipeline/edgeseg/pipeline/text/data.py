"""What a data set holds and what of its folder is not taken, in words: by check and by init."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.recipe.data_said import split_words
from edgeseg.pipeline.text.shown import faults_text, simple_table

if TYPE_CHECKING:
    from edgeseg.runtime.data.check import Checked
    from edgeseg.runtime.data.described.columns import Column
    from edgeseg.runtime.data.shares import Share


def check_json(checked: Checked, folder: str) -> dict[str, Any]:
    """The findings for scripts; `ok` is whether there are no faults, whatever the warnings."""
    return {
        "data": folder,
        "ok": not checked.faults,
        "images": checked.n_images,
        "masks": checked.n_masks,
        "splits": dict(checked.splits),
        "not_taken": list(checked.not_taken),
        "foreground": [asdict(share) for share in checked.shares],
        "unused_columns": [asdict(column) for column in checked.columns],
        "faults": [asdict(fault) for fault in checked.faults],
        "warnings": [asdict(fault) for fault in checked.warnings],
    }


def check_text(report: Mapping[str, Any]) -> RenderableType:
    """The findings for people: what is taken, what is not, what each class covers, and what is wrong."""
    splits = f" (split: {split_words(report['splits'])})" if report["splits"] else ""
    return Group(
        Text(f"{report['images']} images and {report['masks']} masks taken{splits}"),
        folder_text(report),
        faults_text([*report["faults"], *report["warnings"]]),
    )


def folder_text(report: Mapping[str, Any]) -> RenderableType:
    """What is not taken, the columns that nothing reads, and what each class covers."""
    lines = [
        f"not taken: {one['where']}{', '.join(one['files'])} ({one['n']}): {one['reason']}"
        for one in report["not_taken"]
    ]
    if report["unused_columns"]:
        lines.append(f"columns of meta.csv not read: {', '.join(map(_column, report['unused_columns']))}")
    shares = [(one["name"], f"{one['pixels']:.2%}", one["n_images"]) for one in report["foreground"]]
    table = [simple_table(("class", "pixels", "images"), shares, left=1)] if shares else []
    return Group(*map(Text, lines), *table)


def folder_json(
    not_taken: Sequence[Mapping[str, object]], shares: Sequence[Share], columns: Sequence[Column]
) -> dict[str, Any]:
    """What `folder_text` shows."""
    return {
        "not_taken": list(not_taken),
        "foreground": [asdict(share) for share in shares],
        "unused_columns": [asdict(column) for column in columns],
    }


def _column(column: Mapping[str, Any]) -> str:
    crossing = f", {column['n_crossing']} of them not in one split alone" if column["n_crossing"] else ""
    return f"{column['name']} ({column['n_values']} values{crossing})"
