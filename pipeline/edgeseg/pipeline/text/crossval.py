"""What `edgeseg crossval` prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.crossval.pool import ROWS, drop_words
from edgeseg.pipeline.learned.told import warning_lines
from edgeseg.pipeline.text.shown import simple_table

if TYPE_CHECKING:
    from edgeseg.pipeline.crossval.crossval import CrossvalResult

_STYLES = {"not worse": "bold green", "not shown": "bold yellow", "worse": "bold red"}


def crossval_json(result: CrossvalResult) -> dict[str, Any]:
    """Where it is, and the record as it is on disk."""
    return {"passed": result.passed, "crossval_json": str(result.path), "crossval": result.record}


def crossval_text(result: CrossvalResult) -> RenderableType:
    """A line a fold, one for all together, and what they show."""
    record = result.record
    pooled = record["pooled"]
    columns = ("fold", "network", "images", *(f"Dice {name}" for name in ROWS), "drop [points]", "ms", "kB")
    rows = [(str(one["fold"]), one.get("network") or one["status"], *_cells(one)) for one in record["folds"]]
    rows += [("all", "", *_cells(pooled))] if pooled else []
    lines: list[RenderableType] = [simple_table(columns, rows), Text("")]
    lines += [Text(f"fold {one['fold']}: {told}", "yellow") for one in record["folds"] for told in _told(one)]
    lines += [Text(_regions(pooled["accuracy"], pooled["recall_drop"]))] if pooled and pooled["recall_drop"] else []
    lines += [Text(note, "dim") for note in _notes(record)]
    drop = pooled["drop"] if pooled else None
    style = _STYLES[drop["verdict"]] if drop else "bold red"
    return Group(*lines, Text(record["sentence"], style), Text(f"record  {result.path}"), *warning_lines(record))


def _told(fold: dict[str, Any]) -> list[str]:
    """Why a fold has no figures, ships nothing all the same, or ships what is beyond the budget."""
    told = [f"{fold['status']}: {fold['reason']}"] if fold["reason"] else []
    told += [f"refused: {fold['refused']}"] if fold.get("refused") else []
    return told + ([f"over the budget: {'; '.join(fold['over_budget'])}"] if fold.get("over_budget") else [])


def _cells(one: dict[str, Any]) -> tuple[object, ...]:
    """Images, Dice of each row, drop, milliseconds and bytes; None where there is none."""
    if "accuracy" not in one:
        return (one["images"]["test"], *(None for _ in range(len(ROWS) + 3)))
    dice = [one["accuracy"][name]["dice_mean"] for name in ROWS]
    drop, total = one["drop"], (one.get("latency_ms") or {}).get("total")
    return (
        one["accuracy"]["shipped"]["n_images"],
        *(None if value is None else f"{100 * value:.2f}" for value in dice),
        None if drop is None else f"{100 * drop['mean']:+.2f}",
        None if not total else f"{total['p50']:.2f}",
        f"{one['bytes'] / 1e3:.0f}" if one.get("bytes") else None,
    )


def _regions(accuracy: dict[str, Any], drop: dict[str, Any]) -> str:
    found = ", ".join(f"{name} {accuracy[name]['region_recall']:.3f}" for name in ROWS)
    n_regions = accuracy["shipped"]["n_regions"]
    return f"regions found, of {n_regions}: {found}; teacher to shipped: {drop_words(drop)}, {drop['verdict']}"


def _notes(record: dict[str, Any]) -> list[str]:
    """What a reader has to know about where the folds come from."""
    notes = []
    told = {key: value for one in record["folds"] for key, value in (one.get("recorded_with") or {}).items()}
    if told:
        said = ", ".join(f"{key} {value}" for key, value in sorted(told.items()))
        notes.append(f"answers of an earlier version of edgeseg, to a recipe that also said {said}")
    disturbed = [str(one["fold"]) for one in record["folds"] if one.get("n_disturbed")]
    if disturbed:
        notes.append(f"other programs disturbed the measurements of fold {', '.join(disturbed)}: see its report.html")
    return notes
