"""Reading a report whose values may be null, and printing its numbers the same way everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from edgeseg.benchmarks.report import Markup, escape

# The content of report.json and parts of it, as docs/architecture.md describes them.
Report = Mapping[str, Any]
Row = Mapping[str, Any]

DASH = "–"
MINUS = "\N{MINUS SIGN}"


def dig(values: Any, *keys: str) -> Any:
    """The value under nested keys; None where one of them is null."""
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


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, or nothing where it is null."""
    return value or {}


def find_row(report: Report, name: Any) -> Row | None:
    """The row of that name, if there is one."""
    return next((row for row in report["steps"] if row["name"] == name), None)


def teacher_of(report: Report) -> Row | None:
    """The row all drops of accuracy refer to."""
    return find_row(report, "teacher")


def reference_of(report: Report, row: Row) -> Row | None:
    """What a row's cost is compared with: the reference in the same engine."""
    engines = (one for one in report["steps"] if one["kind"] == "reference" and one["target"] == row["target"])
    return next(engines, None)


def networks_of(report: Report) -> list[Row]:
    """The rows that are scored: all but the reference's."""
    return [row for row in report["steps"] if row["kind"] != "reference"]


def reference_words(report: Report) -> str:
    """What costs are compared with, and why it has no accuracy."""
    size = mapping(dig(report, "recipe", "settings", "reference"))
    params = count(number(find_row(report, "reference"), "params"))
    words = [f"{key} {size[key]}" for key in ("base", "depth") if key in size]
    words += [f"{params} parameters"] if params else []
    return (
        f"Speed-ups and sizes refer to the reference, a plain U-Net in FP32 ({', '.join(words)}), in the same engine. "
        "Its weights are random: it is never trained and has no Dice. Of all costs only post-processing depends on "
        "that, and its empty mask is the quickest."
    )


def shipped_of(report: Report) -> Row | None:
    """The row that ships, or None."""
    step = report["shipped"]["step"]
    return find_row(report, step) if step else None


def class_names(report: Report) -> list[str]:
    """Names of the foreground classes."""
    return [str(name) for name in report["data"]["classes"][1:]]


def shown_split(report: Report) -> str:
    """The split whose accuracy is printed: test, or val where test was never scored."""
    return "test" if any(dig(row, "accuracy", "test") for row in report["steps"]) else "val"


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
