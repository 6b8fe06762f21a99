"""What `edgeseg crossval` found, for the documentation, from recorded answers: no figure in it is typed by hand.

    python benchmarks/tables/crossval_table.py docs/results/crossval/ultrasound.json

prints Markdown: the answer over all images, and a line a fold. `--into FILE` replaces the text between
`<!-- crossvals -->` and `<!-- /crossvals -->`; with `--check` nothing is written, and the exit code is 1 where it would
change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from results_table import Values, drop_text, number, print_tables, ratio_text, speedup_of

from edgeseg.pipeline.report.fields import DASH, dig

MARKERS = ("<!-- crossvals -->", "<!-- /crossvals -->")
ROWS = ("teacher", "student", "shipped")
HEAD = (
    "| fold | images | ships | Dice teacher | student | shipped | drop [points] | p50 [ms] | {speed} | file [kB] |",
    "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
)
REGION_HEAD = ("| regions of all images | found | small ones | false ones a good frame |", "|---|--:|--:|--:|")
REGIONS = ("region_recall", "small_region_recall", "false_regions_per_negative_frame")


def main() -> int:
    """Print the tables, or put them into a document."""
    return print_tables(str(__doc__), "a cross-validation's record", crossval_text, MARKERS)


def crossval_text(record: Values, path: Path) -> str:
    """One cross-validation as Markdown.

    Args:
        record: What `edgeseg crossval` has written.
        path: Where it is, named as the source.
    """
    lines = [
        f"**{dig(record, 'recipe', 'name') or path.stem}**. {record.get('sentence')}",
        "",
        _origin(record, path),
        "",
    ]
    compared = sorted({whom for one in record["folds"] if (whom := _compared_with(one))})
    speed = f"speed-up vs {compared[0]}" if len(compared) == 1 else "speed-up"
    lines += [HEAD[0].format(speed=speed), HEAD[1], *(_fold(one, len(compared) > 1) for one in record["folds"])]
    pooled = record.get("pooled")
    lines += [_row("all", pooled, "", pooled), *_regions(pooled)] if pooled else []
    lines += [f"\nFold {one['fold']} is {one['status']}: {one['reason']}." for one in record["folds"] if one["reason"]]
    return "\n".join(lines) + "\n"


def _compared_with(one: Values) -> str | None:
    """What a fold's speed is compared with: folds of before there was a reference have the teacher in its place."""
    return next((whom for whom in ("reference", "teacher") if f"speedup_vs_{whom}" in one), None)


def _fold(one: Values, mixed: bool) -> str:
    scored, ships = one if "accuracy" in one else None, str(one.get("network") or one["status"])
    return _row(str(one["fold"]), one, ships, scored, f" vs {_compared_with(one)}" if mixed and scored else "")


def _row(name: str, costs: Values | None, ships: str, scored: Values | None, whom: str = "") -> str:
    images = dig(scored, "accuracy", "shipped", "n_images") or dig(costs, "images", "test")
    size = dig(costs, "bytes")
    cells = [
        name,
        str(images),
        ships,
        *(number(dig(scored, "accuracy", row, "dice_mean"), 3) for row in ROWS),
        drop_text(dig(scored, "drop")),
        number(dig(costs, "latency_ms", "total", "p50"), 2),
        ratio_text(speedup_of(costs or {})) + whom,
        number(size / 1e3 if size else None, 0),
    ]
    return f"| {' | '.join(cells)} |"


def _regions(pooled: Values) -> list[str]:
    """Regions found and invented, for data with good frames: there a false alarm costs a part."""
    found: dict[str, list[Any]] = {row: [dig(pooled, "accuracy", row, key) for key in REGIONS] for row in ROWS}
    if not isinstance(found["shipped"][-1], float | int):
        return []
    known = {row: [value if isinstance(value, float | int) else None for value in one] for row, one in found.items()}
    lines = ["", *REGION_HEAD, *(f"| {row} | {' | '.join(number(x, 3) for x in one)} |" for row, one in known.items())]
    drop, n = drop_text(pooled.get("recall_drop")), dig(pooled, "accuracy", "shipped", "n_regions")
    return [*lines, "", f"Regions lost from teacher to shipped, of {n}: {drop} points."]


def _origin(record: Values, path: Path) -> str:
    machines = sorted({str(one["target_identity"]) for one in record["folds"] if one.get("target_identity")})
    commits = sorted({str(one["git_commit"])[:10] for one in record["folds"] if one.get("git_commit")})
    parts = [
        f"`{record['command']}`",
        str(record.get("created") or "")[:10],
        f"edgeseg {record.get('edgeseg_version')}",
        f"commit{'s' if len(commits) > 1 else ''} {', '.join(f'`{one}`' for one in commits)}" if commits else "",
        " and ".join(one.replace(" | ", ", ") for one in machines) or DASH,
        f"from `{path.as_posix()}`" if not path.is_absolute() else f"from `{path.name}`",
    ]
    return ", ".join(part for part in parts if part) + "."


if __name__ == "__main__":
    sys.exit(main())
