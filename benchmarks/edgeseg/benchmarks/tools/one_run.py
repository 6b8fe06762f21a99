"""Refuses what holds several runs: a name would be the first one's and a time the last one's."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgeseg.runtime.errors import MeasureError


def refuse_several(text: str, tool: str, marks: Iterable[str]) -> None:
    """Look for what a run prints once.

    Args:
        text: What a tool printed.
        tool: Its name.
        marks: Patterns; where a text was cut at its head or in the middle, one of them may be missing.

    Raises:
        MeasureError: One of them is there more than once.
    """
    n = max(len(re.findall(mark, text, re.MULTILINE)) for mark in marks)
    if n > 1:
        raise MeasureError(f"the output holds {n} runs of {tool}: cut it into a file for each, and import them singly")
