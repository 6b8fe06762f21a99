"""Telling HTML that the kit made from text that came from outside."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

# A value as it comes from a result: text, number, nothing, or HTML the kit made.
Value = str | int | float | bool | None

MISSING = "–"


class Markup(str):
    """HTML that is safe to put into a page as it is. Only the kit makes it."""

    __slots__ = ()


def escape(value: Value) -> Markup:
    """The value as HTML: `Markup` as it is, other text escaped, `None` and what is no number as a dash."""
    if isinstance(value, Markup):
        return value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Markup(f'<span class="missing">{MISSING}</span>')
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, float):
        return Markup(f"{value:.4g}")
    # Control characters are not allowed in a document at all, escaped or not.
    plain = "".join(c for c in str(value) if c in "\n\t" or ord(c) >= 32)
    return Markup(html.escape(plain, quote=True))


def join(parts: Iterable[Value], between: str = "\n") -> Markup:
    """Set parts one after the other, each escaped unless it is `Markup`."""
    return Markup(between.join(escape(part) for part in parts))
