"""How much a group of channels that must shrink together matters; the least important go first.

To add one, add a line to `IMPORTANCE`: a function that returns a torch-pruning importance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Importance = Callable[[], Any]


def group_l2() -> Any:
    """L2 norm of all weights of a group, averaged over its layers (Fang et al. 2023, arXiv:2301.12900, eq. 4)."""
    import torch_pruning as tp

    return tp.importance.GroupMagnitudeImportance(p=2, group_reduction="mean")


def random() -> Any:
    """A draw from torch's generator: the baseline that any other importance has to beat."""
    import torch_pruning as tp

    return tp.importance.RandomImportance()


IMPORTANCE: dict[str, Importance] = {"group_l2": group_l2, "random": random}
