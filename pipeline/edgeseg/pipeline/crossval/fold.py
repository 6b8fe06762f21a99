"""One fold: a run of its own on the fold's data set, and the test scores of teacher, student and what ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.crossval.pool import Record
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.run import chain_in, run_chain
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.image_score import ImageScore


@dataclass(frozen=True)
class FoldResult:
    """What a fold's run has come to.

    Attributes:
        row: Of the record: what ships and what it costs, or why there is nothing to test.
        scores: On the fold's test images, by name of `pool.ROWS`; None where no network holds the budget.
    """

    row: Record
    scores: dict[str, list[ImageScore]] | None


# (folder of the fold with its data set in data/, told what is done) -> its result
FoldRun = Callable[[Path, ChainProgress], FoldResult]


def fold_run(recipe: Recipe, shared: Path) -> FoldRun:
    """The real thing: everything is trained, searched and measured anew; only the target's layer times are shared.

    Args:
        recipe: Of the folds, with a budget.
        shared: Where runs keep what is known of this machine.
    """

    def run(root: Path, progress: ChainProgress) -> FoldResult:
        chain = chain_in(root, recipe, root / "data", images=False, shared=shared)
        report = run_chain(chain, progress).report
        assert report is not None, "the whole chain was run"
        row, tested = read_fold(report, recipe)
        if tested is None:
            return FoldResult(row, None)
        places = {name: chain.folder(f"test_{step}").files / "scores.json" for name, step in tested.items()}
        return FoldResult(row, {name: load_scores(path) for name, path in places.items()})

    return run


def read_fold(report: Mapping[str, Any], recipe: Recipe) -> tuple[Record, dict[str, str] | None]:
    """A fold's row by its report, and which row of the report is tested for each of `pool.ROWS`.

    What a gate refuses is tested as well, or the folds with the largest losses would be the ones that do not count.

    Args:
        report: Content of report.json.
        recipe: Of the fold.
    """
    search, rows = report["search"] or {}, {row["name"]: row for row in report["steps"]}
    made = {"created": report["created"], "git_commit": report["git_commit"], "warnings": report["warnings"]}
    made |= {"target_identity": search.get("target_identity"), "way": search.get("way")}
    made["n_disturbed"] = (search.get("prediction") or {}).get("n_disturbed")
    name = report["shipped"]["step"] or _would_ship(rows, report)
    if name is None:
        missed = search.get("status") == "budget not met"
        return made | {"status": search["status"] if missed else "failed", "reason": report["shipped"]["reason"]}, None
    row, kept = rows[name], ("variant", "bytes", "sha256", "latency_ms", "speedup_vs_reference")
    made |= {"network": search["chosen"]["name"], "reference_bytes": rows["reference"]["bytes"]}
    made |= {"not_learned": skill_refusal(row["skill"], recipe.gates.min_skill)} | {key: row[key] for key in kept}
    made |= {"refused": _refused(row, report["shipped"]), "over_budget": report["shipped"]["over_budget"]}
    return made, {"teacher": "teacher", "student": report["chosen"]["choose_student"]["student"], "shipped": name}


def _would_ship(rows: Mapping[str, Mapping[str, Any]], report: Mapping[str, Any]) -> str | None:
    """The INT8 file for the budget's target, as the search compared its networks, where it was scored on test."""
    target = report["recipe"]["settings"]["budget"]["target"]
    fits = [name for name, row in rows.items() if row["precision"] == "int8" and row["target"] == target]
    return next((name for name in fits if rows[name]["variant"] and rows[name]["accuracy"].get("test")), None)


def _refused(row: Mapping[str, Any], shipped: Mapping[str, Any]) -> str | None:
    """Why a fold ships nothing; its row was tested all the same."""
    if shipped["step"] is not None:
        return None
    return str(row["reason"] or "; ".join((row.get("refused_for") or {}).values()) or shipped["reason"])
