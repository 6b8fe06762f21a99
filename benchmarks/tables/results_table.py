"""The results table of the documentation, from the recorded runs: no figure in it is typed by hand.

    python benchmarks/tables/results_table.py docs/results/ultrasound.json

prints Markdown: a run's headline, where it comes from, and its steps as a table. With `--into FILE` the text between
`<!-- results -->` and `<!-- /results -->` in FILE is replaced; with `--check` nothing is written, and the exit code
is 1 where it would change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.pipeline.report.fields import DASH, MINUS, dig

MARKERS = ("<!-- results -->", "<!-- /results -->")
HEAD = (
    "| step | status | Dice val | Dice test | drop vs teacher [points] | file [MB] | p50 [ms] | speed-up |",
    "|---|---|--:|--:|--:|--:|--:|--:|",
)
REGION_HEAD = (
    "| regions on test | found | small ones found | false ones a good frame |",
    "|---|--:|--:|--:|",
)

# report.json and parts of it come from a file, so nothing in them is certain.
Values = Mapping[str, Any]


def main() -> int:
    """Print the tables, or put them into a document."""
    return print_tables(str(__doc__), "a run's report.json", results_text, MARKERS)


def print_tables(description: str, wanted: str, render: Callable[[Values, Path], str], markers: tuple[str, str]) -> int:
    """The command line of a script that renders records.

    Args:
        description: For `--help`.
        wanted: What each record is, for `--help`.
        render: From a record and its path to Markdown.
        markers: Lines around the block of `--into` that is replaced.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", metavar="RECORD", nargs="+", type=Path, help=wanted)
    parser.add_argument("--into", metavar="FILE", type=Path, help=f"document whose text after {markers[0]} is replaced")
    parser.add_argument("--check", action="store_true", help="only say whether FILE would change")
    options = parser.parse_args()
    if options.check and options.into is None:
        parser.error("--check needs --into FILE")
    try:
        text = "\n".join(render(json.loads(path.read_text(encoding="utf-8-sig")), path) for path in options.records)
        if options.into is None:
            sys.stdout.write(text)
            return 0
        return replace_block(options.into, text, markers, check=options.check)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def results_text(report: Values, path: Path) -> str:
    """One run as Markdown.

    Args:
        report: Content of report.json.
        path: Where it is, named as the source.
    """
    recipe = dig(report, "recipe", "name") or path.stem
    rows = [row for row in report.get("steps") or [] if isinstance(row, Mapping)]
    lines = [f"**{recipe}**. {headline(report)}", "", _origin(report, path), "", *HEAD]
    lines += [_row(row, depth, dig(report, "shipped", "step")) for depth, row in _tree(rows)]
    lines += _compared(report, rows)
    lines += _regions(rows)
    lines += [f"\n{row.get('name')} is {row.get('status')}: {row['reason']}." for row in rows if row.get("reason")]
    lines += [f"\nWarning: {one.get('step') or 'val'}: {one['message']}." for one in report.get("warnings") or []]
    return "\n".join(lines) + "\n"


def headline(report: Values) -> str:
    """What ships, in one sentence with its intervals."""
    shipped = report.get("shipped")
    rows = {row.get("name"): row for row in report.get("steps") or [] if isinstance(row, Mapping)}
    row, whom = rows.get(dig(shipped, "step")), "reference" if "reference" in rows else "teacher"
    if row is None:
        return f"Nothing ships: {dig(shipped, 'reason') or 'no reason given'}."
    own, whole = dig(row, "bytes"), dig(rows.get(whom), "bytes")
    parts = [
        f"{ratio_text(speedup_of(row))} times the {whom}'s speed",
        f"{whole / own:.1f} times smaller" if own and whole else f"size against the {whom}'s unknown",
        f"test Dice drop {_test_drop(row)} points",
        *_recall_drop(row),
    ]
    return f"`{dig(shipped, 'variant') or row['name']}` ships: {', '.join(parts)}."


def speedup_of(row: Values) -> Any:
    """The recorded ratio of a row; in records of before there was a reference it is to the teacher, in its place."""
    return row.get("speedup_vs_reference", row.get("speedup_vs_teacher"))


def _origin(report: Values, path: Path) -> str:
    machine = next((text for key in ("cpu_model", "cpu", "name") if (text := dig(report, "machine", key))), None)
    threads = dig(report, "bench", "threads") or dig(report, "recipe", "settings", "bench", "threads")
    n = dig(report, "data", "counts", "test", "images")
    parts = [
        f"`{report['command']}`" if report.get("command") else "",
        str(report.get("created") or "")[:10],
        f"edgeseg {report['edgeseg_version']}" if report.get("edgeseg_version") else "",
        f"commit `{str(report['git_commit'])[:10]}`" if report.get("git_commit") else "",
        str(machine or ""),
        f"{threads} threads" if threads else "",
        f"{n} test images" if n else "",
        f"from `{path.as_posix()}`" if not path.is_absolute() else f"from `{path.name}`",
    ]
    return ", ".join(part for part in parts if part) + "."


