"""A result as a table for people (text) and for spreadsheets (CSV). A missing value is a dash or an empty cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.results.costs import cost_remarks, csv_cost, per_million
from edgeseg.benchmarks.results.given import given
from edgeseg.benchmarks.results.result import ENGINE_ONLY, EVIDENCE_WORDS, BenchResult, Row

_ENGINE_ONLY = "engine only: the engine by itself on made-up inputs, nothing before or after it; no pipeline's time"
_ENERGY = ("mJ", "net mJ", "W")
COLUMNS = ("variant", "status", "MB", "Dice", "p50 ms", "p90 ms", "p99 ms", "n", "FPS")

_CSV_COLUMNS = [
    "variant",
    "status",
    "reason",
    "backend",
    "engine",
    "precision",
    "threads",
    "size_mb",
    "dice_mean",
    "dice_split",
    "pre_p50_ms",
    "infer_p50_ms",
    "post_p50_ms",
    "p50_ms",
    "p90_ms",
    "p90_upper_ms",
    "p99_ms",
    "p99_upper_ms",
    "n",
    "fps",
    "first_inference_ms",
    "load_ms",
    "peak_memory_mib",
    "sha256",
    "pipeline",
    "evidence",
    "energy_mj",
    "energy_net_mj",
    "energy_uncertainty_mj",
    "power_w",
    "meter",
    "energy_evidence",
    "energy_reason",
    *("cost_per_inference", "cost_currency", "cost_assumption", "cost_reason"),
    "frame",
]


def table_rows(result: BenchResult) -> list[tuple[str, ...]]:
    """One tuple of texts per row, as `COLUMNS`; p99 of fewer than 100 samples is left out as it is their maximum."""
    return [_cells(row) for row in result.rows]


def to_text(result: BenchResult) -> str:
    """The table with columns lined up, then the reasons and the warnings."""
    alone = result.pipeline == ENGINE_ONLY
    columns: tuple[str, ...] = (*COLUMNS[:-1], "runs/s") if alone else COLUMNS
    rows = table_rows(result)
    if _metered(result):
        columns = (*columns, *_ENERGY)
        rows = [(*cells, *_energy_cells(result, row)) for cells, row in zip(rows, result.rows, strict=True)]
    if result.price is not None:
        columns = (*columns, f"{result.price.currency or 'cost'}/million")
        rows = [(*cells, per_million(result, row)) for cells, row in zip(rows, result.rows, strict=True)]
    return "\n".join([*([_ENGINE_ONLY] if alone else []), align(columns, rows), *_remarks(result)])


def align(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines up texts: the first two columns to the left, numbers to the right."""
    widths = [max(len(cells[i]) for cells in (columns, *rows)) for i in range(len(columns))]
    lines = []
    for cells in (columns, *rows):
        padded = [
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def to_csv(result: BenchResult) -> str:
    """One line per row with full precision; the first line names the columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in result.rows:
        about = {"pipeline": result.pipeline, "evidence": result.evidence, "frame": given(result, row).words}
        writer.writerow(_csv_values(row) | about | _csv_energy(result, row) | csv_cost(result, row))
    return out.getvalue()


def dice_of(row: Row) -> tuple[float | None, str | None]:
    """Mean Dice of the row's file and the split it is of: `test` where known, else `val`.

    `accuracy` is either `{"test": {"dice_mean": ...}, "val": ...}` or, where it was scored in the run,
    `{"dice_mean": ..., "split": ...}` itself.
    """
    accuracy = row.accuracy or {}
    for split in ("test", "val"):
        values = accuracy.get(split)
        if isinstance(values, dict) and isinstance(values.get("dice_mean"), float | int):
            return float(values["dice_mean"]), split
    dice = accuracy.get("dice_mean")
    own = accuracy.get("split")
    return (float(dice), None if own is None else str(own)) if isinstance(dice, float | int) else (None, None)


def _cells(row: Row) -> tuple[str, ...]:
    total, dice = row.distribution(), dice_of(row)[0]
    size = "-" if row.model.bytes is None else f"{row.model.bytes / 1e6:.2f}"
    accuracy = "-" if dice is None else f"{dice:.3f}"
    if total is None and row.told_ms is not None:
        return (row.name, row.status, size, accuracy, *_told_cells(row, row.told_ms))
    if total is None:
        return (row.name, row.status, size, accuracy, "-", "-", "-", "-", "-")
    p99 = f"{total.p99:.2f}" if total.n >= 100 else "-"
    return (
        row.name,
        row.status,
        size,
        accuracy,
        f"{total.p50:.2f}",
        f"{total.p90:.2f}",
        p99,
        str(total.n),
        f"{1e3 / total.p50:.1f}",
    )


def _told_cells(row: Row, typical_ms: float) -> tuple[str, ...]:
    """Another tool's figures: a mean is marked as one, percentiles are left out where it has none."""
    p90, p99 = ("-" if (value := row.time_ms(name)) is None else f"{value:.2f}" for name in ("p90", "p99"))
    runs = "-" if row.n is None else str(row.n)
    mark = "" if row.told[0].p50 is not None else "~"
    return (f"{mark}{typical_ms:.2f}", p90, p99, runs, f"{1e3 / typical_ms:.1f}" if typical_ms else "-")


def _remarks(result: BenchResult) -> list[str]:
    reasons = [f"{row.name}: {row.status}: {row.reason}" for row in result.rows if row.status != "ok"]
    cautions = [
        f"warning: {caution.subject or 'machine'}: {caution.message} ({caution.remedy})" for caution in result.warnings
    ]
    fed = [f"{row.name}: fed {row.engine_only.words}" for row in result.rows if row.engine_only and row.processes]
    told = [f"{row.name}: {text}" for row in result.rows for text in _told_remarks(row)]
    power = [*(_power_remarks(result) if _metered(result) else []), *cost_remarks(result), *_scenario_remarks(result)]
    scored = [f"{row.name}: {text}" for row in result.rows if (text := _scored(row))]
    unseen = [f"{row.name}: masks were not compared: {text}" for row in result.rows if (text := _unseen(row))]
    parts = [*_evidence(result), *fed, *told, *unseen, *scored, *power, *reasons, *cautions]
    return ["", *parts] if parts else []


def _unseen(row: Row) -> str | None:
    """Why nothing tells whether a measured row sees what it should, or `None`."""
    found: Any = (row.accuracy or {}).get("agreement") or {}
    return str(found.get("reason")) if row.measured and found.get("frames") == 0 else None


def _scored(row: Row) -> str | None:
    """What was scored in this run, with its interval, or why it was not."""
    found: Any = row.accuracy or {}
    if "data" not in found:
        return f"not scored: {found['reason']}" if "reason" in found else None
    interval = found["dice_interval"]
    between = f" (95 % {interval['lo95']:.3f} to {interval['hi95']:.3f})" if interval else ""
    dice, miou = (_known(found[key]) for key in ("dice_mean", "miou"))
    return f"Dice {dice}{between}, mIoU {miou} on {found['n_images']} images of {found['data']} ({found['split']})"


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _metered(result: BenchResult) -> bool:
    """Whether a meter was asked for."""
    return result.power is not None or result.no_power != BenchResult.no_power


def _energy_cells(result: BenchResult, row: Row) -> tuple[str, ...]:
    energy = result.energy(row)
    if not isinstance(energy, Energy):
        return ("-",) * len(_ENERGY)
    return (f"{energy.gross_mj:.3g}", f"{energy.net_mj:.3g}", f"{energy.power_w:.2f}")


def _power_remarks(result: BenchResult) -> list[str]:
    """Where the energy comes from, or why it is missing."""
    missing = [
        f"{row.name}: no energy: {reason}" for row in result.rows if isinstance(reason := result.energy(row), str)
    ]
    if result.power is None:
        return missing
    sensor, trace = result.power.sensor, result.power
    idle = [watts for watts in (trace.watts(trace.idle_before), trace.watts(trace.idle_after)) if watts is not None]
    rates = f"{trace.rate_hz or 0:.1f} Hz, idle {' and '.join(f'{watts:.2f}' for watts in idle) or 'unknown'} W"
    said = f"{sensor.sensor}, rails {' + '.join(sensor.rails)}, {rates}, evidence {sensor.evidence}"
    return [f"mJ per inference by {said}: {sensor.covers}", *missing]


def _scenario_remarks(result: BenchResult) -> list[str]:
    """What a scenario or a deadline says beyond the columns, a line a row."""
    lines = []
    for row in result.rows:
        found = result.scenario_values(row)
        scenario, late = found["scenario"], found["deadline"]
        if scenario and scenario["name"] != "single-stream":
            lines.append(f"{row.name}: {_scenario_words(scenario)}")
        if late:
            upper = f"at most {late['late_upper95']:.2%} with 95 % confidence"
            lines.append(
                f"{row.name}: {late['late']} of {late['n']} calls took longer than {late['ms']:g} ms ({upper})"
            )
    return lines


def _scenario_words(scenario: dict[str, Any]) -> str:
    if scenario["name"] == "offline":
        return f"offline: {scenario['samples_per_s']:.1f} samples/s over {scenario['queries']} samples"
    if scenario["name"] == "multi-stream":
        bound = "-" if scenario["p99_upper_ms"] is None else f"{scenario['p99_upper_ms']:.2f} ms"
        return f"multi-stream: {scenario['queries']} queries of 8, p99 {scenario['p99_ms']:.2f} ms, bound {bound}"
    first, last = scenario["minutes"][0], scenario["minutes"][-1]
    changes = [
        f"{first[key]:.2f} to {last[key]:.2f} {unit}"
        for key, unit in (("p50_ms", "ms"), ("temperature_c", "C"), ("power_w", "W"))
        if first[key] is not None and last[key] is not None
    ]
    slowed = {None: "throttling not told", False: "not throttled"}.get(
        scenario["throttled"], f"throttled after {scenario['time_to_throttle_s'] or 0:.0f} s"
    )
    took = last["start_s"] + first["start_s"] + scenario["window_s"] / len(scenario["minutes"])
    return f"sustained {took:.0f} s: {', '.join(changes)}; {slowed}"


def _csv_energy(result: BenchResult, row: Row) -> dict[str, object]:
    energy = result.energy(row)
    if not isinstance(energy, Energy):
        return {"energy_reason": energy}
    return {
        "energy_mj": energy.gross_mj,
        "energy_net_mj": energy.net_mj,
        "energy_uncertainty_mj": energy.uncertainty_mj,
        "power_w": energy.power_w,
        "meter": result.power.sensor.meter if result.power else None,
        "energy_evidence": result.energy_evidence,
    }


def _evidence(result: BenchResult) -> list[str]:
    """Said of all that is no measurement of the device."""
    return [] if result.evidence == "device" else [f"evidence: {result.evidence}: {EVIDENCE_WORDS[result.evidence]}"]


def _told_remarks(row: Row) -> list[str]:
    """What must be known of another tool's figures."""
    texts = []
    for one in row.told[:1]:
        mean = ", its mean (~)" if one.p50 is None else ""
        settings = ", ".join(f"{name} {value}" for name, value in one.settings.items())
        texts.append(f"{one.stage} by {one.tool}{mean}{f' ({settings})' if settings else ''}")
        texts += [one.placement.words] if one.placement else []
    return texts


def _csv_values(row: Row) -> dict[str, object]:
    total, cold = row.distribution(), row.cold
    dice, split = dice_of(row)
    stages = {
        f"{stage}_p50_ms": d.p50 if (d := row.distribution(stage)) else None for stage in ("pre", "infer", "post")
    }
    names = ("p50", "p90", "p90_upper", "p99", "p99_upper")
    return {
        "variant": row.name,
        "status": row.status,
        "reason": row.reason,
        "backend": row.backend,
        "engine": cold.engine if cold else None,
        "precision": row.precision,
        "threads": row.threads,
        "size_mb": None if row.model.bytes is None else row.model.bytes / 1e6,
        "dice_mean": dice,
        "dice_split": split,
        **stages,
        **{f"{name}_ms": row.time_ms(name) for name in names},
        "n": row.n if row.measured else 0,
        "fps": 1e3 / total.p50 if total and row.engine_only is None else None,
        "first_inference_ms": cold.first_inference_ms if cold else None,
        "load_ms": cold.load_ms if cold else None,
        "peak_memory_mib": cold.peak_mib if cold else None,
        "sha256": row.model.sha256,
    }
