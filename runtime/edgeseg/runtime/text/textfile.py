"""Text as other programs write it: UTF-8, with or without the byte-order mark of spreadsheets, or marked UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path

# UTF-32's mark begins with UTF-16's, so it comes first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """Read a text file that a user may have written or edited.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is neither UTF-8 (without NUL) nor marked as UTF-16 or UTF-32.
    """
    return decoded(path.read_bytes())


def decoded(data: bytes) -> str:
    """Turn a file's bytes into text, without its byte-order mark.

    Raises:
        UnicodeDecodeError: Neither UTF-8 (without NUL) nor marked as UTF-16 or UTF-32.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    nul = data.find(b"\0")
    if nul >= 0:  # no text has it
        raise UnicodeDecodeError("utf-8", data, nul, nul + 1, "a NUL, as in UTF-16 that is not marked as such")
    return data.decode("utf-8")
