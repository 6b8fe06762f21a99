"""`edgeseg crossval` over three folds of drawn images: runs of their own, resumed, pooled, and what can go wrong."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.commands.crossval import carry_out_crossval
from edgeseg.pipeline.crossval.added import leave_unsaid
from edgeseg.pipeline.crossval.crossval import Crossval, CrossvalResult, fold_weights
from edgeseg.pipeline.crossval.fold import FoldResult, FoldRun, fold_run, read_fold
from edgeseg.pipeline.crossval.folds import divide, join_copies, write_fold
from edgeseg.pipeline.crossval.order import CrossvalOrder, reduced
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.rounds import Start
from edgeseg.pipeline.search.search import search_network
from edgeseg.pipeline.text.crossval import crossval_json, crossval_text
from edgeseg.runtime.data.dataset import open_dataset, split_hash
from edgeseg.runtime.errors import ConfigError, MeasureError, TrainingError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

from ..fake_target import FakeProbe, fake_lab, torch_scorer

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 24, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
train:
  {batch_size: 4, workers: 0, validate_every: 1, threads: 1, precision: float32, augment: {p_elastic: 0, p_grid: 0}}
reference: {base: 4, depth: 3}
teacher: {base: 4, depth: 3, epochs: 1}
student: {width: 0.25, depth: 0.5, stages: 4, epochs: 1}
quantize: {images: 8, method: minmax}
bench: {processes: 1, blocks: 1, seconds: 0.05, min_samples: 3, warmup_cap_s: 0.2, threads: 1}
fit: {search_epochs: 1, rounds: 1, round_epochs: 1, final_epochs: 1, corrections: 2}
"""
BUDGET = "latency_ms=100"
SIZE = (64, 64)


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def order(recipe_file: Path, out: Path, *assignments: str, **options: Any) -> CrossvalOrder:
    return CrossvalOrder(str(recipe_file), "x86-ort", BUDGET, None, out, assignments, **options)


# Three folds on a made-up target


class Folds:
    """Runs a fold from an untrained student, with everything that a real search keeps; scored by torch."""

    def __init__(self, recipe: Recipe, limit_ms: float) -> None:
        self.recipe, self.budget = recipe, Budget("x86-ort", latency_ms=limit_ms)
        self.gone: Callable[[], bool] = lambda: False

    def __call__(self, root: Path, progress: Any) -> FoldResult:
        data_root, split_file = root / "data", root / "split.csv"
        lab = fake_lab(root, self.recipe, data_root, self.budget, FakeProbe(SIZE, self.gone))
        lab.progress = progress
        torch.manual_seed(0)
        student = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)).eval()
        save_checkpoint(root / "student", student, {})
        start = Start(student, lab.measure(student), None, root / "student")
        found = search_network(lab, start, taught=False, reference_ms=10.0)
        assert found.checkpoint is not None
        score = torch_scorer(data_root, self.recipe, split_file, "test")
        winner, _ = load_checkpoint(found.checkpoint)
        before = score("student", student)
        row, tested = read_fold(a_report(found.record), self.recipe)
        assert tested == {"teacher": "teacher", "student": "student_alone", "shipped": "onnx_int8"}
        return FoldResult(row, {"teacher": before, "student": before, "shipped": score("shipped", winner)})


