"""Results as one HTML page: the verdict first, then devices and variants, then why to believe it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.benchmarks.report import (
    Column,
    Markup,
    Point,
    Series,
    badge,
    code,
    details,
    figure,
    heading,
    items,
    join,
    line_svg,
    page,
    scatter_svg,
    side_by_side,
    table,
    verdict,
)
from edgeseg.benchmarks.report.markup import Value
from edgeseg.benchmarks.results.result import ENGINE_ONLY, BenchResult
from edgeseg.benchmarks.summary.entries import CLOSE, Entry, bests_of, cost_cell, entries_of, front_of

_COLUMNS: tuple[Column | str, ...] = (
    *("machine", "variant", "evidence", "status", "frame"),
    *(Column(name, numeric=True) for name in ("threads", "MB", "Dice")),
    "split",
    *(Column(name, numeric=True, unit="ms") for name in ("p50", "p90", "p99", "first call")),
    Column("energy", numeric=True, unit="mJ"),
    Column("peak memory", numeric=True, unit="MiB"),
    Column("n", numeric=True),
)
_RINGED = "Ringed: no row of that machine, frame, threads and split is better and faster."
# Curves of more rows cannot be told apart.
_MOST_CURVES = 8


def to_html(results: Sequence[BenchResult], commands: Sequence[str] = ()) -> str:
    """The page of one or more results.

    Args:
        results: In the order they are shown.
        commands: What made them, to be copied.
    """
    entries = entries_of(results)
    body: list[Value] = [
        *_verdicts(entries),
        _table(entries),
        *_planes(entries),
        *_distributions(entries),
        *_sustained(entries),
        *_stages(entries),
        *_warnings(entries),
        *_environment(results, entries),
        *([heading("Commands"), code("\n".join(commands))] if commands else []),
    ]
    n = len({entry.machine for entry in entries})
    return page("Benchmark", body, f"{len(entries)} rows of {len(results)} results on {n} machine{'s' * (n != 1)}")


def _verdicts(entries: Sequence[Entry]) -> list[Markup]:
    """One for all that may be compared with each other."""
    bests = bests_of(entries)
    if not bests and any(entry.p50_ms is not None for entry in entries):
        return [verdict("Nothing was measured on a device.", "bad", "Every row says where its times are from.")]
    if not bests:
        return [verdict("Nothing could be measured.", "bad", "Every row says why.")]
    return [_verdict(best) for best in bests]


def _verdict(best: Entry) -> Markup:
    dice = "" if best.dice is None else f", Dice {best.dice:.3f} ({best.split or 'split not told'})"
    energy = "" if best.energy_words is None else f", energy [mJ] {best.energy_words}"
    why = "the fastest there is" if best.dice is None else f"the fastest within {CLOSE * 100:g} point of the best Dice"
    part = " by its engine alone" if best.result.pipeline == ENGINE_ONLY else ""
    sentence = f"{best.row.name} takes {best.p50_ms:.2f} ms{part} on {best.where}{dice}{energy}."
    return verdict(sentence, "good", f"It is {why}; evidence: {best.result.evidence}.")


def _table(entries: Sequence[Entry]) -> Markup:
    caption = "Every row that was asked for, failures included."
    if not any(entry.result.price for entry in entries):
        return table(_COLUMNS, [_cells(entry) for entry in entries], caption)
    rows = [[*_cells(entry), cost_cell(entry)] for entry in entries]
    said = dict.fromkeys(said for e in entries if (said := e.result.cost_assumption))
    caption += f" Cost of a million inferences: {'; '.join(said)}."
    return table((*_COLUMNS, Column("cost", numeric=True, unit="a million")), rows, caption)


def _cells(entry: Entry) -> list[Value]:
    row, total, energy = entry.row, entry.row.distribution(), entry.result.energy(entry.row)
    state = badge(row.status) if row.status == "ok" else join([badge(row.status), row.reason], " ")
    few = total is not None and total.n < 100
    shown = [entry.p50_ms, row.time_ms("p90"), None if few else row.time_ms("p99")]
    cold = row.cold
    return [
        entry.machine,
        row.name,
        entry.result.evidence,
        state,
        entry.given.words,
        entry.threads,
        _number(None if row.model.bytes is None else row.model.bytes / 1e6, 2),
        _number(entry.dice, 3),
        entry.split or "-",
        *(_number(value, 2) for value in shown),
        _number(cold.first_inference_ms if cold else None, 1),
        f"none: {energy}" if isinstance(energy, str) else entry.energy_words,
        _number(cold.peak_mib if cold else None, 0),
        "-" if row.n is None else str(row.n),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _planes(entries: Sequence[Entry]) -> list[Markup]:
    front = front_of(entries)
    parts = []
    for label, values in (
        ("latency p50 [ms]", [e.p50_ms for e in entries]),
        ("energy [mJ]", [e.energy_mj for e in entries]),
    ):
        if not any(v is not None and e.dice is not None for v, e in zip(values, entries, strict=True)):
            continue
        points = [
            Point(value, entry.dice, entry.row.name, entry.where, emphasised=entry in front)
            for value, entry in zip(values, entries, strict=True)
        ]
        parts.append(figure(scatter_svg(points, label, "Dice", log_x=True), _RINGED))
    return [heading("Accuracy against cost"), side_by_side(*parts)] if parts else []


def _distributions(entries: Sequence[Entry]) -> list[Markup]:
    timed = [entry for entry in entries if entry.row.processes][:_MOST_CURVES]
    if not timed:
        return []
    shares = np.concatenate([np.arange(0.01, 0.9, 0.01), np.arange(0.9, 1.0, 0.002)])
    series = []
    for entry in timed:
        ordered = np.sort(entry.row.samples_ms())
        places = np.minimum(np.ceil(shares * ordered.size).astype(int), ordered.size) - 1
        series.append(Series(entry.name, list(shares * 100), [float(v) for v in ordered[np.maximum(places, 0)]]))
    caption = "The share of calls [%] that took at most so long. A flat line with a late rise has rare slow calls."
    return [heading("Distributions"), figure(line_svg(series, "calls [%]", "latency [ms]", log_y=True), caption)]


def _sustained(entries: Sequence[Entry]) -> list[Markup]:
    held = [(e, e.result.scenario_values(e.row)["scenario"]) for e in entries if _scenario(e) == "sustained"]
    held = [(entry, found) for entry, found in held if found]
    if not held:
        return []
    plots = []
    for key, label in (("p50_ms", "p50 [ms]"), ("temperature_c", "temperature [C]"), ("power_w", "power [W]")):
        lines = [
            Series(e.name, [m["start_s"] / 60 for m in found["minutes"]], [m[key] for m in found["minutes"]])
            for e, found in held
        ]
        plots.append(figure(line_svg(lines, "minutes", label)))
    marks = [
        f"{e.name}: last minute / first {found['p50_last_over_first']:.3f}; "
        + {None: "throttling not told by the machine", False: "not throttled"}.get(
            found["throttled"], f"throttled after {found['time_to_throttle_s'] or 0:.0f} s"
        )
        for e, found in held
    ]
    return [heading("Under load"), side_by_side(*plots), items(marks)]


def _scenario(entry: Entry) -> str | None:
    return entry.result.config.scenario if entry.result.config else None


def _stages(entries: Sequence[Entry]) -> list[Markup]:
    rows = []
    for entry in entries:
        found = [entry.row.distribution(stage) for stage in ("pre", "infer", "post", "total")]
        if entry.row.processes and all(found):
            rows.append([entry.where, entry.row.name, *(f"{one.p50:.3f}" for one in found if one)])
    columns: tuple[Column | str, ...] = (
        "machine",
        "variant",
        *(Column(name, numeric=True, unit="ms") for name in ("pre", "infer", "post", "total")),
    )
    return [heading("Stages"), table(columns, rows, "Medians; those of the stages need not add up.")] if rows else []


def _warnings(entries: Sequence[Entry]) -> list[Markup]:
    seen = {id(entry.result): entry for entry in entries}
    lines = [
        f"{entry.machine}: {one.subject or 'machine'}: {one.message} ({one.remedy})"
        for entry in seen.values()
        for one in entry.result.warnings
    ]
    return [heading("What weakens these numbers"), items(lines)] if lines else []


def _environment(results: Sequence[BenchResult], entries: Sequence[Entry]) -> list[Markup]:
    """What is alike in all results once, what differs side by side."""
    sides = [{**_flat("device", r.device), **_flat("software", r.software), "created": r.created} for r in results]
    names = [next(e.machine for e in entries if e.result is r) if r.rows else "?" for r in results]
    keys = list(dict.fromkeys(key for side in sides for key in side))
    differ = [key for key in keys if len({side.get(key) for side in sides}) > 1]
    alike = [[key, sides[0].get(key, "-")] for key in keys if key not in differ]
    parts = [heading("Environment")]
    if differ:
        parts.append(
            table(("", *names), [[key, *(side.get(key, "-") for side in sides)] for key in differ], "What differs")
        )
    same = table(("", "all" if len(results) > 1 else names[0]), alike)
    return [*parts, details("The same in all results" if len(results) > 1 else "The machine", same, opened=not differ)]


def _flat(part: str, values: object) -> dict[str, str]:
    assert hasattr(values, "items")
    return {f"{part} {key}": str(value) for key, value in values.items() if value not in (None, [], ())}
