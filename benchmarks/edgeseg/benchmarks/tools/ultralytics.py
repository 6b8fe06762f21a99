"""The table of Ultralytics' `yolo benchmark`, as pandas or as polars prints it."""

from __future__ import annotations

import re

from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.benchmarks.tools.one_run import refuse_several
from edgeseg.runtime.errors import MeasureError

_OK = "✅"
_ROW = re.compile(r"^\s*\d+\s+(.+?)\s+(✅|❎|❌)\S*\s*(.*)$")
_TIME = "Inference time (ms/im)"
_ONCE = ("Benchmarks complete for", re.escape(_TIME))


def knows(text: str) -> bool:
    """Whether a text is this tool's."""
    return _TIME in text and "Format" in text


def read(text: str) -> list[ForeignRow]:
    """One row per format.

    Raises:
        MeasureError: There is a head, and no row that can be read; or there are several tables.
    """
    refuse_several(text, "Ultralytics", _ONCE)
    title = re.search(r"Benchmarks complete for (\S+?)(?:\.\w+)? on .+? at (imgsz=\d+)", text)
    model = re.split(r"[/\\]", title[1])[-1] if title else ""
    setup = re.search(r"^(Ultralytics \S+).*?(CPU|CUDA:\d+)(?: \((.+?)\))?$", text, re.MULTILINE)
    rows = []
    for line in text.splitlines():
        found = _ROW.match(re.sub(r"[│┆|]", "  ", line))
        if found:
            rows.append(_row(found, model, setup[1] if setup else "Ultralytics", setup[3] if setup else None))
    if not rows:
        raise MeasureError("the table of Ultralytics has no row that can be read: give it from its head to its end")
    return rows


def _row(found: re.Match[str], model: str, tool: str, device: str | None) -> ForeignRow:
    """Size, metric, time and frames a second follow the status, and later ones where there was no failure."""
    form, status = found[1].strip(), found[2]
    values = [_number(word) for word in found[3].split()]
    size = values[0] if values else None
    time = values[2] if len(values) > 2 else None
    name = f"{model} {form}".strip()
    if status != _OK or not time:
        why = "exported, but its validation failed" if status == "❎" else "its export failed"
        return ForeignRow(name, form, None, f"Ultralytics: {why}", size_mb=size or None, device=device)
    return ForeignRow(name, form, Told(tool=tool, stage="inference", mean=time), size_mb=size or None, device=device)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:  # NaN is a float, null and - are not
        return None
    return value if value == value else None  # noqa: PLR0124
