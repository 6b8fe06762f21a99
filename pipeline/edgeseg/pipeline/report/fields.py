"""Reading a report in which anything may be missing, and printing its numbers the same way everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeseg.benchmarks.report import Markup, escape

# A report.json and parts of it: they come from a file, so nothing in them is certain.
Report = Mapping[str, Any]
Row = Mapping[str, Any]

DASH = "–"
MINUS = "\N{MINUS SIGN}"


def dig(values: Any, *keys: str) -> Any:
    """The value under nested keys; None where one of them is missing."""
    for key in keys:
        if not isinstance(values, Mapping):
            return None
        values = values.get(key)
    return values


def number(values: Any, *keys: str) -> float | None:
    """The finite number under nested keys, else None."""
    found = dig(values, *keys)
    is_number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    return float(found) if is_number else None


def rows_of(report: Report) -> list[Row]:
    """The step rows."""
    steps = report.get("steps")
    return [row for row in steps if isinstance(row, Mapping)] if isinstance(steps, Sequence) else []


def name_of(row: Row) -> str:
    """A row's name."""
    return str(row.get("name") or "unnamed")


def status_of(row: Row) -> str:
    """A row's status; a row without one was not measured."""
    return str(row.get("status") or "not measured")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def find_row(report: Report, name: Any) -> Row | None:
    """The row of that name, if there is one."""
    return next((row for row in rows_of(report) if row.get("name") == name), None)


def teacher_of(report: Report) -> Row | None:
    """The row all totals refer to."""
    return find_row(report, "teacher")


def shipped_of(report: Report) -> Row | None:
    """The row that ships, or None."""
    step = dig(report.get("shipped"), "step")
    return find_row(report, step) if step else None


def cpu_of(report: Report) -> str | None:
    """What the processor is called."""
    found = (dig(report, "machine", key) for key in ("cpu_model", "cpu", "name"))
    return next((str(name) for name in found if name), None)


def class_names(report: Report) -> list[str]:
    """Names of the foreground classes, as the data or else the first scored row has them."""
    named = dig(report, "data", "classes")
    if isinstance(named, Sequence) and not isinstance(named, str) and len(named) > 1:
        return [str(name) for name in named[1:]]
    scored = (dig(row, "accuracy", split, "dice") for row in rows_of(report) for split in ("test", "val"))
    return next((list(found) for found in scored if isinstance(found, Mapping)), [])


def shown_split(report: Report) -> str:
    """The split whose accuracy is printed: test, or val where test was never scored."""
    return "test" if any(dig(row, "accuracy", "test") for row in rows_of(report)) else "val"


def fixed(value: float | None, digits: int = 3) -> str | None:
    """A number with so many decimals; None stays None, which the kit prints as a dash."""
    return None if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def short(value: float | None) -> str | None:
    """A number with about three significant digits and no exponent: 0.412, 3.08, 34.1, 112."""
    if value is None:
        return None
    digits = 0 if value == 0 else max(0, min(3, 2 - math.floor(math.log10(abs(value)))))
    return fixed(value, digits)


def points(share: float | None) -> str | None:
    """A Dice difference in points with its sign: +0.8, −1.2, 0.0."""
    if share is None:
        return None
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def count(value: float | None) -> str | None:
    """A count with its magnitude: 7.76 M, 310 k, 12."""
    if value is None:
        return None
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{short(value / limit)} {unit}"
    return f"{value:.0f}"


def megabytes(value: float | None) -> str | None:
    """Bytes as MB (10^6 bytes)."""
    return None if value is None else short(value / 1e6)


def moment(text: Any) -> str | None:
    """An ISO 8601 time to the minute; what is no such time stays as it is."""
    if not text:
        return None
    found = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[:.\d]*(Z|\+00:00)?$", str(text))
    return f"{found[1]} {found[2]}{' UTC' if found[3] else ''}" if found else str(text)


def with_note(value: str | None, note: str | None) -> Markup:
    """A cell's value with something in small type below it; a dash alone where there is no value."""
    if not value or not note:
        return escape(value)
    return Markup(f'{escape(value)}<span class="unit missing" style="font-size:.86em">{escape(note)}</span>')


def with_interval(value: str | None, low: str | None, high: str | None) -> Markup:
    """A number with its 95 % interval below it."""
    return with_note(value, f"{low} to {high}" if low and high else None)


def stacked(parts: Iterable[str | Markup | None]) -> Markup:
    """Parts of one cell below each other; a dash where there are none."""
    found = [escape(part) for part in parts if part]
    return Markup("<br>".join(found)) if found else escape(None)
