"""Another tool's output as a result of ours: evidence `imported`, for ever."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

from edgeseg.benchmarks.results.result import BenchResult, ModelFile, Row
from edgeseg.benchmarks.tools import TOOLS
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.runtime.errors import EdgesegError, MeasureError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.text.textfile import read_text


def import_file(path: Path, device: str | None = None, model: Path | None = None) -> BenchResult:
    """Read what a tool printed or wrote.

    Args:
        path: Its output; judged by the content.
        device: What the machine was, as the user says; `None`: as the tool says, if it does.
        model: The file that was measured, where the user has it: the row gets its hash and size.

    Raises:
        MeasureError: The file is of no tool that is known, was cut off, or has several models beside `--model`.
    """
    text = _text(path)
    rows = _rows(path, text)
    if model is not None and len(rows) > 1:
        raise MeasureError(f"--model {model}: {path} has {len(rows)} models, so which of them it is cannot be told")
    devices = {row.device for row in rows if row.device}
    told = device or ("; ".join(sorted(devices)) or None)
    return BenchResult(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        evidence="imported",
        config=None,
        frame=None,
        device={"name": told},
        software={},
        before={},
        after={},
        duration_s=0.0,
        rows=_named(rows, path, model),
    )


def _text(path: Path) -> str:
    kind = kind_of(path)
    if kind.key not in ("json", "text", "utf16"):
        raise MeasureError(refusal(path, "the output of a tool", kind))
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise MeasureError(f"{path} cannot be read: {error}") from error


def _rows(path: Path, text: str) -> list[ForeignRow]:
    for name, (knows, read) in TOOLS.items():
        try:
            if knows(text):
                return read(text)
        except (EdgesegError, ValueError) as error:
            raise MeasureError(f"{path} ({name}): {error}") from error
    raise MeasureError(f"{path} is of no tool that is known: {', '.join(TOOLS)}. Give all of what the tool printed")


def _named(rows: list[ForeignRow], path: Path, model: Path | None) -> tuple[Row, ...]:
    """Rows of ours; names are unique, since rows are asked for by name."""
    found: dict[str, Row] = {}
    for one in rows:
        wanted = name = one.name or path.stem
        n = 1
        while name in found:
            n += 1
            name = f"{wanted} ({n})"
        found[name] = _row(replace(one, name=name), model)
    return tuple(found.values())


def _row(one: ForeignRow, model: Path | None) -> Row:
    size = round(one.size_mb * 1e6) if one.size_mb else None
    file = ModelFile(sha256_file(model), model.stat().st_size) if model else ModelFile(None, size)
    return Row(
        name=one.name,
        status="ok" if one.told else "failed",
        reason=one.reason,
        model=file,
        backend=one.engine,
        precision=one.precision,
        threads=one.threads,
        told=(one.told,) if one.told else (),
    )
