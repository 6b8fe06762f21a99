"""What `edgeseg fit` prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.commands.shown import simple_table
from edgeseg.pipeline.learned.told import warning_lines
from edgeseg.pipeline.search.page import DISTURBED

if TYPE_CHECKING:
    from edgeseg.pipeline.search.search import FitResult


def fit_json(result: FitResult) -> dict[str, Any]:
    """Where everything is, and fit.json as it is on disk."""
    return {
        "met": result.met,
        "passed": result.passed,
        "fit_json": str(result.fit_json),
        "fit_html": str(result.fit_html),
        "fit": result.record,
    }


def fit_text(result: FitResult) -> RenderableType:
    """The finalists, who ships, and where everything is; of a budget that was missed what would be feasible."""
    record = result.record
    lines: list[RenderableType] = []
    if result.met:
        columns = ("network", "Dice val", "seeds", "ms", "kB", "MMACs")
        lines += [simple_table(columns, [_row(one) for one in record["finalists"]], left=1), Text("")]
        lines += [Text(f"{name}: left out: {why}", "dim") for name, why in record["missing_baselines"].items()]
    lines.append(Text(record["sentence"], "bold" if result.met else "bold yellow"))
    lines.append(Text(record["detail"], "yellow" if record.get("over_budget") else ""))
    error = record["prediction"]["median_error"]
    if error is not None:
        lines.append(Text(f"predicted against measured latency: median error {error:.1%}"))
    if record["prediction"]["n_disturbed"]:
        lines.append(Text(DISTURBED.format(record["prediction"]["n_disturbed"]), "yellow"))
    lines.append(
        Text(f"took    {record['time']['total_s']:.0f} s, of which trainings {record['time']['trainings_s']:.0f} s")
    )
    lines += [Text(f"report  {result.fit_html}"), Text(f"        {result.fit_json}")]
    if result.met:
        chosen = record["chosen"]
        shipped = chosen["shipped"] or {}
        root = result.fit_json.parent
        bundle = root / shipped["bundle"] if shipped.get("bundle") else "none"
        lines += [Text(f"network {root / chosen['checkpoint']}"), Text(f"bundle  {bundle}")]
        lines += _plan_files(shipped.get("plan_files") or {}, root)
    if record["not_learned"]:
        lines.append(Text(f"a gate failed (exit code 3): {record['not_learned']}", "bold red"))
    return Group(*lines, *warning_lines(record))


def _plan_files(found: dict[str, Any], root: Path) -> list[RenderableType]:
    """Where the plan's files for other targets are, which of them there are not, and how far masks lie apart."""
    if not found:
        return []
    lines: list[RenderableType] = [Text(f"others  {root / 'shipped/steps'}: INT8 files of the same plan")]
    for name, entry in found["files"].items():
        if entry["status"] != "ok":
            lines.append(Text(f"        {name}: {entry['status']}: {entry['reason']}", "yellow"))
    for pair in found["pairs"]:
        if pair["holds"] is False:
            dice = pair["dice_difference"]
            apart = "" if dice is None else f" and {100 * abs(dice):.2f} points of Dice"
            words = f"{100 * pair['pixels_differ']:.2f} % of the pixels{apart} apart on val"
            lines.append(Text(f"        {pair['a']} and {pair['b']} are {words}, beyond the limits", "yellow"))
    return lines


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    cost, dice = one["figures"], one["val_dice_mean"]
    return (
        one["name"],
        None if dice is None else f"{100 * dice:.2f}",
        len(one["seeds"]),
        None if cost.get("latency_ms") is None else f"{cost['latency_ms']:.2f}",
        None if cost.get("bytes") is None else f"{cost['bytes'] / 1e3:.0f}",
        f"{cost['macs'] / 1e6:.1f}",
    )