def _tree(rows: Sequence[Values]) -> list[tuple[int, Values]]:
    """Rows with their depth, every child below its parent."""
    names = {str(row.get("name")) for row in rows}
    ordered: list[tuple[int, Values]] = []

    def add(parent: str | None, depth: int) -> None:
        for row in rows:
            own = str(row.get("parent")) if str(row.get("parent")) in names else None
            if own == parent and all(row is not other for _, other in ordered):
                ordered.append((depth, row))
                add(str(row.get("name")), depth + 1)

    add(None, 0)
    # What hangs in a circle has no root; it is shown all the same.
    return ordered + [(0, row) for row in rows if all(row is not other for _, other in ordered)]


def _row(row: Values, depth: int, shipped: Any) -> str:
    name = f"{'&nbsp;&nbsp;' * (depth - 1)}└ {row.get('name')}" if depth else str(row.get("name"))
    size, p50 = dig(row, "bytes"), dig(row, "latency_ms", "total", "p50")
    ships = row.get("name") == shipped
    cells = [
        f"**{name}**" if ships else name,
        f"{row.get('status') or 'not measured'}{', ships' if ships else ''}",
        number(dig(row, "accuracy", "val", "dice_mean"), 3),
        number(dig(row, "accuracy", "test", "dice_mean"), 3),
        _test_drop(row),
        number(size / 1e6 if size else None, 2),
        number(p50, 1 if p50 and p50 >= 10 else 2),
        ratio_text(speedup_of(row)) if row.get("parent") or "speedup_vs_reference" in row else DASH,
    ]
    return f"| {' | '.join(cells)} |"


def _compared(report: Values, rows: Sequence[Values]) -> list[str]:
    """What speed and size are compared with; in records without a reference it is the teacher, and the head says so."""
    if not any(row.get("name") == "reference" for row in rows):
        return []
    size = dig(report, "recipe", "settings", "reference") or {}
    words = ", ".join(f"{key} {value}" for key, value in size.items())
    return [f"\nSpeed and size: against `reference`, a plain U-Net in FP32 ({words}), same engine, never trained."]


def _regions(rows: Sequence[Values]) -> list[str]:
    """Regions found and invented, for data with good frames: there a false alarm costs a part."""
    keys = ("region_recall", "small_region_recall", "false_regions_per_negative_frame")
    found = {str(row.get("name")): [dig(row, "accuracy", "test", key) for key in keys] for row in rows}
    if not any(isinstance(alarms, float | int) for *_, alarms in found.values()):
        return []
    lines = [
        f"| {name} | {' | '.join(number(value if isinstance(value, float | int) else None, 2) for value in values)} |"
        for name, values in found.items()
        if any(value is not None for value in values)  # rows that were never scored say nothing
    ]
    return ["", *REGION_HEAD, *lines]


def _test_drop(row: Values) -> str:
    return drop_text(dig(row, "dice_drop_vs_teacher", "test"))


def _recall_drop(row: Values) -> list[str]:
    """Of rows that had a budget for it."""
    drop = dig(row, "region_recall_drop_vs_teacher", "test")
    return [] if dig(drop, "budget") is None else [f"test region recall drop {drop_text(drop)} points"]


def drop_text(drop: Any) -> str:
    """`+0.7 (−1.5 to +2.9, not shown)` of a recorded drop, if there is one; positive is a loss."""
    mean, low, high = (dig(drop, key) for key in ("mean", "lo95", "hi95"))
    if mean is None:
        return DASH
    ends = "no interval" if low is None or high is None else f"{points(low)} to {points(high)}"
    return f"{points(mean)} ({ends}, {dig(drop, 'verdict') or 'no budget'})"


def ratio_text(found: Any) -> str:
    """`26.7 (25.9 to 28.4)` of a recorded ratio, if there is one."""
    ratio, low, high = (dig(found, key) for key in ("ratio", "lo95", "hi95"))
    if ratio is None:
        return DASH
    return f"{ratio:.1f}" if low is None or high is None else f"{ratio:.1f} ({low:.1f} to {high:.1f})"


def points(share: float) -> str:
    """A share as points of Dice with its sign."""
    return f"{100 * share:+.1f}".replace("-", MINUS)


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def replace_block(document: Path, text: str, markers: tuple[str, str], *, check: bool) -> int:
    """Put text between two markers of a document; 1 if it only would have."""
    old = document.read_text(encoding="utf-8")
    before, begin, rest = old.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        wanted = f"{markers[0]} to {markers[1]}"
        raise ValueError(f"{document} has no block from {wanted}; add these two lines where the table belongs")
    new = f"{before}{begin}\n{text}{end}{after}"
    if new == old:
        return 0
    if check:
        again = f"python benchmarks/tables/{Path(sys.argv[0]).name} ... --into {document}"
        sys.stderr.write(f"{document} is not up to date; run: {again}\n")
        return 1
    document.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
