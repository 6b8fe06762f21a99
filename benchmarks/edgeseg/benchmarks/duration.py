"""A time as people say it, the same in the progress bar, the terminal and the report."""

from __future__ import annotations


def duration(seconds: float | None) -> str | None:
    """A time as people say it: 12 s, 3 min 20 s, 1 h 05 min."""
    if seconds is None:
        return None
    seconds = max(0.0, seconds)
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
