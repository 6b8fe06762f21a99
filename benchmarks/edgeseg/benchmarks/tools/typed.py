"""What somebody typed in, or exported from what no script reaches, such as a phone's own report: JSON or CSV.

    name,engine,device,median_ms,n
    unet,Core ML,iPhone 13,12.5,100

JSON is the same as a list of objects, or an object with the key `rows`; it also takes `samples_ms`, a list.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.stats import describe
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.runtime.errors import MeasureError

_TIMES = {"median_ms": "p50", "mean_ms": "mean", "min_ms": "min", "max_ms": "max", "std_ms": "std"}
_TIMES |= {f"p{n}_ms": f"p{n}" for n in (90, 95, 99)} | {"first_ms": "first_ms"}
_OTHERS = ("name", "engine", "device", "precision", "threads", "size_mb", "n", "samples_ms")


def knows(text: str) -> bool:
    """Whether a text is such a table."""
    head = text.lstrip("\ufeff \n")
    return head.startswith(("[", "{")) or "_ms" in head.partition("\n")[0]


def read(text: str) -> list[ForeignRow]:
    """One row per line or object.

    Raises:
        MeasureError: A key is not known, or a row has no time.
    """
    rows = [_row(values, f"row {number}") for number, values in enumerate(_parsed(text.lstrip("\ufeff")), start=1)]
    if not rows:
        raise MeasureError("the table has no row")
    return rows


def _parsed(text: str) -> list[Mapping[str, Any]]:
    if not text.lstrip().startswith(("[", "{")):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise MeasureError(f"it is no JSON that can be read ({error}): was it cut off?") from error
    rows = document.get("rows") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MeasureError("the JSON is no list of objects, and has none under 'rows'")
    return rows


def _row(values: Mapping[str, Any], where: str) -> ForeignRow:
    unknown = [key for key in values if key not in _TIMES and key not in _OTHERS]
    if unknown:
        known = ", ".join((*_OTHERS, *_TIMES))
        raise MeasureError(f"{where}: {unknown[0]!r} is not known; there are {known}")
    given = {key: value for key, value in values.items() if value not in (None, "")}
    try:
        samples = tuple(float(value) for value in given.get("samples_ms", ()))
        found = describe(samples) if samples else None
        times = {name: float(given[key]) for key, name in _TIMES.items() if key in given}
        if found is not None:
            names = ("n", "min", "mean", "std", "p50", "p90", "p95", "p99", "max")
            times = {name: getattr(found, name) for name in names} | times
        if "p50" not in times and "mean" not in times:
            raise MeasureError(f"{where} has no median_ms, mean_ms or samples_ms")
        counted = times.pop("n", None)
        n = int(given["n"]) if "n" in given else counted
        return ForeignRow(
            name=str(given.get("name", "")),
            engine=str(given.get("engine", "not said")),
            told=Told(tool="typed in", stage="inference", n=n, samples_ms=samples, **times),  # type: ignore[arg-type]
            precision=given.get("precision"),
            threads=int(given["threads"]) if "threads" in given else None,
            size_mb=float(given["size_mb"]) if "size_mb" in given else None,
            device=given.get("device"),
        )
    except (TypeError, ValueError) as error:
        raise MeasureError(f"{where} has a value that is no number, or no time: {error}") from error