def a_report(search: dict[str, Any], **change: Any) -> dict[str, Any]:
    """What of a report.json a fold is read from."""
    row = {"variant": None, "precision": "fp32", "target": "x86-ort", "bytes": 90_000, "reason": None}
    shipped = {"name": "onnx_int8", "variant": "onnx-int8-x86", "precision": "int8", "bytes": 50_000, "sha256": "0"}
    shipped |= {"latency_ms": {"total": {"p50": 1.0}}, "speedup_vs_reference": None, "accuracy": {"test": {"n": 8}}}
    report = {
        "created": "2026-11-28T00:00:00Z",
        "git_commit": None,
        "warnings": [],
        "search": search,
        "steps": [
            row | {"name": "reference", "bytes": 310_000},
            row | {"name": "teacher"},
            row | shipped | {"skill": None},
        ],
        "shipped": {"step": "onnx_int8", "over_budget": [], "reason": "fast"},
        "chosen": {"choose_student": {"student": "student_alone"}},
        "recipe": {"settings": {"budget": {"target": "x86-ort"}}},
    }
    return report | change


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path) -> Crossval:
    from edgeseg.train.synthetic.dataset import write_dataset

    root = tmp_path_factory.mktemp("crossval")
    write_dataset(root / "metal", n=24, seed=0, size_px=64)
    data = join_copies(open_dataset(root / "metal"))
    asked = order(recipe_file, root, way="group_l2-widths")
    recipe = reduced(asked)
    full = FakeProbe(SIZE).measure(build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)))
    assert full.total_ms is not None
    return Crossval(
        root=root / "tiny" / "crossval",
        name="tiny",
        data=data,
        splits=divide(data, 3, seed=0),
        run_fold=Folds(recipe, 0.7 * full.total_ms),
        max_drop=0.005,
        question={"recipe": recipe.to_json()},
    )


ABOUT = {"way": {"name": "group_l2-widths", "source": "--way"}}


def printed(result: CrossvalResult) -> str:
    from rich.console import Console

    console = Console(width=240, record=True, file=io.StringIO())
    console.print(crossval_text(result))
    return console.export_text()


def finished(job: Crossval) -> dict[Path, int]:
    """Trainings on disk, with the moment each was finished."""
    return {path: path.stat().st_mtime_ns for path in job.root.glob("fold_*/search/trainings/*/done.json")}


@pytest.fixture(scope="module")
def validated(job: Crossval) -> tuple[dict[Path, int], CrossvalResult]:
    """A cross-validation whose target disappeared in the second fold, gone on with."""
    fold = job.run_fold
    assert isinstance(fold, Folds)
    fold.gone = lambda: len(finished(job)) >= 1
    with pytest.raises(MeasureError, match="run the same command again"):
        job.run(ABOUT, no_progress)
    assert not (job.root / "tiny.json").exists()
    early, fold.gone = finished(job), lambda: False
    return early, job.run(ABOUT, no_progress)


def test_a_fold_that_has_learned_nothing_fails_the_gate(validated: Any) -> None:
    result = validated[1]
    said = {"kind": "no_skill", "step": "shipped", "message": "it has learned nothing", "remedy": "train longer"}
    fine = {**result.record["pooled"], "drop": {**result.record["pooled"]["drop"], "verdict": "not worse"}}
    record = result.record | {"pooled": fine}
    assert CrossvalResult(record, result.path).passed
    first, *others = record["folds"]
    record |= {"folds": [first | {"not_learned": "it has learned nothing"}, *others], "warnings": [said | {"fold": 0}]}
    assert not CrossvalResult(record, result.path).passed
    assert "warning: fold 0: shipped: it has learned nothing" in printed(CrossvalResult(record, result.path))


def test_folds_keep_what_their_runs_warn_of(validated: Any) -> None:
    record = validated[1].record
    assert all(row["not_learned"] is None and isinstance(row["warnings"], list) for row in record["folds"])
    assert {one["fold"] for one in record["warnings"]} <= {0, 1, 2}
    assert len(record["warnings"]) == sum(len(row["warnings"]) for row in record["folds"])


def test_every_image_is_tested_once_and_pooled(job: Crossval, validated: Any) -> None:
    result = validated[1]
    record = json.loads(result.path.read_text())
    assert record == json.loads(json.dumps(result.record)) and record["schema_version"] == 2
    assert [row["images"]["test"] for row in record["folds"]] == [8, 8, 8] and record["n_folds_tested"] == 3
    assert [row["drop"]["n_images"] for row in record["folds"]] == [8, 8, 8]
    pooled = record["pooled"]
    assert pooled["drop"]["n_images"] == 24 and pooled["accuracy"]["shipped"]["n_images"] == 24
    assert pooled["drop"]["n_groups"] == record["data"]["n_groups"] and pooled["accuracy"]["teacher"]["n_regions"] > 0
    assert pooled["drop"]["verdict"] in ("not worse", "not shown", "worse")
    assert result.passed == (pooled["drop"]["verdict"] != "worse")


