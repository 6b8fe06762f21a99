"""What a report says about the run itself: what was refused, the data, the time, and how to get the same again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from edgeseg.benchmarks.duration import duration
from edgeseg.benchmarks.report import (
    Column,
    Markup,
    badge,
    code,
    details,
    facts,
    heading,
    items,
    join,
    paragraph,
    table,
)
from edgeseg.benchmarks.report.markup import Value
from edgeseg.benchmarks.results.result import EVIDENCE_WORDS, Evidence
from edgeseg.pipeline.report.fields import (
    Report,
    Row,
    count,
    dig,
    fixed,
    moment,
    number,
)
from edgeseg.runtime.text.shell import command

_LONG = 0.02  # share of the run from which a step has a row of its own


def refused_table(report: Report) -> Markup:
    """Every row that is not ok, and every row refused for a target, with the reason."""
    rows: list[list[Value]] = []
    for row in report["steps"]:
        status = row["status"]
        if status != "ok":
            rows.append([row["name"], badge(status), "everything", str(row.get("reason") or "no reason given")])
        for target, reason in row["refused_for"].items():
            rows.append([row["name"], badge("refused"), str(target), str(reason or "no reason given")])
    if not rows:
        return paragraph("Nothing was refused, and nothing failed.")
    return table(["step", "status", "for", "reason"], rows)


def data_table(report: Report) -> Markup:
    """Images and groups of each split, and how many of their pixels are ignored."""
    own_folder = dig(report, "quantization", "source") == "folder"
    uses = {
        "train": "training" if own_folder else "training, calibration",
        "val": "every choice, threshold and gate",
        "test": "scored once, after what ships was fixed",
    }
    rows: list[list[Value]] = []
    for split, one in report["data"]["counts"].items():
        images, groups = number(one, "images"), number(one, "groups")
        rows.append([str(split), count(images), count(groups), uses.get(str(split))])
    shown = table(["split", Column("images", numeric=True), Column("groups", numeric=True), "used for"], rows)
    ignored = number(report, "data", "ignored_share")
    if ignored is None:
        return shown
    words = (
        f"{100 * ignored:.2g} % of the pixels are ignored (value {count(number(report, 'data', 'ignore'))} in the "
        "masks): nothing was learnt from them and nothing is scored there."
    )
    return join([shown, paragraph(words)])


def choices(report: Report) -> Markup:
    """Which network went on after each choice, and why."""
    went_on = [f"{one['student']} went on: {one['reason']}." for one in report["chosen"].values()]
    return items([*went_on, *(_trainings(row) for row in report["steps"] if row.get("seeds"))])


def _trainings(row: Row) -> str:
    """Dice of each training of a network that was trained with several seeds."""
    by_split = []
    for split in ("val", "test"):
        dice = [value for one in row["seeds"] if (value := number(one, split)) is not None]
        if dice:
            mean, each = fixed(sum(dice) / len(dice)), ", ".join(str(fixed(value)) for value in dice)
            by_split.append(f"{split} Dice {mean} in the mean ({each})")
    return f"{row['name']}, {len(row['seeds'])} trainings: {'; '.join(by_split)}. The one that is best on val goes on."


def evidence_warnings(evidence: Evidence) -> list[dict[str, Any]]:
    """What a reader has to know of times that are not a device's, as `learned.findings.warnings_of` says it."""
    if evidence == "device":
        return []
    message = f"all times here are {evidence}: {EVIDENCE_WORDS[evidence]}"
    remedy = "no gate or budget in time is held by them: measure on the device"
    return [{"kind": "not_a_device", "step": "bench", "message": message, "remedy": remedy}]


def measuring_notes(report: Report) -> Markup:
    """On what latency was measured, and what weakens it."""
    bench = report["bench"]
    words = f"frame {bench['frame']}, {bench['threads']} threads, measured {moment(bench['created'])}"
    words += f", evidence {bench.get('evidence', 'device')}"  # which older reports do not say
    warnings, parts = bench["warnings"], [paragraph(f"Latency: {words}.")]
    if warnings:
        parts.append(
            details(f"{len(warnings)} warnings about the measurement", items(_warning(one) for one in warnings))
        )
    return join(parts)


