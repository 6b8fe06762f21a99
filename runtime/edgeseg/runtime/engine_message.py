"""What an engine or converter said, on one line. The cause stands at its end as often as at its beginning."""

from __future__ import annotations

_LIMIT = 700


def condensed(err: BaseException | str, limit: int = _LIMIT) -> str:
    """Put a foreign message into one of ours: one line, both ends kept, no full stop behind it.

    Args:
        err: An exception of any library, or its text.
        limit: Longest answer in characters; what is over is taken from the middle, a third of the way in.

    Returns:
        The text; the exception's type where it says nothing.
    """
    words = " ".join(str(err).split()).rstrip(". ")
    if not words:
        return type(err).__name__ if isinstance(err, BaseException) else "no message"
    if len(words) <= limit:
        return words
    head = limit // 3
    return f"{words[:head].rstrip()} … {words[len(words) - (limit - head - 3) :].lstrip()}"
