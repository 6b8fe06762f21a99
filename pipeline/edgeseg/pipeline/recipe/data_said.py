"""Which images a command works on, said at its start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.text.terminal import say

if TYPE_CHECKING:
    from edgeseg.runtime.data.dataset import DataSet


def say_data(data: DataSet) -> None:
    """Say on stderr which images a command works on, and what it leaves out."""
    counts = {name: sum(sample.split == name for sample in data.samples) for name in SPLITS}
    lines = [f"data {data.root}: {len(data.samples)} images with masks ({split_words(counts)})", *data.remarks]
    for line in lines:
        say(line)


def split_words(counts: Mapping[str, int]) -> str:
    """Such as `6 train, 3 val, 3 test`."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())