def _not_worse(result: CrossvalResult, fold: dict[str, Any]) -> CrossvalResult:
    """As if it had come out well, but for what its first fold says."""
    record = copy.deepcopy(result.record)
    record["pooled"]["drop"]["verdict"] = "not worse"
    record["folds"][0] |= fold
    return CrossvalResult(record, result.path)


@pytest.mark.parametrize(
    ("fold", "passed", "line"),
    [
        ({}, True, ""),
        ({"refused": "val Dice is 4.00 points below"}, False, "fold 0: refused: val Dice is 4.00 points below"),
        (
            {"over_budget": ["bytes is 9", "macs is 8"]},
            True,
            "fold 0: over the budget: bytes is 9; macs is 8",
        ),
        ({"status": "budget not met", "reason": "Best: 3 ms."}, False, "fold 0: budget not met: Best: 3 ms."),
        ({"status": "failed", "reason": "loss is nan"}, False, "fold 0: failed: loss is nan"),
        ({"status": "not run", "reason": "not here"}, True, "fold 0: not run: not here"),
    ],
)
def test_a_fold_that_ships_nothing_or_too_much_is_told(
    validated: Any, fold: dict[str, Any], passed: bool, line: str
) -> None:
    result = _not_worse(validated[1], fold)
    assert result.passed is passed and line in printed(result)


def test_a_recorded_fold_knows_no_refusals(validated: Any) -> None:
    result = _not_worse(validated[1], {})
    for row in result.record["folds"]:
        for key in ("refused", "over_budget", "not_learned"):
            row.pop(key, None)
    assert result.passed and "refused" not in printed(result)


def test_each_fold_is_a_search_of_the_method_alone(job: Crossval, validated: Any) -> None:
    for row in validated[1].record["folds"]:
        assert row["network"] == "pruned" and row["way"] == "group_l2-widths"
        assert row["latency_ms"]["total"]["p50"] == 1.0 and row["bytes"] == 50_000
    names = {path.parent.name for path in finished(job)}
    assert names == {"final_0"}  # one seed, one round, no baseline
    assert len({path.parent.parent for path in finished(job)}) == 3


def test_what_a_gate_refuses_is_tested_as_well(validated: Any, recipe_file: Path, tmp_path: Path) -> None:
    """Or the folds that lose most would not count."""
    search = {"status": "ok", "chosen": {"name": "pruned"}, "prediction": {"n_disturbed": 0}}
    nothing = {"step": None, "over_budget": [], "reason": "no variant holds all budgets"}
    row, tested = read_fold(a_report(search, shipped=nothing), reduced(order(recipe_file, tmp_path)))
    assert tested is not None and tested["shipped"] == "onnx_int8" and row["network"] == "pruned"
    assert row["refused"] == "no variant holds all budgets"
    steps = a_report(search)["steps"]
    slow = [*steps[:2], steps[2] | {"refused_for": {"x86-ort": "2.0 times the reference's speed"}}]
    row, _ = read_fold(a_report(search, shipped=nothing, steps=slow), reduced(order(recipe_file, tmp_path)))
    assert row["refused"] == "2.0 times the reference's speed"
    row, _ = read_fold(a_report(search), reduced(order(recipe_file, tmp_path)))
    assert row["refused"] is None
    unscored = [one | {"accuracy": {"test": None}} for one in steps]
    missed = a_report(search | {"status": "budget not met"}, shipped=nothing, steps=unscored)
    row, tested = read_fold(missed, reduced(order(recipe_file, tmp_path)))
    assert tested is None and row["status"] == "budget not met" and row["reason"] == nothing["reason"]


def test_what_was_done_is_not_done_again(job: Crossval, validated: Any) -> None:
    early, first = validated
    before = finished(job)
    assert early and early.items() <= before.items()
    again = job.run(ABOUT, no_progress)
    assert finished(job) == before
    assert again.record["pooled"] == first.record["pooled"] and again.record["folds"] == first.record["folds"]


