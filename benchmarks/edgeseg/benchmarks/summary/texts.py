"""Results as Markdown for people, and as Prometheus' text for a server that keeps curves."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.summary.entries import Entry, cost_cell, entries_of

_WORDS = ("machine", "variant", "evidence", "status", "frame")
_COLUMNS = (*_WORDS, "threads", "MB", "Dice", "split", "p50 ms", "p90 ms", "mJ", "n")
_HELP = {
    "latency_seconds": "Time of one call, pre + infer + post, or the engine alone as its label says.",
    "energy_joules": "Gross energy of one inference.",
    "model_bytes": "Size of the file that was measured.",
    "dice_ratio": "Mean Dice of that file.",
    "peak_memory_bytes": "Highest resident memory of a process that runs it.",
}


def to_markdown(results: Sequence[BenchResult]) -> str:
    """A table with a line per row, then the reasons of those that have no time and what weakens the others."""
    entries = entries_of(results)
    priced = any(result.price for result in results)
    head = [*_COLUMNS, *(["cost of a million"] if priced else [])]
    cells = [[*_cells(entry), *([cost_cell(entry)] if priced else [])] for entry in entries]
    lines = [_line(head), _line(["---"] * len(_WORDS) + ["--:"] * (len(head) - len(_WORDS))), *map(_line, cells)]
    reasons = [f"- {e.name}: {e.row.status}: {e.row.reason}" for e in entries if e.row.status != "ok"]
    warnings = [
        f"- {one.subject or 'machine'}: {one.message} ({one.remedy})" for result in results for one in result.warnings
    ]
    said = dict.fromkeys(text for result in results if (text := result.cost_assumption))
    costs = [f"- cost of a million inferences: {text}" for text in said]
    remarks = [*costs, *reasons, *warnings]
    return "\n".join([*lines, *([""] if remarks else []), *map(_escaped, remarks)]) + "\n"


def to_prometheus(results: Sequence[BenchResult]) -> str:
    """Gauges of each row. A value that is missing has no line, as Prometheus has it."""
    values: dict[str, list[str]] = {name: [] for name in _HELP}
    for entry in entries_of(results):
        labels = {
            "machine": entry.machine,
            "variant": entry.row.name,
            "evidence": entry.result.evidence,
            "pipeline": entry.result.pipeline,
            "frame": entry.given.words,
            "threads": entry.threads,
            "sha256": entry.row.model.sha256 or "",
        }
        total, cold = entry.row.distribution(), entry.row.cold
        for share, ms in (("0.5", total.p50), ("0.9", total.p90), ("0.99", total.p99)) if total else ():
            values["latency_seconds"].append(_sample("latency_seconds", labels | {"quantile": share}, ms / 1e3))
        if entry.energy_mj is not None:
            of_meter = labels | {"evidence": entry.result.energy_evidence}
            values["energy_joules"].append(_sample("energy_joules", of_meter, entry.energy_mj / 1e3))
        plain = {
            "model_bytes": entry.row.model.bytes,
            "dice_ratio": entry.dice,
            "peak_memory_bytes": cold.peak_mib * 2**20 if cold and cold.peak_mib else None,
        }
        for name, value in plain.items():
            if value is not None:
                of_split = {"split": entry.split or ""} if name == "dice_ratio" else {}
                values[name].append(_sample(name, labels | of_split, value))
    lines = []
    for name, samples in values.items():
        if samples:
            lines += [f"# HELP edgeseg_{name} {_HELP[name]}", f"# TYPE edgeseg_{name} gauge", *samples]
    return "\n".join(lines) + "\n"


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    escaped = {key: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, text in labels.items()}
    inside = ",".join(f'{key}="{text}"' for key, text in escaped.items())
    return f"edgeseg_{name}{{{inside}}} {value!r}"


def _cells(entry: Entry) -> list[str]:
    row = entry.row
    times = ["-" if (ms := row.time_ms(name)) is None else f"{ms:.2f}" for name in ("p50", "p90")]
    dice = "-" if entry.dice is None else f"{entry.dice:.3f}"
    size = "-" if row.model.bytes is None else f"{row.model.bytes / 1e6:.2f}"
    return [
        entry.machine,
        row.name,
        entry.result.evidence,
        row.status,
        entry.given.words,
        entry.threads,
        size,
        dice,
        entry.split or "-",
        *times,
        entry.energy_words or "-",
        "-" if row.n is None else str(row.n),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell if set(cell) <= set('-:') else _escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
