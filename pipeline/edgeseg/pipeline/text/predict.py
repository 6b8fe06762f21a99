"""`edgeseg predict` for people: a line as soon as an image is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeseg.runtime.text.names import shown

_MOST_LISTED = 10


def head_text(head: Mapping[str, Any]) -> str:
    """What runs."""
    return f"variant {head['variant']}, {head['engine']}\n   ms  regions  image -> mask"


def row_text(row: Mapping[str, Any]) -> str:
    """One image or frame. The numbers stand first: how long names will get is not known."""
    name = shown(row["image"]) + (f" frame {row['frame']}" if "frame" in row else "")
    if row["status"] != "ok":
        return f"    -        -  {name}: FAILED: {shown(row['reason'].removeprefix(row['image'] + ': '))}"
    decision = f"  {row['decision']}" if "decision" in row else ""
    return f"{row['timings_ms']['total']:5.1f}  {len(row['regions']):7}  {name} -> {shown(row['mask'])}{decision}"


def tail_text(report: Mapping[str, Any]) -> str:
    """How many, what the films were, and what was left out."""
    counts = report["counts"]
    lines = [f"{counts['ok']} segmented, {counts['failed']} failed"]
    for film in report["films"]:
        stated, fps = film["frames_stated"], film["fps"]
        of = f" of {stated} that its header states" if stated not in (None, film["frames"]) else ""
        rate = "" if fps is None else f", {fps:g} frames a second"
        lines.append(f"{shown(film['film'])}: {film['frames']} frames{of}, {film['segmented']} segmented{rate}")
    return "\n".join(lines + _not_taken(report["not_taken"]))


def _not_taken(files: Sequence[Mapping[str, str]]) -> list[str]:
    if not files:
        return []
    more = [f"  and {len(files) - _MOST_LISTED} more; --json lists all"] if len(files) > _MOST_LISTED else []
    listed = [f"  {shown(one['file'])}: {one['reason']}" for one in files[:_MOST_LISTED]]
    return [f"{len(files)} file(s) of the folders not taken:", *listed, *more]