def test_it_is_told_in_a_table_and_in_json(validated: Any) -> None:
    result = validated[1]
    text = printed(result)
    assert "Dice shipped" in text and result.record["sentence"] in text and str(result.path) in text
    pooled = result.record["pooled"]
    told = f"teacher to shipped: drop {100 * pooled['recall_drop']['mean']:+.2f} points, 95 % interval"
    assert f"regions found, of {pooled['accuracy']['shipped']['n_regions']}: teacher" in text and told in text
    assert crossval_json(result)["passed"] == result.passed


# Folds on several machines


def refuse(root: Path, progress: Any) -> FoldResult:
    raise AssertionError(f"{root} was run again")


def test_folds_of_several_machines_are_joined(job: Crossval, validated: Any, tmp_path: Path) -> None:
    whole = validated[1].record
    here = dataclasses.replace(job, root=tmp_path / "here", run_fold=refuse, only=())
    result = here.run(ABOUT, no_progress)
    assert [row["status"] for row in result.record["folds"]] == ["not run"] * 3 and not result.passed
    answers = {int(path.name[5]): path for path in (job.root / job.name).iterdir()}
    for number in (0, 2):
        shutil.copytree(answers[number], here.root / job.name / answers[number].name)
    partly = here.run(ABOUT, no_progress)
    assert partly.record["n_folds_tested"] == 2 and "16 of 24 images" in partly.record["sentence"]
    assert "fold 1: not run: it was not to be run here, and no answer is there" in printed(partly)
    shutil.copytree(answers[1], here.root / job.name / answers[1].name)
    joined = dataclasses.replace(here, only=None).run(ABOUT, no_progress)
    assert joined.record["folds"] == whole["folds"] and joined.record["pooled"] == whole["pooled"]


def test_only_the_folds_that_are_named_are_fitted(job: Crossval, tmp_path: Path) -> None:
    asked: list[int] = []

    def outcome(number: int) -> Exception:
        asked.append(number)
        return TrainingError("loss is nan")

    dataclasses.replace(job, root=tmp_path, run_fold=failing(job, outcome), only=(1,)).run(ABOUT, no_progress)
    assert asked == [1]


def test_an_answer_to_another_question_is_not_used(job: Crossval, validated: Any, tmp_path: Path) -> None:
    shutil.copytree(job.root / job.name, tmp_path / job.name)
    base = dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=())
    assert base.run(ABOUT, no_progress).record["n_folds_tested"] == 3
    swapped = [job.splits[1], job.splits[0], job.splits[2]]
    assert dataclasses.replace(base, splits=swapped).run(ABOUT, no_progress).record["n_folds_tested"] == 1
    recipe = job.question["recipe"]
    longer = {"recipe": recipe | {"teacher": recipe["teacher"] | {"epochs": 9}}}
    other = dataclasses.replace(base, question=longer).run(ABOUT, no_progress)
    assert other.record["n_folds_tested"] == 0 and "1 other question(s)" in other.record["folds"][0]["reason"]
    stricter = dataclasses.replace(base, max_drop=0.0).run(ABOUT, no_progress)
    assert stricter.record["n_folds_tested"] == 3 and stricter.record["max_drop"] == 0.0


def test_answers_of_an_earlier_version_are_joined_and_told_but_never_run_with(
    job: Crossval, validated: Any, tmp_path: Path
) -> None:
    shutil.copytree(job.root / job.name, tmp_path / job.name)
    recipe = job.question["recipe"]
    for path in (tmp_path / job.name).glob("fold_*/fold.json"):
        stored = json.loads(path.read_text())
        stored["question"]["recipe"]["quantize"] |= {"method": "auto", "score_images": 32}
        path.write_text(json.dumps(stored))
        path.parent.rename(path.parent.with_name(path.parent.name[:7] + "earlier"))
    joined = dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=()).run(ABOUT, no_progress)
    assert joined.record["pooled"] == validated[1].record["pooled"]
    assert joined.record["folds"][0]["recorded_with"] == {"quantize.method": "auto", "quantize.score_images": 32}
    assert "to a recipe that also said quantize.method auto, quantize.score_images 32" in printed(joined)
    longer = {"recipe": recipe | {"teacher": recipe["teacher"] | {"epochs": 9}}}
    other = dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=(), question=longer)
    assert other.run(ABOUT, no_progress).record["n_folds_tested"] == 0
    again = dataclasses.replace(job, root=tmp_path, run_fold=failing(job, lambda _: TrainingError("asked")), only=None)
    assert [row["reason"] for row in again.run(ABOUT, no_progress).record["folds"]] == ["asked"] * 3