def time_table(report: Report) -> Markup:
    """Wall time of the steps that took longest, and of all others together."""
    spent, total = report["wall_s"], report["total_wall_s"]
    long = {step: seconds for step, seconds in spent.items() if seconds >= _LONG * total}
    rows: list[list[Value]] = [[step, duration(seconds), _share(seconds, total)] for step, seconds in long.items()]
    if len(long) < len(spent):
        rest = sum(spent.values()) - sum(long.values())
        rows.append([f"{len(spent) - len(long)} other steps", duration(rest), _share(rest, total)])
    rows.append(["all steps", duration(total), _share(total, total)])
    caption = "Of each step when it ran; a step that was whole already is reused."
    return table(["step", Column("wall time", numeric=True), Column("share", numeric=True)], rows, caption)


def _warning(caution: Any) -> str:
    subject, remedy = dig(caution, "subject"), dig(caution, "remedy")
    return "".join([f"{subject}: " if subject else "", str(caution["message"]), f" ({remedy})" if remedy else ""])


def _share(part: float, whole: float) -> str | None:
    if not whole:
        return None
    return "< 1 %" if part < 0.005 * whole else f"{100 * part / whole:.0f} %"


def reproduction(report: Report) -> Markup:
    """The commands, and the identities of everything that went in and came out."""
    bundle = dig(report, "bundle", "file")
    commit = report.get("git_commit")
    commands = [
        *([f"git checkout {commit}"] if commit else []),
        report["command"] or "# made by a call from Python",
        *([command("edgeseg", "verify", PurePath(str(bundle)).name, "--allow-unsigned")] if bundle else []),
    ]
    around = {**report["machine"], **report["software"]}
    known = {str(key).replace("_", " "): text for key, value in around.items() if (text := _plain(value))}
    parts = [code("\n".join(commands)), facts(_identities(report)), heading("Machine and versions", 3), facts(known)]
    written = code("\n".join(f"{key} = {value}" for key, value in _flat(report["recipe"]["settings"], "")))
    return join([*parts, details("All settings of the recipe", written)])


def _identities(report: Report) -> dict[str, Value]:
    bundle = report.get("bundle")
    return {
        "edgeseg": _plain(report.get("edgeseg_version")),
        "git commit": _plain(report.get("git_commit")),
        "made": moment(report.get("created")),
        "recipe": _plain(dig(report, "recipe", "name")),
        "recipe SHA-256": _plain(dig(report, "recipe", "sha256")),
        "data": _plain(dig(report, "data", "name")),
        "data SHA-256": _plain(dig(report, "data", "content_sha256")),
        "split SHA-256": _plain(dig(report, "data", "split_sha256")),
        "data licence": _plain(dig(report, "data", "licence")),
        **{f"weights that the {one['of']} started from": _start(one) for one in report.get("pretrained", ())},
        "bundle": _plain(dig(bundle, "file")) or "none: nothing ships",
        "bundle bytes": _bytes(number(bundle, "bytes")),
        "bundle SHA-256": _plain(dig(bundle, "sha256")),
    }


def _start(origin: Mapping[str, Any]) -> str:
    """Name, licence and descent of the weights that a training started from."""
    learnt = f"learnt from {origin['trained_on']}, {origin['source']}"
    return f"{origin['name']}, licence {origin['licence']}, {learnt}, SHA-256 {origin['sha256']}"


def _flat(settings: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    """Settings by their dotted keys, as `--set` takes them."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + str(key), json.dumps(value, ensure_ascii=False, default=str)


def _bytes(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _plain(value: object) -> str | None:
    """A value of the machine or the report in one line; what is missing stays missing."""
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)
