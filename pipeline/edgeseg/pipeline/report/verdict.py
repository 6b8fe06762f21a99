"""The sentence on top of a report: what ships, and what it gained and lost, no surer than the intervals allow."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.benchmarks.duration import duration
from edgeseg.benchmarks.report.parts import Tone
from edgeseg.pipeline.learned.findings import nothing_learned
from edgeseg.pipeline.learned.told import told
from edgeseg.pipeline.report.fields import (
    Report,
    Row,
    dig,
    fixed,
    megabytes,
    number,
    points,
    reference_of,
    reference_words,
    shipped_of,
    short,
    teacher_of,
)

# Least sure first: the whole sentence is as sure as its least sure part.
_ORDER: tuple[Tone, ...] = ("bad", "warn", "good")


@dataclass(frozen=True)
class Verdict:
    """The sentence, how good the news is, and the evidence in smaller type below it."""

    sentence: str
    tone: Tone
    detail: str


@dataclass(frozen=True)
class _Part:
    """One clause of the sentence."""

    text: str
    tone: Tone


def read_verdict(report: Report) -> Verdict:
    """The verdict of a report, also where nothing ships or values are missing."""
    row = shipped_of(report)
    shipped = report["shipped"]
    if row is None:
        return Verdict(f"Nothing ships: {_ended(shipped['reason'])}", "bad", _left_out(report))
    parts = [_speed(row), _size(report, row), _dice(report, row), *_regions(report, row)]
    sentence = f"{shipped['variant']} ships for {shipped['target']}: {', '.join(part.text for part in parts)}."
    tone = min((*(part.tone for part in parts), _tone_of(told(report["warnings"]))), key=_ORDER.index)
    return Verdict(sentence, tone, _detail(report, row))


def _tone_of(warnings: list[Row]) -> Tone:
    """How sure anything can be beside these warnings: green only without any."""
    return "bad" if nothing_learned(warnings) else "warn" if warnings else "good"


def budget_of(report: Report) -> float | None:
    """Largest accepted drop against the teacher, as a share."""
    return number(report, "recipe", "settings", "gates", "max_total_dice_drop")


def _speed(row: Row) -> _Part:
    ratio, low, high = (number(row, "speedup_vs_reference", key) for key in ("ratio", "lo95", "hi95"))
    if not ratio:
        return _Part(f"its speed against the reference is not measured ({_why(row)})", "warn")
    if low is None or high is None or not low or not high:
        return _Part(f"{short(ratio)} times the reference's speed (a single process, so without an interval)", "warn")
    if low > 1:
        return _Part(
            f"{short(ratio)} times faster than the reference (95 % interval {short(low)} to {short(high)})", "good"
        )
    if high < 1:
        ends = f"{short(1 / high)} to {short(1 / low)}"
        return _Part(f"{short(1 / ratio)} times slower than the reference (95 % interval {ends})", "bad")
    ends = f"{fixed(low, 2)} to {fixed(high, 2)}"
    return _Part(f"not shown to be faster than the reference (ratio {fixed(ratio, 2)}, 95 % interval {ends})", "warn")


def _size(report: Report, row: Row) -> _Part:
    own, whole = number(row, "bytes"), number(reference_of(report, row), "bytes")
    if not own or not whole:
        return _Part("its size against the reference's is not known", "warn")
    if own <= whole:
        return _Part(f"{short(whole / own)} times smaller", "good")
    return _Part(f"{short(own / whole)} times larger", "bad")


def _dice(report: Report, row: Row) -> _Part:
    drop, split = _last_drop(row)
    mean = number(drop, "mean")
    if mean is None:
        return _Part(f"its Dice against the teacher's is not measured ({_why(row)})", "warn")
    sign = -1 if mean < 0 else 1
    size = (points(sign * mean) or "").lstrip("+")
    word = "higher" if sign < 0 else "lower"
    text = f"{split} Dice the same to 0.1 point" if size == "0.0" else f"{split} Dice {size} points {word}"
    low, high = number(drop, "lo95"), number(drop, "hi95")
    if low is None or high is None:
        return _Part(f"{text} (from a single group of images, so without an interval)", "warn")
    ends = sorted((sign * low, sign * high))
    of_what = f" {word}" if size == "0.0" else ""
    said, tone = _against_budget(drop, budget_of(report))
    return _Part(f"{text} (95 % interval {points(ends[0])} to {points(ends[1])}{of_what}, {said})", tone)


def _regions(report: Report, row: Row) -> list[_Part]:
    """Regions found, where the recipe is about them."""
    settings = dig(report, "recipe", "settings")
    about = dig(settings, "decision", "objective") == "region_recall"
    drop, split = _last_drop(row, "region_recall_drop_vs_teacher")
    low, high = (number(drop, key) for key in ("lo95", "hi95"))
    own, whole = (number(one, "accuracy", split, "region_recall") for one in (row, teacher_of(report)))
    budget = number(settings, "gates", "max_region_recall_drop")
    if not about and budget is None:
        return []
    if own is None or whole is None:
        return [_Part(f"regions found are not measured ({_why(row)})", "warn")]
    text = f"{100 * own:.0f} % of {split} regions found, the teacher {100 * whole:.0f} %"
    if low is None or high is None:
        return [_Part(f"{text} (without an interval)", "warn")]
    said, tone = _against_budget(drop, budget)
    return [_Part(f"{text} (95 % interval of the loss {points(low)} to {points(high)} points, {said})", tone)]


def _against_budget(drop: Row, given: float | None) -> tuple[str, Tone]:
    budget, verdict = number(drop, "budget") if "budget" in drop else given, drop.get("verdict")
    if budget is None:
        return "the recipe sets no budget", "warn"
    named = f"the budget of {100 * budget:.1f} points"
    if verdict == "not worse":
        return f"within {named}", "good"
    if verdict == "worse":
        return f"beyond {named}", "bad"
    return f"not shown to be within {named}", "warn"


def _last_drop(row: Row, key: str = "dice_drop_vs_teacher") -> tuple[Row, str]:
    """The drop against the teacher on test, or on val where test is not scored, and which of them it is."""
    for split in ("test", "val"):
        drop = dig(row, key, split)
        if number(drop, "mean") is not None:
            return drop, split
    return {}, "test"


def _detail(report: Report, row: Row) -> str:
    parts = [_latency_words(report, row), _dice_words(report, row), _size_words(report, row), reference_words(report)]
    if _last_drop(row)[1] == "test" and dig(row, "accuracy", "test"):
        parts.append("What ships was decided on val; test was scored once, afterwards.")
    reason = report["shipped"]["reason"]
    parts.append(_ended(reason[:1].upper() + reason[1:]))
    return " ".join(part for part in parts if part)


def _latency_words(report: Report, row: Row) -> str:
    own = short(number(row, "latency_ms", "total", "p50"))
    if own is None:
        return ""
    whole = short(number(reference_of(report, row), "latency_ms", "total", "p50"))
    instead = f" instead of the reference's {whole} ms in the same engine" if whole else ""
    bench = report["bench"]
    level = bench.get("evidence", "device")
    how = f"median of one frame, {bench.get('pipeline', 'pre + infer + post')}, {bench['threads']} threads"
    how += "" if level == "device" else f", {level}"
    cpu = report["machine"]["cpu_model"]
    on = f", {cpu}" if cpu else ""
    return f"Time: {own} ms{instead} ({how}{on})."


def _dice_words(report: Report, row: Row) -> str:
    drop, split = _last_drop(row)
    own, whole = (fixed(number(one, "accuracy", split, "dice_mean")) for one in (row, teacher_of(report)))
    if own is None or whole is None:
        return ""
    images, groups = number(drop, "n_images"), number(drop, "n_groups")
    on = f" on {images:.0f} {split} images in {groups:.0f} groups" if images and groups else f" on {split}"
    return f"Mean foreground Dice: {own}, the teacher's {whole}{on}."


def _size_words(report: Report, row: Row) -> str:
    own, whole = (megabytes(number(one, "bytes")) for one in (row, reference_of(report, row)))
    return f"File: {own} MB, the reference's {whole} MB." if own and whole else ""


def _left_out(report: Report) -> str:
    """What a report without a shipped row still says."""
    rows = report["steps"]
    refused = sum(row["status"] == "refused" or bool(row["refused_for"]) for row in rows)
    words = f"{refused} of {len(rows)} rows were refused; the reasons are below." if refused else f"{len(rows)} rows."
    return f"{words} The run took {duration(report['total_wall_s'])}."


def _why(row: Row) -> str:
    return str(row.get("reason") or "no reason given")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