LATER = {
    "distill.flips": True,
    "distill.calibrate": True,
    "distill.channel_weight": 3.0,
    "gates.max_region_recall_drop": 0.02,
    "quantize.qat": {"target": "x86-ort", "epochs": 3},
    "train.ema": 0.05,
    "train.to_come": 1,
}


@pytest.mark.parametrize("key", LATER)
@pytest.mark.parametrize("said", ["today", "then"])
def test_a_setting_that_only_one_side_knows_makes_another_question(
    job: Crossval, validated: Any, tmp_path: Path, key: str, said: str
) -> None:
    """A recorded fold that has not heard of a setting does not answer for it, nor one that was told it for the rest."""

    def without(recipe: dict[str, Any]) -> dict[str, Any]:
        recipe = json.loads(json.dumps(recipe)) | {"train": recipe["train"] | {"ema": 0.0}}
        leave_unsaid(recipe)
        return recipe

    section, _, name = key.partition(".")
    plain = without(job.question["recipe"])
    told = plain | {section: plain[section] | {name: LATER[key]}}
    shutil.copytree(job.root / job.name, tmp_path / job.name)
    for path in (tmp_path / job.name).glob("fold_*/fold.json"):
        stored = json.loads(path.read_text())
        stored["question"]["recipe"] = told if said == "then" else plain
        path.write_text(json.dumps(stored))
        path.parent.rename(path.parent.with_name(path.parent.name[:7] + "earlier"))
    base = dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=())

    def n_tested(recipe: dict[str, Any]) -> int:
        n: int = dataclasses.replace(base, question={"recipe": recipe}).run(ABOUT, no_progress).record["n_folds_tested"]
        return n

    gone = 3 if (said, key) == ("then", "train.to_come") else 0  # what none can say any more is told, not refused
    assert n_tested(plain if said == "then" else told) == gone
    assert n_tested(told if said == "then" else plain) == 3


def test_a_half_written_answer_is_none(job: Crossval, validated: Any, tmp_path: Path) -> None:
    shutil.copytree(job.root / job.name, tmp_path / job.name)
    next((tmp_path / job.name).glob("fold_1-*/fold.json")).unlink()
    result = dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=()).run(ABOUT, no_progress)
    assert [row["status"] for row in result.record["folds"]] == ["ok", "not run", "ok"]


def test_two_processes_are_not_at_one_fold(job: Crossval, tmp_path: Path) -> None:
    other: list[Exception] = []
    alone = dataclasses.replace(job, root=tmp_path, only=(1,))

    def fold(root: Path, progress: Any) -> FoldResult:
        with pytest.raises(ConfigError, match=r"fold_1 is being filled by another.*--fold") as caught:
            alone.run(ABOUT, no_progress)
        other.append(caught.value)
        raise TrainingError("loss is nan")

    dataclasses.replace(alone, run_fold=fold).run(ABOUT, no_progress)
    assert other


@pytest.mark.parametrize("only", [(1,), ()])
def test_another_division_leaves_a_running_fold_s_split_alone(
    job: Crossval, tmp_path: Path, only: tuple[int, ...]
) -> None:
    four = dataclasses.replace(job, root=tmp_path, splits=divide(job.data, 4, seed=0), only=only)
    splits: list[str] = []

    def fold(root: Path, progress: Any) -> FoldResult:
        before = split_hash(open_dataset(root / "data"))
        if only:
            with pytest.raises(ConfigError, match="being filled by another"):
                four.run(ABOUT, no_progress)
        else:
            four.run(ABOUT, no_progress)
        splits.extend([before, split_hash(open_dataset(root / "data"))])
        raise TrainingError("loss is nan")

    dataclasses.replace(job, root=tmp_path, only=(1,), run_fold=fold).run(ABOUT, no_progress)
    assert len(splits) == 2 and splits[0] == splits[1]


