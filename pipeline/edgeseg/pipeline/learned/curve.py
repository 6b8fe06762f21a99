"""What a training's curve says about its end: Dice on val, look after look."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# A rise below a point of Dice is noise on any val split that we have seen.
_POINT = 0.01
_STEEP = 0.1  # share of the whole rise
_FEWEST = 3


@dataclass(frozen=True)
class Curve:
    """How a training ended.

    Attributes:
        end: `short`: fewer than three looks at val, so that nothing can be said; `rising`: stopped too early; `flat`:
            it never moved by a point of Dice; `settled`.
        words: What was seen, for a reader.
        epochs: Of the last look.
    """

    end: Literal["short", "rising", "flat", "settled"]
    words: str
    epochs: int


def read_curve(history: Sequence[Mapping[str, Any]]) -> Curve:
    """How a training ended, by its looks at val.

    The rule, for a curve of n looks and q = n / 4 (at least 1), where the whole rise is from the first look to the
    best: it is rising if the best look is one of the last q, and their median lies more than a tenth of the whole rise,
    and more than a point of Dice, above the median of the q looks before them; or if the last look is the best by more
    than a twentieth of the whole rise, and more than a point. Medians, for a single look may lie several points off. A
    curve that approaches its end exponentially counts as rising where its time constant is above about 0.4 of the
    training.

    Args:
        history: Rows `epoch val_dice`; a row without Dice was no look at val.
    """
    looks = [row for row in history if row.get("val_dice") is not None]
    dice = [float(row["val_dice"]) for row in looks]
    epochs = round(float(looks[-1].get("epoch") or len(looks))) if looks else 0
    if len(dice) < _FEWEST:
        seen = f" ({' to '.join(f'{value:.3f}' for value in dice)})" if dice else ""
        times = "1 look" if len(dice) == 1 else f"{len(dice)} looks"
        return Curve("short", f"{times} at val in {epochs} epochs{seen}", epochs)
    quarter = max(1, len(dice) // 4)
    last, before = (statistics.median(part) for part in (dice[-quarter:], dice[-2 * quarter : -quarter]))
    words = f"val Dice went from {dice[0]:.3f} to {dice[-1]:.3f} in {epochs} epochs"
    whole = max(dice) - dice[0]
    above = dice[-1] - max(dice[:-1])
    steep = last - before > max(_POINT, _STEEP * whole) and max(dice[-quarter:]) == max(dice)
    if steep or above > max(_POINT, _STEEP / 2 * whole):
        points = 100 * max(last - before, above)
        return Curve("rising", f"{words} and was still rising, by {points:.1f} points at its end", epochs)
    if max(dice) - min(dice) < _POINT:
        return Curve("flat", f"val Dice stayed at {max(dice):.3f} through {len(dice)} looks in {epochs} epochs", epochs)
    return Curve("settled", words, epochs)
