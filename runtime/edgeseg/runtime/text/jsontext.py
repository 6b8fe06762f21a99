"""JSON text that is valid UTF-8 whatever names it holds, in one piece or row by row."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edgeseg.runtime.text.names import rejoined

# Lone surrogates, and the controls that JSON itself leaves as they are.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_ASCII = re.compile("[^\x00-\x7f]+")


def dumps(obj: object, *, ascii_only: bool = False, indent: int | None = 2) -> str:
    """JSON of a result that is to be printed: nothing in it may cost the result.

    NaN and infinities, for which JSON has no word, become null. Paths become text, numpy's scalars numbers.

    Args:
        obj: The result.
        ascii_only: Write every other letter as an escape, for a stream that does not speak UTF-8.
        indent: Blanks a level, or None for one line.
    """
    try:
        text = json.dumps(obj, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_finite(obj), indent=indent, ensure_ascii=False, default=_plain)
    text = encodable(text)
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text) if ascii_only else text


def encodable(text: str) -> str:
    r"""JSON text with its lone surrogates as `\udcbc` escapes, which `json.loads` gives back as they were."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", rejoined(text))


@contextmanager
def json_rows(
    write: Callable[[str], None],
    head: Mapping[str, object],
    tail: Callable[[str | None], Mapping[str, object]],
    *,
    ascii_only: bool = False,
) -> Iterator[Callable[[object], None]]:
    """Write one JSON object whose list `images` is given out row by row; it is closed however the block ends.

    Args:
        write: Takes the pieces of text.
        head: Members before the rows.
        tail: Gives the members after them; is told why the rows ended early, or None.
        ascii_only: As for `dumps`.

    Yields:
        The function that writes one row.
    """
    count = 0

    def row(obj: object) -> None:
        nonlocal count
        write((",\n" if count else "\n") + textwrap.indent(dumps(obj, ascii_only=ascii_only), "    "))
        count += 1

    reason: str | None = None
    begin = "{\n" + "".join(f"{member},\n" for member in _members(head, ascii_only)) + '  "images": ['
    try:
        write(begin)
        yield row
    except BaseException as error:
        reason = str(error) or type(error).__name__
        raise
    finally:
        write("\n  ]" + "".join(f",\n{member}" for member in _members(tail(reason), ascii_only)) + "\n}\n")


def _members(obj: Mapping[str, object], ascii_only: bool) -> list[str]:
    return [
        textwrap.indent(f"{json.dumps(key)}: {dumps(value, ascii_only=ascii_only)}", "  ") for key, value in obj.items()
    ]


def _plain(obj: Any) -> object:  # whatever json.dumps does not know
    return _finite(obj.item()) if hasattr(obj, "item") else str(obj)


def _finite(obj: object) -> object:
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    if isinstance(obj, Mapping):
        return {key: _finite(value) for key, value in obj.items()}
    return [_finite(value) for value in obj] if isinstance(obj, list | tuple) else obj
