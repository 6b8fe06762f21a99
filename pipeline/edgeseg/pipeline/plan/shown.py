"""Whether a method is shown to be worse than doing without it: the one rule of every choice between trainings.

Two trainings of the same network differ by points of Dice, and a small val cannot tell them apart. "The better one goes
on" is then a coin flip, and a demand that a method prove itself refuses methods that work. So a method is refused only
where the whole 95 % interval of its difference, over images and over seeds, lies below its baseline; a tie goes to the
method, for that is what the user asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# From `score.drops.seeds_drop`, of the baseline less the method; None where there is no Dice to compare.
Difference = Mapping[str, Any] | None


def shown_worse(drop: Difference) -> bool:
    """Whether the method is below its baseline by more than chance."""
    return drop is not None and drop["lo95"] is not None and drop["lo95"] > 0


def shown_better(drop: Difference) -> bool:
    """Whether the method is above its baseline by more than chance."""
    return drop is not None and drop["hi95"] is not None and drop["hi95"] < 0


def said_of(method: str, baseline: str, drop: Difference, seeds_key: str | None) -> str:
    """What the comparison has come to, with its figures, and what follows.

    Args:
        method: Its row.
        baseline: Row without the method.
        drop: From the baseline to the method.
        seeds_key: Recipe key that asks for more trainings; None where there is none.
    """
    if drop is None:
        return f"{method} cannot be held against {baseline} on val, so it is used"
    points = -100 * drop["mean"]
    size = f"{abs(points):.1f} points {'below' if points < 0 else 'above'}"
    where = f"{method} is {size} {baseline} on val ({_evidence(drop)})"
    one = f"; one training of each decides little ({seeds_key})" if seeds_key and drop["n_seeds"] == 1 else ""
    if shown_worse(drop):
        return f"{where}: shown to be worse, so it is not used{one}"
    if shown_better(drop):
        return f"{where}: shown to be better, so it is used{one}"
    return f"{where}: not shown to be worse, so it is used{one}"


def _evidence(drop: Mapping[str, Any]) -> str:
    """`-1.2 to +0.5 over 3 seeds and 29 images`: the interval of the method's gain, and what it was drawn from."""
    n_seeds, n_images, n_groups = drop["n_seeds"], drop["n_images"], drop["n_groups"]
    groups = f" in {n_groups} group{'s' if n_groups > 1 else ''}"
    images = f"{n_images} images{groups if n_groups < n_images else ''}"
    over = f"over {n_seeds} seed{'s' if n_seeds > 1 else ''} and {images}"
    if drop["lo95"] is None:
        return f"{over}, so without an interval"
    return f"{-100 * drop['hi95']:+.1f} to {-100 * drop['lo95']:+.1f} {over}"
