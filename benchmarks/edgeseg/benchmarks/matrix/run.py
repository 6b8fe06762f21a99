"""Cell after cell: each is kept as soon as it is measured, so the same command goes on where it was stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.matrix.cells import Cell
from edgeseg.benchmarks.matrix.kept import Kept
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import write_result
from edgeseg.benchmarks.results.table import COLUMNS, align, table_rows, to_csv
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.run import run_on
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.runtime.errors import EdgesegError

_REMARK = "cells are runs of their own, one after the other: `bench compare` says what a difference is worth"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell on a target: a result, or why there is none; and why a kept result did not stand."""

    cell: Cell
    target: str
    found: BenchResult | EdgesegError
    again: str | None = None


def run_cells(
    cells: Sequence[Cell],
    addresses: Sequence[Address],
    prepare: Callable[[Cell], AbstractContextManager[Measurement]],
    wishes: Wishes,
    folder: Path,
    progress: Progress,
) -> Iterator[Outcome]:
    """Measure what is not there yet, or does not stand any more.

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
    kept = Kept(wishes)
    for index, cell in enumerate(cells):
        again: dict[str, str] = {}

        def told(done: float, what: str, index: int = index, cell: Cell = cell) -> None:
            progress((index + done) / len(cells), f"{' '.join(cell.texts)}: {what}")

        try:
            with prepare(cell) as job:
                name = cell.file(job, wishes)
                files = {one.name: folder / re.sub(r"[^A-Za-z0-9._-]+", "-", one.name) / name for one in addresses}
                found, again = _measured(addresses, job, kept, files, told)
        except EdgesegError as error:
            found = {one.name: error for one in addresses}
        yield from (Outcome(cell, one.name, found[one.name], again.get(one.name)) for one in addresses)


def _measured(
    addresses: Sequence[Address], job: Measurement, kept: Kept, files: Mapping[str, Path], progress: Progress
) -> tuple[dict[str, BenchResult | EdgesegError], dict[str, str]]:
    """What was kept or is measured now, by target, and why kept results did not stand."""
    found: dict[str, BenchResult | EdgesegError] = {}
    again: dict[str, str] = {}
    for one in addresses:
        try:
            looked = kept.look(one, files[one.name])
        except EdgesegError as error:
            found[one.name] = error
            continue
        if isinstance(looked, BenchResult):
            found[one.name] = looked
        elif looked is not None:
            again[one.name] = looked
    missing = [one for one in addresses if one.name not in found]
    measured = run_on(missing, job, kept.wishes, progress) if missing else {}
    for name, result in measured.items():
        if isinstance(result, BenchResult):
            files[name].parent.mkdir(parents=True, exist_ok=True)
            write_result(result, files[name])
    return found | measured, again


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
        reasons += [f"{cell}: measured again, the kept result does not stand: {one.again}"] if one.again else []
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
