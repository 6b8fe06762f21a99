"""What a run of the chain prints at its end: the table, what ships, and where everything is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.benchmarks.duration import duration
from edgeseg.pipeline.learned.told import warning_lines
from edgeseg.pipeline.report.fields import number
from edgeseg.pipeline.text.step_table import step_table

if TYPE_CHECKING:
    from edgeseg.pipeline.plan.outcome import Outcome
    from edgeseg.pipeline.plan.run import RunResult


def run_json(result: RunResult) -> dict[str, Any]:
    """The places of everything and the report as it is on disk; what there is none of after `--only` is None."""
    done = result.report is not None
    return {
        "report_json": str(result.report_json) if done else None,
        "report_html": str(result.report_html) if done else None,
        "bundle": str(result.bundle) if result.bundle is not None else None,
        "removed": str(result.removed) if result.removed is not None else None,
        "gate_failed": result.gate_failed,
        "stopped": None if result.stopped is None else dataclasses.asdict(result.stopped),
        "ran": result.chain.ran,
        "reused": result.chain.reused,
        "report": result.report,
    }


def run_text(result: RunResult) -> RenderableType:
    """The step table and the paths; after `--only` how that step ended, and the place of its files."""
    ran = f"{len(result.chain.ran)} steps run, {len(result.chain.reused)} reused"
    if result.stopped is not None:
        return _stopped(result.stopped, ran, result.report_json.parent / "steps")
    assert result.report is not None, "a chain that was not stopped has one"
    took = duration(number(result.report, "total_wall_s"))
    lines = [
        f"report  {result.report_html}",
        f"        {result.report_json}",
        f"bundle  {result.bundle or 'none: nothing passed its gates'}{_doubt(result)}",
        f"steps   {ran}" + (f"; all of them took {took}" if took else ""),
    ]
    lines += [f"removed {result.removed}, which an earlier run had packed"] if result.removed else []
    last = _search(result.report.get("search"))
    last += [Text(_gate(result.report["shipped"]), "bold yellow")] if result.gate_failed else []
    return Group(step_table(result.report), Text(""), *map(Text, lines), *last, *warning_lines(result.report))


def _stopped(outcome: Outcome, ran: str, steps: Path) -> Text:
    if outcome.status == "ok":
        return Text(f"{outcome.step}: done ({ran}), in {steps / outcome.step}")
    code = f" (exit code {outcome.exit_code})" if outcome.exit_code else ""
    return Text(f"{outcome.step}: {outcome.status}: {outcome.reason} ({ran}){code}", "bold yellow")


def _search(found: dict[str, Any] | None) -> list[Text]:
    """What the search for the budget came to, and why a baseline was not in it."""
    if not found:
        return []
    lines = [Text(f"search  {found['sentence']}"), Text(f"        {found['detail']}")]
    missing = found.get("missing_baselines") or {}
    lines += [Text(f"        {name}: {why}", "dim") for name, why in missing.items()]
    error = found["prediction"]["median_error"]
    if error is not None:
        lines.append(Text(f"        predicted against measured latency: median error {error:.1%}"))
    return lines


def _gate(shipped: Mapping[str, Any]) -> str:
    """Which gate failed; what of the budget is missed stands among the warnings."""
    what = "nothing ships" if shipped["step"] is None else "what ships is beyond the budget"
    return f"a gate failed: {what} (exit code 3)"


def _doubt(result: RunResult) -> str:
    return " (no variant in it holds all budgets)" if result.bundle and result.gate_failed else ""
