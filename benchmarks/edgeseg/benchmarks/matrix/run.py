"""Cell after cell: each is kept as soon as it is measured, so the same command goes on where it was stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.matrix.cells import Cell
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result, write_result
from edgeseg.benchmarks.results.table import COLUMNS, align, table_rows, to_csv
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.run import run_on
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.runtime.errors import EdgesegError

_REMARK = "cells are runs of their own, one after the other: `bench compare` says what a difference is worth"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell on a target: a result, or why there is none."""

    cell: Cell
    target: str
    found: BenchResult | EdgesegError


def run_cells(
    cells: Sequence[Cell],
    addresses: Sequence[Address],
    prepare: Callable[[Cell], AbstractContextManager[Measurement]],
    wishes: Wishes,
    folder: Path,
    progress: Progress,
) -> Iterator[Outcome]:
    """Measure what is not there yet.

    Args:
        cells: In order.
        addresses: Of different names; they measure a cell side by side.
        prepare: Makes the measurement of a cell.
        wishes: What the user wants of targets.
        folder: Of results, one folder a target.
        progress: Told how far all cells are.

    Yields:
        One outcome per cell and target. A cell that cannot be prepared, or a target that is lost, costs its own.
    """
    for index, cell in enumerate(cells):

        def told(done: float, what: str, index: int = index, cell: Cell = cell) -> None:
            progress((index + done) / len(cells), f"{' '.join(cell.texts)}: {what}")

        try:
            with prepare(cell) as job:
                name = cell.file(job, wishes.delegates)
                files = {one.name: folder / re.sub(r"[^A-Za-z0-9._-]+", "-", one.name) / name for one in addresses}
                found = _measured(addresses, job, wishes, files, told)
        except EdgesegError as error:
            found = {one.name: error for one in addresses}
        yield from (Outcome(cell, one.name, found[one.name]) for one in addresses)


def _measured(
    addresses: Sequence[Address], job: Measurement, wishes: Wishes, files: Mapping[str, Path], progress: Progress
) -> dict[str, BenchResult | EdgesegError]:
    kept: dict[str, BenchResult | EdgesegError] = {
        name: read_result(file) for name, file in files.items() if file.is_file()
    }
    missing = [one for one in addresses if one.name not in kept]
    found = run_on(missing, job, wishes, progress) if missing else {}
    for name, result in found.items():
        if isinstance(result, BenchResult):
            files[name].parent.mkdir(parents=True, exist_ok=True)
            write_result(result, files[name])
    return kept | found


def table(outcomes: Sequence[Outcome], *, targets: bool) -> str:
    """One table of all cells, and why rows have no time.

    Args:
        outcomes: Of `run_cells`.
        targets: Tell the targets apart.
    """
    columns = ("threads", "size", "batch", *COLUMNS)
    rows, reasons = [], []
    for one in outcomes:
        where = (one.target,) if targets else ()
        cell = " ".join((*where, *one.cell.texts))
        if isinstance(one.found, BenchResult):
            rows += [(*where, *one.cell.texts, *cells) for cells in table_rows(one.found)]
            lost = [row for row in one.found.rows if row.status != "ok"]
            reasons += [f"{cell}: {row.name}: {row.status}: {row.reason}" for row in lost]
        else:
            rows.append((*where, *one.cell.texts, "-", "failed", *["-"] * (len(COLUMNS) - 2)))
            reasons.append(f"{cell}: failed: {one.found}")
    head = ("target", *columns) if targets else columns
    return "\n".join([align(head, rows), "", *reasons, _REMARK])


def table_csv(outcomes: Sequence[Outcome]) -> str:
    """The same with full precision: the columns of a result's CSV behind those of the cell."""
    lines: list[str] = []
    for one in outcomes:
        if isinstance(one.found, BenchResult):
            head, *rows = to_csv(one.found).splitlines()
            lines = lines or [f"target,size,batch,{head}"]
            lines += [f"{one.target},{one.cell.size or 'own'},{one.cell.batch},{row}" for row in rows]
    return "\n".join(lines)