def test_views_of_an_answered_fold_are_removed(job: Crossval, tmp_path: Path) -> None:
    missed = FoldResult({"status": "budget not met", "reason": "Best reached: 3 ms."}, None)

    def fold(root: Path, progress: Any) -> FoldResult:
        (root / "views").mkdir()
        return missed

    dataclasses.replace(job, root=tmp_path, run_fold=fold, only=(0,)).run(ABOUT, no_progress)
    assert not (tmp_path / "fold_0" / "views").exists()
    told = (
        dataclasses.replace(job, root=tmp_path, run_fold=refuse, only=(0,)).run(ABOUT, no_progress).record["folds"][0]
    )
    assert told["status"] == "budget not met" and told["reason"] == "Best reached: 3 ms."


# Folds that come to nothing


def failing(job: Crossval, outcome: Callable[[int], Any]) -> FoldRun:
    def fold(root: Path, progress: Any) -> FoldResult:
        found = outcome(int(root.name.removeprefix("fold_")))
        if isinstance(found, Exception):
            raise found
        return job.run_fold(root, progress) if found is None else found

    return fold


def test_a_fold_that_fails_is_a_row_with_its_reason(job: Crossval, validated: Any) -> None:
    missed = FoldResult({"status": "budget not met", "reason": "Best reached: 3 ms."}, None)
    outcomes = {0: TrainingError("loss is nan"), 1: missed, 2: None}
    result = dataclasses.replace(job, name="failing", run_fold=failing(job, outcomes.__getitem__)).run(
        ABOUT, no_progress
    )
    rows = result.record["folds"]
    assert [row["status"] for row in rows] == ["failed", "budget not met", "ok"]
    assert [row["reason"] for row in rows] == ["loss is nan", "Best reached: 3 ms.", None]
    assert result.record["n_folds_tested"] == 1 and "8 of 24 images" in result.record["sentence"]
    assert "fold 0: failed: loss is nan" in printed(result)


def test_without_any_network_nothing_is_passed(job: Crossval, validated: Any) -> None:
    fold = failing(job, lambda number: TrainingError("loss is nan"))
    result = dataclasses.replace(job, name="without", run_fold=fold).run(ABOUT, no_progress)
    assert result.record["pooled"] is None and not result.passed
    assert result.record["sentence"].startswith("No fold has a network")
    crossval_text(result)


# The order


def test_a_fold_is_one_seed_without_baselines_unless_set(recipe_file: Path, tmp_path: Path) -> None:
    recipe = reduced(order(recipe_file, tmp_path))
    assert recipe.fit.final_seeds == 1 and recipe.fit.baselines == () and recipe.fit.way is None
    assert recipe.student.seeds == 1
    assert recipe.budget == Budget("x86-ort", latency_ms=100)
    recipe = reduced(order(recipe_file, tmp_path, "fit.baselines=[thin_student]", "fit.final_seeds=2"))
    assert recipe.fit.final_seeds == 2 and recipe.fit.baselines == ("thin_student",)


def test_the_way_is_the_recipe_s_unless_named(recipe_file: Path, tmp_path: Path) -> None:
    free = reduced(order(recipe_file, tmp_path)).fit
    assert free.way is None and free.student is None and free.baselines == ()
    named = reduced(order(recipe_file, tmp_path, way="group_l2-widths")).fit
    assert named.ways == ("group_l2-widths",) and not named.depth
    assert reduced(order(recipe_file, tmp_path, "fit.way=taylor-depth")).fit.ways == ("taylor-depth",)


@pytest.mark.parametrize("only", [(3,), (-1,)])
def test_a_fold_that_is_none_is_refused(recipe_file: Path, tmp_path: Path, only: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=f"--fold is {only[0]}; with --folds 3 use 0 to 2"):
        reduced(order(recipe_file, tmp_path, folds=3, only=only))


