"""`bench formats`: one line per format of a bundle or model, in seconds: a look, no measurement to compare by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.options import DEFAULT, Threads
from edgeseg.benchmarks.progress import shown_progress
from edgeseg.benchmarks.results.result import BenchResult, Row
from edgeseg.benchmarks.results.result_file import to_json
from edgeseg.benchmarks.results.table import align, dice_of
from edgeseg.benchmarks.sources import load_frame, open_source
from edgeseg.runtime.text.terminal import put, put_json

_COLUMNS = ("format", "status", "MB", "Dice", "mIoU", "ms", "FPS")
_REMARK = "one process, few calls: `bench run` measures"


def formats(
    model: Annotated[Path, typer.Argument(help="A .edgeseg bundle, a step's folder, or a model file.")],
    *,
    threads: Threads = DEFAULT.threads,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """One line per format, in seconds: does it run, how big, how good, how fast. A look; `run` measures."""
    with errors():
        with open_source([model], "all") as source, shown_progress() as progress:
            pixels, name = load_frame(None, source)
            result = measure(source.subjects, pixels, _glance(threads), frame_name=name, progress=progress)
        if as_json:
            put_json(to_json(result), indent=None)
        else:
            put(_lines(result))
        if not any(row.processes for row in result.rows):
            raise typer.Exit(1)


def _glance(threads: int) -> HarnessConfig:
    """Less than two seconds a format."""
    return HarnessConfig(
        threads=threads, processes=1, blocks=4, seconds=0.6, min_samples=12, warmup_cap_s=0.6, quick=True
    )


def _lines(result: BenchResult) -> str:
    """The table, and why a format has no time."""
    reasons = [f"{row.name}: {row.status}: {row.reason}" for row in result.rows if row.status != "ok"]
    return "\n".join([align(_COLUMNS, [_cells(row) for row in result.rows]), "", *reasons, _REMARK])


def _cells(row: Row) -> tuple[str, ...]:
    total, (dice, split) = row.distribution(), dice_of(row)
    values = (row.accuracy or {}).get(split or "", row.accuracy or {})
    miou = values.get("miou") if isinstance(values, dict) else None
    time = (f"{total.p50:.2f}", f"{1e3 / total.p50:.1f}") if total else ("-", "-")
    accuracy = ["-" if value is None else f"{value:.3f}" for value in (dice, miou)]
    return (row.name, row.status, f"{(row.model.bytes or 0) / 1e6:.2f}", *accuracy, *time)
