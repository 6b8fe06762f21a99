"""What names of classes may be, in data sets and in model files."""

from __future__ import annotations

from collections.abc import Sequence

MAX_CLASSES = 255  # class ids are uint8, of which 255 marks what does not count


def class_fault(classes: Sequence[object]) -> tuple[str, str] | None:
    """What is wrong with names by class id, background first, and what to do; None where nothing is."""
    named = [name for name in classes if isinstance(name, str) and name.strip()]
    if len(named) != len(classes) or len(set(named)) != len(named):
        return f"the classes are {list(classes)!r}", "give each a different, non-empty name"
    if not 2 <= len(named) <= MAX_CLASSES:
        remedy = f"list 2 to {MAX_CLASSES}: the background first, then at least one kind of foreground"
        return f"classes has {len(named)} class(es): {', '.join(named[:3])}", remedy
    return None