def test_the_command_makes_the_same_again(recipe_file: Path) -> None:
    asked = order(
        Path("tiny.yaml"), Path("runs"), "train.seed=1", folds=7, way="taylor-depth", max_drop=0.01, only=(2, 5)
    )
    words = "--target x86-ort --budget latency_ms=100 --set train.seed=1 --folds 7 --way taylor-depth --max-drop 0.01"
    assert asked.command == f"edgeseg crossval tiny.yaml {words} --fold 2 --fold 5"


def test_progress_counts_every_fold(recipe_file: Path, tmp_path: Path) -> None:
    weights = {step.name: step.weight for step in plan_steps(reduced(order(recipe_file, tmp_path)))}
    folds = fold_weights(weights, 3)
    assert len(folds) == 3 * len(weights) and "fold 2 of 3, teacher" in folds
    alone = fold_weights(weights, 3, only=(1,))  # or the bar of one fold would end at a third
    assert alone == {name: weight for name, weight in folds.items() if name.startswith("fold 2 of 3, ")}


def test_an_order_is_carried_out(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgeseg.pipeline.crossval import fold as crossval_fold

    def fake(recipe: Recipe, shared: Path) -> FoldRun:
        def run(root: Path, progress: Any) -> FoldResult:
            progress("teacher", 0.5, "epoch 1/2")
            return FoldResult({"status": "budget not met", "reason": "too slow"}, None)

        return run

    monkeypatch.setattr(crossval_fold, "fold_run", fake)
    assert not carry_out_crossval(order(recipe_file, tmp_path, folds=3), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    record = printed["crossval"]
    assert printed["crossval_json"] == str(tmp_path / "tiny" / "crossval" / "x86-ort_latency_ms-100.json")
    assert [row["reason"] for row in record["folds"]] == ["too slow"] * 3 and record["budget"] == {"latency_ms": 100.0}
    assert record["way"]["source"] == "recipe" and record["command"].startswith("edgeseg crossval ")


@pytest.mark.slow
def test_a_fold_for_real(recipe_file: Path, tmp_path: Path) -> None:
    from edgeseg.train.synthetic.dataset import write_dataset

    write_dataset(tmp_path / "metal", n=24, seed=0, size_px=64)
    data = join_copies(open_dataset(tmp_path / "metal"))
    split = divide(data, 3, seed=0)[0]
    asked = order(recipe_file, tmp_path, "fit.student=student_alone", way="group_l2-widths")
    recipe = reduced(dataclasses.replace(asked, budget="macs_ratio=0.7"))
    folder = write_fold(tmp_path / "fold_0" / "data", data, split)
    run = fold_run(recipe, tmp_path)
    result = run(folder.parent, no_progress)
    tested = sorted(stem for stem, name in split.items() if name == "test")
    assert result.scores is not None and set(result.scores) == {"teacher", "student", "shipped"}
    assert all(sorted(one.stem for one in scores) == tested for scores in result.scores.values())
    assert result.row["network"] == "pruned" and result.row["bytes"] > 0 and result.row["variant"].startswith("onnx")
    report = json.loads((folder.parent / "report.json").read_text())
    steps = {one["name"]: one for one in report["steps"]}
    assert steps["student_pruned"]["macs"] < 0.8 * steps["student_alone"]["macs"]
    assert steps["student_distilled"]["reason"] == "fit.student names student_alone"
    kept, looks = report["kept_looks"], report["histories"]
    assert kept.keys() == looks.keys() >= {"teacher", "student_alone", "student_pruned"}
    for name, look in kept.items():
        row = next(row for row in looks[name] if row["epoch"] == look["kept_epoch"])
        assert row["val_dice"] == look["val_dice_at_network_size"] <= look["highest_val_dice"]
    assert report["shipped"]["over_budget"] == [] and not (tmp_path / "latency_table.json").exists()
    with Bundle.open(folder.parent / "tiny.edgeseg") as bundle:
        assert "onnx-int8-x86" in {one.name for one in bundle.manifest.variants}
    told: list[str] = []
    again = run(folder.parent, lambda step, share, words: told.append(words))
    assert set(told) == {"unchanged"} and again.row == result.row
