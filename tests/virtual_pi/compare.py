"""What two machines make of one bundle: masks pixel by pixel, golden masks, Dice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from board import BOARDS
from machine import Machine

from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.golden import decode_png

MOST_FP32_SHARE = 1e-5
KINDS = ("golden", "own", "other")

Masks = dict[str, np.ndarray]  # by kind and name of the image


@dataclass(frozen=True)
class Handed:
    """What both machines are handed.

    Attributes:
        bundle: The file, signed.
        public_key: By which.
        data: A data set of its classes.
        images: Folder with one for each kind of images.
        out: Folder for masks.
        precisions: By variant, of those whose engine is installed on both.
    """

    bundle: Path
    public_key: Path
    data: Path
    images: Path
    out: Path
    precisions: dict[str, str]


def masks_of(machine: Machine, handed: Handed) -> dict[str, Masks]:
    """Masks by variant, as `predict` writes them."""
    found = {}
    for variant in handed.precisions:
        into = handed.out / machine.name / variant
        machine.edgeseg("predict", str(handed.bundle), str(handed.images), "--out", str(into), "--variant", variant)
        files = sorted(into.rglob("*.png"))
        found[variant] = {str(file.relative_to(into)): decode_png(file.read_bytes(), file.name) for file in files}
    return found


def table(pi: Machine, here: Machine, own: dict[str, Masks], handed: Handed) -> tuple[list[str], list[str]]:
    """Lines of Markdown for a board beside this machine, whose masks are `own`, and what is wrong."""
    trusted = pi.edgeseg("verify", str(handed.bundle), "--trust", str(handed.public_key), ok=(0, 1, 3))
    faults = [f"{pi.name}: its signature is not trusted: {reason}" for reason in untrusted(trusted)]
    if faults:  # nothing of it was run
        return [], faults
    verified = {row["name"]: row for row in trusted["variants"]}
    theirs = masks_of(pi, handed)
    kinds = [kind for kind in KINDS if (handed.images / kind).is_dir()]
    titles = " | ".join(f"{kind}: pixels that differ" for kind in kinds)
    lines = [f"| Variant | Engine | verify | {titles} |", f"|---|---|---|{'--:|' * len(kinds)}"]
    for variant, precision in handed.precisions.items():
        row, cells = verified[variant], []
        if row["status"] not in ("ok", "differs"):
            faults.append(f"{pi.name}: {variant}: {row['reason']}")
        for kind in kinds:
            differ, pixels = differing(theirs[variant], own[variant], kind)
            cells.append(f"{differ:,} of {pixels:,}")
            if precision == "fp32" and differ > MOST_FP32_SHARE * pixels:
                faults.append(f"{pi.name}: {variant}, {kind}: {differ} of {pixels} pixels are not as on this machine")
        lines.append(f"| `{variant}` | {row['engine']} | {row['status']} | {' | '.join(cells)} |")
    return [*_head(pi, here, handed), "", *lines], faults


def differing(masks: Masks, others: Masks, kind: str) -> tuple[int, int]:
    """Pixels that differ and all pixels, of one kind of images.

    Raises:
        EdgesegError: If there are none, or not the same images and sizes.
    """
    names = [name for name in others if name.startswith(f"{kind}/")]
    if not names or masks.keys() != others.keys() or any(masks[name].shape != others[name].shape for name in names):
        raise EdgesegError(f"{kind}: other masks there ({len(masks)}) than here ({len(others)}). Run predict by hand.")
    return (
        sum(int(np.count_nonzero(masks[name] != others[name])) for name in names),
        sum(others[name].size for name in names),
    )


def untrusted(report: dict[str, Any]) -> list[str]:
    """Why a signed bundle is not taken for one."""
    reasons = [f"{row['status']}: {row['reason']}" for row in report["signatures"] if row["status"] != "trusted"]
    return reasons if report["signatures"] else ["there is none"]


def _head(pi: Machine, here: Machine, handed: Handed) -> list[str]:
    """What the board chooses, and what that scores on both."""
    order = ("evaluate", str(handed.bundle), "--data", str(handed.data))
    there = pi.edgeseg(*order)
    chosen, score = there["variant"], there["accuracy"]
    own = here.edgeseg(*order, "--variant", chosen)["accuracy"]
    return [
        "",
        f"**{BOARDS[pi.name].title}**, `emulated`. It chooses `{chosen}` in {there['engine']}: Dice "
        f"{score['dice_mean']:.4f} on {score['n_images']} images, {own['dice_mean']:.4f} on this machine.",
    ]
