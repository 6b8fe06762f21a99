"""What the search for a network within the budget has found: who went on and why, and what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.benchmarks.report import (
    Column,
    Markup,
    Point,
    details,
    facts,
    figure,
    heading,
    items,
    join,
    paragraph,
    scatter_svg,
    side_by_side,
    table,
)
from edgeseg.benchmarks.results.result import ENGINE_ONLY, BenchResult

Record = Mapping[str, Any]
Columns = list[Column | str]

_DISTURBED = (
    "while {} of the networks were measured, other programs took more than a tenth of the CPUs, three times in a row: "
    "what was cut may be too small"
)
_COSTS = {
    "latency_ms": (1.0, "measured latency p50, pre + infer + post [ms]"),
    "bytes": (1e-3, "file size [kB]"),
    "macs": (1e-6, "MACs [M]"),
}


def search_warnings(search: Record | None, shipped: Record) -> list[dict[str, Any]]:
    """What of a search a reader has to know before its figures, as `learned.findings.warnings_of` says it.

    Args:
        search: Content of search.json, or None without a search.
        shipped: Result of the step `ship`.
    """
    found = []
    over = shipped.get("over_budget")
    if over:
        remedy = "raise fit.margin, or measure again on a quiet machine"
        found.append(("over_budget", shipped["step"], f"not within the budget: {'; '.join(over)}", remedy))
    disturbed = search["prediction"]["n_disturbed"] if search else 0
    if disturbed:
        remedy = "end them, remove steps/student_pruned and the search's folders measurements and cuts, and run again"
        found.append(("disturbed", "student_pruned", _DISTURBED.format(disturbed), remedy))
    return [dict(zip(("kind", "step", "message", "remedy"), one, strict=True)) for one in found]


def meter_warnings(bench: BenchResult) -> list[dict[str, Any]]:
    """What of a measurement is less than it looks beside its evidence, in the words of `search_warnings`."""
    found = []
    if bench.evidence == "device" and bench.power is not None and bench.power.sensor.evidence != "device":
        words = f"energy is {bench.power.sensor.evidence}, by {bench.power.sensor.sensor}: it is no device's"
        found.append(("no_meter", "bench", words, "name the machine's own meter with --meter"))
    if bench.pipeline == ENGINE_ONLY:
        words = "latency is of the engine alone: nothing before and after it ran on the phone"
        found.append(("engine_only", "bench", words, "add what pre- and post-processing take in your own program"))
    return [dict(zip(("kind", "step", "message", "remedy"), one, strict=True)) for one in found]


def search_section(search: Record) -> Markup:
    """The panel; what a search for a budget that was missed has not come to is left out."""
    parts = [paragraph(f"{search['sentence']} {search['detail']}"), _budget(search)]
    if search["status"] == "ok":
        parts += [_plots(search), heading("Finalists", 3), _finalists(search)]
    parts += [heading("How it was cut", 3), _ways(search), _rounds(search), _prediction(search)]
    parts += [details("Trainings of the search", join([_journal(search), _times(search)]))]
    return join(parts)


def _budget(record: Record) -> Markup:
    student, chosen = record["student"]["figures"], record.get("chosen") or {}
    rows = [
        [name, _num(limit), _num(student.get(name)), _num((chosen.get("figures") or {}).get(name))]
        for name, limit in record["ceilings"].items()
    ]
    columns: Columns = ["limit", Column("allowed", True), Column("student", True), Column("chosen", True)]
    return table(columns, rows, f"Target: {record['target_identity']}.{_evidence(record)}")


def _evidence(record: Record) -> str:
    """What is less than a device's, and by what energy was metered; records of before 2026-11-28 do not say."""
    level, sensor = record.get("evidence", "device"), record.get("sensor")
    said = "" if level == "device" else f" Times are {level}: they are no device's."
    if not sensor:
        return said
    weak = level if level != "device" else sensor["evidence"]
    told = "" if weak == "device" else f", {weak}: it is no device's"
    return f"{said} Energy of one inference, gross, by {sensor['sensor']} ({sensor['covers']}){told}."


def _plots(record: Record) -> Markup:
    """Accuracy against everything that was measured; one network alone is no plot."""
    if len(record["points"]) < 2:
        return join([])
    shown = [cost for cost in _COSTS if any(one.get(cost) is not None for one in record["points"])][:2]
    return side_by_side(*(_plot(record, cost) for cost in shown))


def _plot(record: Record, cost: str) -> Markup:
    factor, label = _COSTS[cost]
    points = [
        Point(
            x=None if one.get(cost) is None else one[cost] * factor,
            y=one["val_dice"],
            label=one["name"],
            group=one["group"],
            y_low=one["lo95"],
            y_high=one["hi95"],
            emphasised=one["name"] == record["chosen"]["point"],
        )
        for one in record["points"]
    ]
    front = ", ".join(one["name"] for one in record["points"] if one[f"front_{cost}"])
    words = f"INT8 files; the ring marks what went on. Lines: 95 % bootstrap interval by group. Pareto front: {front}."
    return figure(scatter_svg(points, label, "mean Dice on val"), words)


def _finalists(record: Record) -> Markup:
    columns: Columns = [
        "network",
        "what it is",
        Column("Dice val", True),
        Column("seeds", True),
        Column("latency", True, "ms"),
    ]
    columns += [Column("size", True, "kB"), Column("MACs", True, "M")]
    metered = "energy_mj" in record["ceilings"]
    columns += [Column("energy", True, "mJ")] if metered else []
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
                *([_num(cost.get("energy_mj"))] if metered else []),
            ]
        )
    missing = [f"{name}: {reason}" for name, reason in record["missing_baselines"].items()]
    difference = record["contest"]["difference"]
    parts = [table(columns, rows, record["contest"]["sentence"])]
    if difference is not None:
        low, high = difference["lo95"], difference["hi95"]
        interval = "no interval (one group)" if low is None else f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
        over = f"{difference['n_seeds']} seeds" if "n_seeds" in difference else "the best seeds"
        parts.append(
            paragraph(f"Best baseline minus pruned, over {over}: {100 * difference['mean']:+.2f} points, {interval}.")
        )
    return join([*parts, items(missing)] if missing else parts)


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
    return figure(plot, words)


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
