"""What `edgeseg fit` found, for the documentation, from recorded fits: no figure in it is typed by hand.

    python benchmarks/fit_table.py docs/results/fit/ultrasound.json

prints Markdown: what ships with its gains and losses, and the networks of the contest as a table. `--into FILE`
replaces the text between `<!-- fits -->` and `<!-- /fits -->`; with `--check` nothing is written, and the exit code is
1 where it would change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from results_table import DASH, Values, dig, drop_text, number, print_tables, ratio_text

MARKERS = ("<!-- fits -->", "<!-- /fits -->")
HEAD = (
    "| network | what it is | Dice val (seeds) | p50 [ms] | file [kB] | MMACs |",
    "|---|---|--:|--:|--:|--:|",
)


def main() -> int:
    """Print the tables, or put them into a document."""
    return print_tables(str(__doc__), "a fit's fit.json", fit_text, MARKERS)


def fit_text(record: Values, path: Path) -> str:
    """One fit as Markdown.

    Args:
        record: Content of fit.json.
        path: Where it is, named as the source.
    """
    lines = [f"**{dig(record, 'recipe', 'name') or path.stem}**. {record.get('sentence', '')}", ""]
    lines += [*_shipped(record), _origin(record, path), ""]
    if record.get("status") != "ok":
        return "\n".join([*lines, str(record.get("detail"))]) + "\n"
    lines += [*HEAD, _student(record), *(_finalist(one, record) for one in record["finalists"])]
    lines += [f"\n{name}: {why}." for name, why in record["missing_baselines"].items()]
    return "\n".join(lines) + "\n"


def _shipped(record: Values) -> list[str]:
    """Gains and losses of the file that ships."""
    shipped = dig(record, "chosen", "shipped")
    if shipped is None:
        return []
    speed, size = ratio_text(shipped.get("speedup_vs_teacher")), shipped["teacher_bytes"] / shipped["bytes"]
    rows = [
        ("times the FP32 teacher's speed, same engine, whole pipeline", speed),
        ("times smaller than the teacher's FP32 file", f"{size:.0f} ({shipped['bytes'] / 1e3:.0f} kB)"),
        ("Dice, val / test", " / ".join(_dice(shipped, split) for split in ("val", "test"))),
    ]
    for name, words in (("teacher", "the teacher"), ("fp32", "the same network in FP32")):
        reference = dig(shipped, "references", name)
        if reference is not None:
            scores = " / ".join(_dice(reference, split) for split in ("val", "test"))
            drops = "; ".join(f"{split} {drop_text(reference['dice_drop'][split])}" for split in ("val", "test"))
            rows.append((f"points of Dice lost against {words} ({scores})", drops))
            rows += _regions(shipped, reference) if name == "teacher" else []
    rows += _plan_files(dig(shipped, "plan_files", "pairs") or [])
    point = dig(shipped, "operating_point")
    if point is not None:
        rows.append(("threshold, chosen on val", f"{dig(point, 'decision', 'value'):g}: {dig(point, 'reason')}"))
    error = dig(record, "prediction", "median_error")
    rows.append(("predicted against measured latency, median error", DASH if error is None else f"{error:.1%}"))
    paces = [pair["pace"] for pair in dig(record, "prediction", "pairs") or [] if pair.get("pace")]
    if paces:
        rows.append(
            ("candidates' times by the clock over those beside the student", f"{min(paces):.2f} to {max(paces):.2f}")
        )
    rows.append(("wall time", _time(record)))
    return ["| what ships | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _regions(shipped: Values, teacher: Values) -> list[tuple[str, str]]:
    """Regions on test, for data with good frames: there a false alarm costs a part."""
    keys = ("region_recall", "small_region_recall", "false_regions_per_negative_frame")
    found = [dig(one, "accuracy", "test", key) for one in (shipped, teacher) for key in keys]
    if not all(isinstance(value, float | int) for value in found):
        return []
    own, whole = (" / ".join(number(value, 2) for value in part) for part in (found[:3], found[3:]))
    rows = [("regions found / small ones / false ones a good frame, test", f"{own} (teacher {whole})")]
    lost = teacher.get("recall_drop")
    if lost:
        drops = "; ".join(f"{split} {drop_text(lost[split])}" for split in ("val", "test"))
        rows.append(("points of regions found lost against the teacher", drops))
    return rows


def _plan_files(pairs: list[Values]) -> list[tuple[str, str]]:
    """The two files of the plan whose masks lie furthest apart."""
    compared = [pair for pair in pairs if pair["status"] == "ok"]
    if not compared:
        return []
    pixels = max(pair["pixels_differ"] for pair in compared)
    apart = max(compared, key=lambda pair: abs(pair["dice_difference"] or 0.0))
    values = f"{100 * pixels:.2f} % of the pixels, {100 * abs(apart['dice_difference'] or 0.0):.2f} points of Dice"
    if apart.get("lo95") is not None:
        # Of the absolute difference, as is the estimate: the order of a pair means nothing.
        sign = -100 if apart["dice_difference"] < 0 else 100
        ends = sorted(sign * end + 0.0 for end in (apart["lo95"], apart["hi95"]))
        values += f" ({ends[0]:+.2f} to {ends[1]:+.2f})".replace("-", "−")
    return [(f"masks of the plan's files on val, furthest apart of {len(compared)} pairs", values)]


def _origin(record: Values, path: Path) -> str:
    parts = [
        f"`{record['command']}`",
        str(record.get("created") or "")[:10],
        f"edgeseg {record.get('edgeseg_version')}",
        f"commit `{str(record.get('git_commit'))[:10]}`",
        str(record.get("target_identity") or "").replace(" | ", ", "),
        f"from `{path.as_posix()}`" if not path.is_absolute() else f"from `{path.name}`",
    ]
    return ", ".join(part for part in parts if part) + "."


def _student(record: Values) -> str:
    student = record.get("student") or {}
    return _row("student", "before the cut", number(student.get("dice_mean"), 3), student.get("figures") or {})


def _finalist(one: Values, record: Values) -> str:
    seeds = ", ".join(number(seed["dice_mean"], 3) for seed in one["seeds"])
    mean = number(one["val_dice_mean"], 3)
    ships = one["name"] == dig(record, "chosen", "name")
    name = f"**{one['name']}**, ships" if ships else str(one["name"])
    return _row(name, one["note"], f"{mean} ({seeds})" if len(one["seeds"]) > 1 else mean, one["figures"])


def _row(name: str, note: str, dice: str, figures: Values) -> str:
    size, macs = figures.get("bytes"), figures.get("macs")
    cells = [
        name,
        note,
        dice,
        number(figures.get("latency_ms"), 2),
        number(size / 1e3 if size else None, 0),
        number(macs / 1e6 if macs else None, 0),
    ]
    return f"| {' | '.join(cells)} |"


def _dice(scored: Values, split: str) -> str:
    return number(dig(scored, "accuracy", split, "dice_mean"), 3)


def _time(record: Values) -> str:
    """Where the time went [min]."""
    time: dict[str, Any] = dict(record.get("time") or {})
    total = time.pop("total_s", 0.0)
    parts = [f"{name.removesuffix('_s')} {seconds / 60:.0f}" for name, seconds in time.items() if seconds >= 30]
    return f"{total / 60:.0f} min: {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
