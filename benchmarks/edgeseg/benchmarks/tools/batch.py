"""How many images one inference of another tool was of, by the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Iterable


def batch_of(firsts: Iterable[str]) -> dict[str, str | bool | int]:
    """The setting `batch` by the first size of every input; none where they differ or are not told."""
    found = {int(one) for one in firsts}
    return {"batch": found.pop()} if len(found) == 1 else {}
