"""How warnings are told: on top of a page, at the end of what a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from edgeseg.benchmarks.report import Markup, notice
from edgeseg.pipeline.learned.findings import nothing_learned

Told = Mapping[str, Any]


def told(warnings: Any) -> list[Told]:
    """The warnings of a record; it comes from a file, so nothing in it is certain, and older ones have none."""
    if not isinstance(warnings, list):
        return []
    return [one for one in warnings if isinstance(one, Mapping) and one.get("message")]


def warnings_box(warnings: Any) -> Markup:
    """A page's warnings; nothing where there are none."""
    found = told(warnings)
    if not found:
        return Markup("")
    grave = nothing_learned(found)
    head = "Do not use this as it is: something here has learned nothing." if grave else _count(len(found))
    return notice(head, [f"{line}. {remedy}" for line, remedy in _by_subject(found)], "bad" if grave else "warn")


def warning_lines(record: Told) -> list[RenderableType]:
    """The warnings of a record for the terminal, after an empty line."""
    found = told(record.get("warnings"))
    style = "bold red" if nothing_learned(found) else "bold yellow"
    lines: list[RenderableType] = [Text("")] if found else []
    for line, remedy in _by_subject(found):
        lines += [Text(f"warning: {line}", style), Text(f"         {remedy}", "yellow")]
    return lines


def _by_subject(found: list[Told]) -> list[tuple[str, str]]:
    """All that is said of one network as one entry: what, and what to do about it."""
    groups: dict[str, list[Told]] = {}
    for one in found:
        fold = f"fold {one['fold']}: " if one.get("fold") is not None else ""
        groups.setdefault(f"{fold}{one['step']}: " if one.get("step") else fold, []).append(one)
    return [
        (subject + "; ".join(str(one["message"]) for one in group), " ".join(dict.fromkeys(map(_remedy, group))))
        for subject, group in groups.items()
    ]


def _remedy(one: Told) -> str:
    remedy = str(one.get("remedy") or "")
    return f"{remedy[:1].upper()}{remedy[1:]}." if remedy else ""


def _count(n: int) -> str:
    return f"{'One warning' if n == 1 else f'{n} warnings'}: what follows is less sure than it looks."
