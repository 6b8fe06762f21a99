"""File names as text: whatever bytes a file system allows can be hashed, shown and compared.

Python gives the bytes of a name that it cannot decode as lone surrogates (PEP 383), which no encoder takes.
"""

from __future__ import annotations

import re
import unicodedata

# C0 and C1 controls steer a terminal, U+2028 and U+2029 break lines, the bidirectional ones reorder what is read.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSEEN_IN_LINES = re.compile(_UNSEEN.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_LONE = re.compile("[\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def name_bytes(text: str) -> bytes:
    """The bytes to hash a name by, or to write it with; never fails.

    For a name from the file system they are the file's own, in every locale.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as JSON can hold one
        return text.encode("utf-8", "surrogatepass")


def rejoined(text: str) -> str:
    """Letters where a locale without UTF-8 has read a name byte by byte; bytes that are no UTF-8 stay surrogates."""
    if text.isascii() or not has_bytes(text):
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # another surrogate stands for no byte
        return text


def shown(text: str) -> str:
    r"""A name on one line: controls and undecodable bytes as escapes, `\x1b`."""
    return _UNSEEN.sub(_escape, rejoined(text))


def shown_lines(text: str) -> str:
    """A text that may hold names: as `shown`, with its line ends and tabs kept."""
    return _UNSEEN_IN_LINES.sub(_escape, rejoined(text))


def without_bytes(text: str) -> str:
    """A text that any Unicode encoder takes: only what stands for undecodable bytes is written as escapes."""
    return _LONE.sub(_escape, rejoined(text))


def has_bytes(text: str) -> bool:
    """Whether a name has bytes that are no UTF-8. OpenCV's films crash the process when they are given such a path."""
    return _LONE.search(text) is not None


def folded(name: str) -> str:
    """Equal for names that are one file where case or Unicode form do not count (Windows, macOS, SD cards)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # the byte itself
    return _SHORT.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
