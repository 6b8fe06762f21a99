"""Commands that a message tells the user to run: they are pasted into a shell, so every word is quoted for one."""

from __future__ import annotations

from pathlib import Path


def command(*words: str | Path) -> str:
    """Joins words into a command line that a POSIX shell splits into the same words.

    A `Path` that begins with a dash gets ``./`` in front, or it would be read as an option.
    """
    import shlex  # only messages need it

    return " ".join(shlex.quote(_plain(word) if isinstance(word, Path) else word) for word in words)


def _plain(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
