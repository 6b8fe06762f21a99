"""Tables, flat and as a tree. A wide one scrolls on a phone with its first column standing still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeseg.benchmarks.report.markup import Markup, Value, escape
from edgeseg.benchmarks.report.parts import Tone


@dataclass(frozen=True)
class Column:
    """A column: its title, whether it holds numbers (then set to the right), and a unit shown small."""

    title: str
    numeric: bool = False
    unit: str = ""


@dataclass(frozen=True)
class TreeRow:
    """A row that hangs from another.

    Attributes:
        name: Its own name, shown in the first column unless `label` is given.
        parent: Name of the row it hangs from; `None` or a name that is not there make it a root.
        cells: The cells after the first.
        tone: `good` and `bad` tint the row.
        label: What the first column shows instead of the name.
    """

    name: str
    parent: str | None
    cells: Sequence[Value]
    tone: Tone = "plain"
    label: Value = None


@dataclass
class _Ordered:
    """Rows depth first, each with its depth."""

    rows: list[tuple[TreeRow, int]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def table(columns: Sequence[Column | str], rows: Sequence[Sequence[Value]], caption: Value = "") -> Markup:
    """A flat table.

    Args:
        columns: Titles, or `Column` where there is more to say.
        rows: One sequence of cells per row, as many as columns.
        caption: What the table shows.

    Raises:
        ValueError: A row has not as many cells as there are columns.
    """
    shaped = [Column(column) if isinstance(column, str) else column for column in columns]
    return _table(shaped, "".join(_row(shaped, cells) for cells in rows), caption)


def tree_table(columns: Sequence[Column | str], rows: Sequence[TreeRow], caption: Value = "") -> Markup:
    """A table whose rows hang from each other: children follow their parent, indented, in the order given.

    Args:
        columns: The first is that of the names.
        rows: In any order; a circle of parents is cut where it closes.
        caption: What the table shows.

    Raises:
        ValueError: A row has not as many cells as there are columns after the first.
    """
    shaped = [Column(column) if isinstance(column, str) else column for column in columns]
    lines = []
    for row, depth in _depth_first(rows):
        branch = '<span class="branch" aria-hidden="true">└</span> ' if depth else ""
        label = escape(row.name if row.label is None else row.label)
        name = Markup(f'<span class="depth" style="--depth:{depth}">{branch}{label}</span>')
        lines.append(_row(shaped, [name, *row.cells], row.tone))
    return _table(shaped, "".join(lines), caption)


def _depth_first(rows: Sequence[TreeRow]) -> list[tuple[TreeRow, int]]:
    names = {row.name for row in rows}
    ordered = _Ordered()
    for row in rows:
        if row.parent is None or row.parent not in names:
            _append(row, 0, rows, ordered)
    for row in rows:  # what is left hangs in a circle
        _append(row, 0, rows, ordered)
    return ordered.rows


def _append(row: TreeRow, depth: int, rows: Sequence[TreeRow], ordered: _Ordered) -> None:
    if row.name in ordered.seen:
        return
    ordered.seen.add(row.name)
    ordered.rows.append((row, depth))
    for child in rows:
        if child.parent == row.name:
            _append(child, depth + 1, rows, ordered)


def _table(columns: Sequence[Column], body: str, caption: Value) -> Markup:
    heads = "".join(f'<th scope="col"{_class(column)}>{_title(column)}</th>' for column in columns)
    # The caption stands outside of what scrolls, so that it stays readable on a phone.
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    # Focusable, so that a wide table can be scrolled by keyboard.
    return Markup(
        f'<figure class="table"><div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{below}</figure>"
    )


def _row(columns: Sequence[Column], cells: Sequence[Value], tone: Tone = "plain") -> str:
    if len(cells) != len(columns):
        raise ValueError(f"a row has {len(cells)} cells for {len(columns)} columns: {list(cells)!r}")
    first, *others = zip(columns, cells, strict=True)
    line = f'<th scope="row"{_class(first[0])}>{escape(first[1])}</th>'
    line += "".join(f"<td{_class(column)}>{escape(cell)}</td>" for column, cell in others)
    return f'<tr class="{tone}">{line}</tr>'


def _class(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _title(column: Column) -> str:
    unit = f' <span class="unit">{escape(column.unit)}</span>' if column.unit else ""
    return f"{escape(column.title)}{unit}"
