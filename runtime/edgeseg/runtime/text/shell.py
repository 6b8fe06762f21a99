"""Commands that a message tells the user to run: they are pasted into a shell, so every word is quoted for one."""

from __future__ import annotations

import re
from pathlib import Path

from edgeseg.runtime.text.names import name_bytes, rejoined

_NO_TEXT = "[\ud800-\udfff]"  # bytes of a name that are none


def command(*words: str | Path) -> str:
    """Join words into a command line that a POSIX shell splits into the same words.

    A `Path` that begins with a dash gets `./` in front, or it would be read as an option.
    """
    import shlex  # only messages need it

    texts = [rejoined(_plain(word) if isinstance(word, Path) else word) for word in words]
    return " ".join(_escaped(text) if re.search(_NO_TEXT, text) else shlex.quote(text) for text in texts)


def _escaped(text: str) -> str:
    """A name that cannot be printed: `$'...'` with its bytes in octal, as bash, zsh and POSIX 2024 read it."""
    signs = (chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\{byte:03o}" for byte in name_bytes(text))
    return f"$'{''.join(signs)}'"


def _plain(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
