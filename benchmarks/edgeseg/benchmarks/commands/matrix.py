"""`bench matrix`: the same files at several numbers of threads, sizes and batches, as one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.commands.results import is_bad
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.matrix.cells import Cell, cells
from edgeseg.benchmarks.matrix.run import run_cells, table, table_csv
from edgeseg.benchmarks.options import (
    BenchmarkModel,
    Delegates,
    MeterName,
    MinSamples,
    Offline,
    On,
    Processes,
    Quick,
    Seconds,
    refuse_elsewhere,
    settled,
)
from edgeseg.benchmarks.progress import shown_progress
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.sources import EngineOnly, load_frame, open_source
from edgeseg.benchmarks.targets.address import find_address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.text.terminal import put


def matrix(
    models: Annotated[list[Path], typer.Argument(help="As `run` takes them; formats and precisions are its variants.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, one file a cell; what is there is not measured.")],
    threads: Annotated[str, typer.Option(help="Threads of the engine, with commas between.")] = "1,2,4",
    size: Annotated[str, typer.Option(help="Sizes of the frame, or of inputs that files leave open.")] = "",
    batch: Annotated[str, typer.Option(help="Engines alone: images of one inference.")] = "1",
    variant: Annotated[str, typer.Option(help="'all', or names with commas between.")] = "all",
    engine_only: Annotated[bool, typer.Option("--engine-only", help="Time the engine alone.")] = False,
    on: On = None,
    seconds: Seconds = None,
    min_samples: MinSamples = None,
    processes: Processes = None,
    quick: Quick = False,
    meter: MeterName = None,
    offline: Offline = None,
    benchmark_model: BenchmarkModel = None,
    delegate: Delegates = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
) -> None:
    """Measure every combination of threads, sizes and batches, one run each; a cell that cannot run is a row.

    The same command goes on where it was stopped; what was not measured, or was on another machine or with other
    software, is measured again. Exit code 1 if a cell or a variant failed, or none could run.
    """
    with errors():
        wanted = cells(threads, size, batch)
        addresses = [find_address(name) for name in dict.fromkeys(on or ["local"])]
        effort = {"seconds": seconds, "min_samples": min_samples, "processes": processes}
        config = settled(HarnessConfig(meter=meter), quick, gated=False, **effort)
        refuse_elsewhere(config, None, [one.name for one in addresses if one.scheme != "local"])
        wishes = Wishes(None, offline, False, benchmark_model, tuple(delegate or ()))

        @contextmanager
        def prepare(cell: Cell) -> Iterator[Measurement]:
            with open_source(models, variant, EngineOnly(engine_only, cell.sizes)) as source:
                yield cell.job(source, *load_frame(None, source), config)

        with shown_progress() as progress:
            outcomes = list(run_cells(wanted, addresses, prepare, wishes, out, progress))
        put(table_csv(outcomes) if as_csv else table(outcomes, targets=len(addresses) > 1))
        results = [one.found for one in outcomes if isinstance(one.found, BenchResult)]
        if len(results) < len(outcomes) or any(map(is_bad, results)):
            raise typer.Exit(1)
