"""The page of a fit: who ships and why, accuracy against cost, the journal, predicted against measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.report import (
    Column,
    Markup,
    Point,
    code,
    facts,
    figure,
    heading,
    items,
    join,
    page,
    paragraph,
    scatter_svg,
    side_by_side,
    table,
    verdict,
)
from edgeseg.benchmarks.report.parts import Tone
from edgeseg.pipeline.learned.findings import nothing_learned
from edgeseg.pipeline.learned.told import told, warnings_box
from edgeseg.pipeline.report.operating_point import operating_point_panel
from edgeseg.runtime.atomic import write_text

Record = Mapping[str, Any]
Columns = list[Column | str]

DISTURBED = (
    "While {} of the networks were measured, other programs took more than a tenth of the CPUs, three times in a row: "
    "what was cut may be too small. End them, remove this fit's folder, and fit again."
)
_REFERENCES = {"teacher": "the FP32 teacher", "fp32": "the same network in FP32"}


def render_fit(record: Record, path: Path) -> None:
    """Write the page of a fit.json; what a fit that ended early has not come to is left out."""
    met = record["status"] == "ok"
    doubtful = met and (record["contest"]["baseline_wins"] or record.get("over_budget"))
    warned = told(record.get("warnings"))
    useless = not met or record.get("not_learned") or nothing_learned(warned)
    tone: Tone = "bad" if useless else "warn" if doubtful or warned else "good"
    body: list[Any] = [warnings_box(warned), verdict(record["sentence"], tone, record.get("detail") or "")]
    body += [heading("Budget"), _budget(record)]
    if met:
        body += [heading("Accuracy against cost, on val"), _plots(record)]
        body += [heading("Finalists"), _finalists(record), heading("What ships"), _shipped(record)]
    body += [heading("How it was cut"), _ways(record), _rounds(record)]
    body += [heading("Predicted against measured"), _prediction(record)]
    body += [heading("Journal"), _journal(record), _times(record)]
    if record.get("command"):
        body += [heading("How to get this again"), code(record["command"])]
    write_text(path, page(f"edgeseg fit: {record['recipe']['name']} for {record['target']}", body, record["created"]))


def _budget(record: Record) -> Markup:
    student, chosen = record["student"]["figures"], record.get("chosen") or {}
    rows = [
        [name, _num(limit), _num(student.get(name)), _num((chosen.get("figures") or {}).get(name))]
        for name, limit in record["ceilings"].items()
    ]
    columns: Columns = ["limit", Column("allowed", True), Column("student", True), Column("chosen", True)]
    return table(columns, rows, f"Target: {record['target_identity']}.")


def _plots(record: Record) -> Markup:
    def points(cost: str, factor: float) -> list[Point]:
        return [
            Point(
                x=None if one[cost] is None else one[cost] * factor,
                y=one["val_dice"],
                label=one["name"],
                group=one["group"],
                y_low=one["lo95"],
                y_high=one["hi95"],
                emphasised=one["name"] == record["chosen"]["point"],
            )
            for one in record["points"]
        ]

    latency = scatter_svg(
        points("latency_ms", 1.0), "measured latency p50, pre + infer + post [ms]", "mean Dice on val"
    )
    size = scatter_svg(points("bytes", 1e-3), "file size [kB]", "mean Dice on val")
    front = ", ".join(one["name"] for one in record["points"] if one["front_latency_ms"])
    return side_by_side(
        figure(latency, f"INT8 files. Lines: 95 % bootstrap interval by group. On the Pareto front: {front}."),
        figure(size, "The ring marks what ships."),
    )


def _finalists(record: Record) -> Markup:
    columns: Columns = [
        "network",
        "what it is",
        Column("Dice val", True),
        Column("seeds", True),
        Column("latency", True, "ms"),
    ]
    columns += [Column("size", True, "kB"), Column("MACs", True, "M")]
    rows = []
    for one in record["finalists"]:
        cost = one["figures"]
        size = None if cost.get("bytes") is None else cost["bytes"] / 1e3
        seeds = ", ".join(f"{100 * seed['dice_mean']:.2f}" for seed in one["seeds"])
        rows.append(
            [
                one["name"],
                one["note"],
                _points(one["val_dice_mean"]),
                seeds,
                _num(cost.get("latency_ms")),
                _num(size),
                _num(cost["macs"] / 1e6),
            ]
        )
    missing = [f"{name}: {reason}" for name, reason in record["missing_baselines"].items()]
    difference = record["contest"]["difference"]
    parts = [table(columns, rows, record["contest"]["sentence"])]
    if difference is not None:
        low, high = difference["lo95"], difference["hi95"]
        interval = "no interval (one group)" if low is None else f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
        parts.append(
            paragraph(f"Best baseline minus pruned, best seeds: {100 * difference['mean']:+.2f} points, {interval}.")
        )
    return join([*parts, items(missing)] if missing else parts)


def _shipped(record: Record) -> Markup:
    chosen = record["chosen"]
    shipped = chosen.get("shipped")
    values: dict[str, Any] = {"network": chosen["point"], "checkpoint": chosen["checkpoint"]}
    if shipped:
        total = (shipped["latency_ms"] or {}).get("total") or {}
        values |= {
            "bundle": shipped["bundle"],
            "bytes": shipped["bytes"],
            "latency p50 [ms]": _num(total.get("p50")),
            "against the FP32 teacher": _times_as_fast(shipped["speedup_vs_teacher"]),
            "Dice val / test": " / ".join(
                _points(shipped["accuracy"][split]["dice_mean"]) for split in ("val", "test")
            ),
        }
        for name, reference in (shipped.get("references") or {}).items():
            drops = "; ".join(f"{split} {_drop(reference['dice_drop'][split])}" for split in ("val", "test"))
            values[f"Dice lost against {_REFERENCES[name]} [points]"] = drops
            lost = reference.get("recall_drop")
            if lost:
                drops = "; ".join(f"{split} {_drop(lost[split])}" for split in ("val", "test"))
                values[f"regions lost against {_REFERENCES[name]} [points of recall]"] = drops
    told = facts({name: str(value) for name, value in values.items()})
    found = shipped or {}
    return join([told, operating_point_panel(found.get("operating_point"))])


def _times_as_fast(found: Record | None) -> str:
    """A recorded ratio with its interval, where it has one."""
    if not found:
        return "not measured"
    low, high = found.get("lo95"), found.get("hi95")
    words = f"{found['ratio']:.1f} times as fast"
    return words if low is None or high is None else f"{words} ({low:.1f} to {high:.1f})"


def _drop(drop: Record | None) -> str:
    """Positive where the shipped file is lower."""
    if drop is None:
        return "-"
    low, high = drop["lo95"], drop["hi95"]
    interval = "no interval" if low is None else f"{100 * low:+.2f} to {100 * high:+.2f}"
    return f"{100 * drop['mean']:+.2f} ({interval}, {drop['verdict']})"


def _ways(record: Record) -> Markup:
    rows = [
        [one["way"], _num(one["figures"].get("latency_ms")), _points(one["val_dice_at_search_size"])]
        for one in record.get("ways", [])
    ]
    failed = items(f"{name}: {why}" for name, why in record.get("failed_ways", {}).items())
    if not rows:
        return failed if record.get("failed_ways") else paragraph("One way only, or none needed.")
    columns: Columns = ["way", Column("latency", True, "ms"), Column("Dice val, short training", True)]
    return join([table(columns, rows, f"Chosen by short trainings: {record['way']}."), failed])


def _rounds(record: Record) -> Markup:
    rows = []
    for one in record.get("rounds", []):
        for attempt, tried in enumerate(one["tries"], start=1):
            rows.append(
                [
                    f"{one['round']}.{attempt}",
                    str(len(tried["moves"])),
                    _num(tried["predicted"].get("latency_ms")),
                    _num(tried["measured"].get("latency_ms")),
                    _points(one["val_dice"]),
                    "; ".join(tried["missed"]) or "holds",
                ]
            )
    columns: Columns = [
        "round.search",
        Column("moves", True),
        Column("predicted", True, "ms"),
        Column("measured", True, "ms"),
    ]
    columns += [Column("Dice val after it", True), "limits of the round"]
    if record.get("rounds_failed"):
        return paragraph(f"Cut in one go: in rounds the budget was missed ({record['rounds_failed']}).")
    return table(columns, rows) if rows else paragraph("No rounds.")


def _prediction(record: Record) -> Markup:
    found = record["prediction"]
    if not found["pairs"]:
        return paragraph("No network was predicted before it was measured.")
    points = [Point(one["measured_ms"], one["predicted_ms"], "", one["arch"]) for one in found["pairs"]]
    plot = scatter_svg(points, "measured [ms]", "predicted [ms]")
    words = (
        f"Median error {found['median_error']:.1%} over {found['n']} networks, each predicted before it was measured."
    )
    return figure(plot, f"{words} {DISTURBED.format(found['n_disturbed'])}" if found.get("n_disturbed") else words)


def _journal(record: Record) -> Markup:
    rows = []
    for one in record["journal"]:
        effort = one["settings"]["effort"]
        rows.append(
            [
                one["name"],
                str(effort["epochs"]),
                f"{effort['learning_rate']:g}",
                f"{effort['scale']:g}",
                str(effort["seed"]),
                "yes" if one["settings"]["teacher"] else "no",
                _points(one["result"]["val_dice_at_network_size"]),
                f"{one['wall_s']:.0f}",
            ]
        )
    columns: Columns = [
        "training",
        Column("epochs", True),
        Column("peak rate", True),
        Column("image scale", True),
    ]
    columns += [Column("seed", True), "distilled", Column("Dice val (torch)", True), Column("wall time", True, "s")]
    return table(columns, rows) if rows else paragraph("Nothing was trained.")


def _times(record: Record) -> Markup:
    return facts({name.removesuffix("_s"): f"{value:.0f} s" for name, value in record["time"].items()})


def _num(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if value < 1e5 else f"{value:,.0f}"


def _points(dice: float | None) -> str:
    return "-" if dice is None else f"{100 * dice:.2f}"
