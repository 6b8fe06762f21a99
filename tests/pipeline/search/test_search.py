"""The search from student to winner on drawn images with a made-up target: bounded, journalled, resumable."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.search.budget import Budget
from edgeseg.compress.search.depth import Depth
from edgeseg.compress.search.probe import Measurement
from edgeseg.pipeline.plan.shown import shown_worse
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.recipe.sections.fit import BASELINES
from edgeseg.pipeline.report.search import search_section, search_warnings
from edgeseg.pipeline.search.baselines import coarse_student, largest_fitting, thin_student
from edgeseg.pipeline.search.contest import Finalist, contest
from edgeseg.pipeline.search.cut import Cut, Way, cut_to
from edgeseg.pipeline.search.lab import BudgetError, Lab
from edgeseg.pipeline.search.record import contest_record
from edgeseg.pipeline.search.rounds import Start
from edgeseg.pipeline.search.search import Found, search_network
from edgeseg.pipeline.search.trainings import Effort, Trained, train
from edgeseg.pipeline.steps.architecture import student_arch
from edgeseg.runtime.errors import MeasureError, TrainingError
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.scaled_geometry import scaled

from ..fake_target import FakeProbe, fake_lab

RECIPE = """\
name: tiny
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 64}
train:
  {batch_size: 4, workers: 0, validate_every: 1, threads: 1, precision: float32, augment: {p_elastic: 0, p_grid: 0}}
reference: {base: 4, depth: 3}
teacher: {base: 4, depth: 3, epochs: 1}
student: {width: 0.25, depth: 0.5, stages: 4, epochs: 1}
fit:
  {importances: [taylor], search_epochs: 1, rounds: 2, round_epochs: 1, final_epochs: 1, final_seeds: 2, corrections: 2}
"""
SIZE = (64, 64)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeseg.train.synthetic.dataset import write_dataset

    root = tmp_path_factory.mktemp("data") / "metal"
    write_dataset(root, n=10, seed=0, size_px=64)
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE)
    return load_recipe(path)


class Search:
    """One run folder; every call is a process of its own as far as the search can tell."""

    def __init__(self, root: Path, recipe: Recipe, data_root: Path, budget: Budget) -> None:
        self.root, self.recipe, self.data_root, self.budget = root, recipe, data_root, budget
        torch.manual_seed(0)
        save_checkpoint(root / "student", build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)), {})
        self.told: list[tuple[str, float, str]] = []

    def __call__(self, gone: Callable[[], bool] = lambda: False) -> Found:
        self.probe = FakeProbe(SIZE, gone)
        student, _ = load_checkpoint(self.root / "student")
        lab = fake_lab(self.root, self.recipe, self.data_root, self.budget, self.probe, student)
        lab.progress = lambda *what: self.told.append(what)
        start = Start(student, lab.measure(student), None, self.root / "student")
        return search_network(lab, start, taught=False, reference_ms=10.0)

    def finished(self) -> dict[str, int]:
        """Trainings on disk, with the moment each was finished."""
        done = (self.root / "search" / "trainings").glob("*/done.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in done}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, data_root: Path) -> Any:
    """A fit whose target disappeared in the middle, gone on with, and then asked for once more."""
    root = tmp_path_factory.mktemp("run")
    full = FakeProbe(SIZE).measure(build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)))
    assert full.total_ms is not None
    run = Search(root, recipe, data_root, Budget("x86-ort", latency_ms=0.7 * full.total_ms))
    with pytest.raises(MeasureError, match="run the same command again"):
        run(gone=lambda: len(run.finished()) >= 2)
    early = run.finished()
    result = run()
    return run, early, result


def test_the_budget_holds_and_everything_is_told(searched: Any) -> None:
    found = searched[2]
    record = found.record
    assert json.loads(json.dumps(record)) and record["status"] == "ok"
    (limit,) = record["ceilings"].values()
    rows = {one["name"]: one for one in record["finalists"]}
    assert set(rows) | set(record["missing_baselines"]) == {"pruned", *BASELINES}
    assert all(one["figures"]["latency_ms"] <= limit for one in rows.values())
    winner = record["contest"]["winner"]
    assert record["chosen"]["name"] == winner and len(rows["pruned"]["seeds"]) == 2
    assert record["contest"]["baseline_wins"] == (winner != "pruned")
    difference = record["contest"]["difference"]
    assert record["contest"]["baseline_wins"] == shown_worse(difference) and difference["n_seeds"] == 2
    assert found.checkpoint.parent.name == record["chosen"]["training"]
    assert load_checkpoint(found.checkpoint)[0].arch["name"] == "efficient_unet"
    assert record["prediction"]["median_error"] < 0.1 and record["prediction"]["n"] >= 3


def test_the_report_tells_it(searched: Any) -> None:
    record = json.loads(json.dumps(searched[2].record))
    shown = str(search_section(record))
    for words in (record["sentence"], "Pareto front", "random_largest", "Median error", "Trainings of the search"):
        assert words.replace("'", "&#39;") in shown or words in shown
    recording = {"sensor": "recording p.csv", "covers": "what it says", "evidence": "replayed"}
    for level, words in (("device", "p.csv (what it says), replayed"), ("emulated", "Times are emulated")):
        assert words in str(search_section(record | {"evidence": level, "sensor": recording}))
    record["prediction"]["n_disturbed"] = 2
    over = {"step": "onnx_int8", "over_budget": ["bytes is 1100, the budget allows 1000"]}
    kinds = {one["kind"]: one for one in search_warnings(record, over)}
    assert kinds["over_budget"]["message"] == "not within the budget: bytes is 1100, the budget allows 1000"
    assert kinds["disturbed"]["message"].startswith("while 2 of the networks were measured")
    assert search_warnings(None, {"over_budget": []}) == []


def test_a_way_that_failed_is_not_tried_again(searched: Any) -> None:
    """Tried again it might hold, and every choice and training behind it would change."""
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    student, _ = load_checkpoint(run.root / "student")
    out_of_reach = {"latency_ms": 1e-6}
    asked = []
    for _ in range(2):
        with pytest.raises(BudgetError, match="the budget allows 1e-06") as err:
            cut_to(lab, "out_of_reach", student, None, Way("group_l2", False), out_of_reach)
        asked.append((lab.probe.measured, err.value.best))
    assert asked[0] == asked[1]


def test_a_cut_by_gates_is_of_its_teacher(searched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    student, _ = load_checkpoint(run.root / "student")
    taught_by: list[Any] = []

    def cut(lab: Any, name: str, model: Any, teacher: Any, *order: Any) -> tuple[Cut, list[Any]]:
        taught_by.append(teacher)
        return Cut(model, {}, []), []

    monkeypatch.setattr("edgeseg.pipeline.search.cut._cut", cut)
    other = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)).eval()
    for teacher in (None, other, other, None):
        cut_to(lab, "taught", student, teacher, Way("taylor", False), lab.ceilings)
    assert taught_by == [None, other, None]
    for teacher in (None, other):
        cut_to(lab, "untaught", student, teacher, Way("group_l2", False), lab.ceilings)
    assert len(taught_by) == 4


def test_a_network_from_scratch_is_measured_with_the_biases_it_will_have(searched: Any) -> None:
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    seen: list[Any] = []
    lab.measure = lambda model: seen.append(model) or {"latency_ms": 0.0, "bytes": 1, "macs": 1}  # type: ignore[method-assign,func-returns-value]
    lab.learn = lambda arch, figures: None  # type: ignore[method-assign]
    largest_fitting(lab, "thin", [efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)])
    norms = [module for module in seen[0].modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(norm.bias.all() for norm in norms)


def test_every_point_has_its_interval(searched: Any) -> None:
    points = searched[2].record["points"]
    assert any(point["front_latency_ms"] for point in points) and any(point["front_bytes"] for point in points)
    for point in points:
        assert point["lo95"] is None or 0.0 <= point["lo95"] <= point["val_dice"] <= point["hi95"] <= 1.0


def test_the_journal_has_every_training_with_its_cost(searched: Any) -> None:
    run, _, result = searched
    rows = {row["name"]: row for row in result.record["journal"]}
    assert set(rows) == set(run.finished())
    assert {"final_0", "final_1", "round_1"} <= set(rows)
    assert all(row["settings"]["effort"]["epochs"] <= 2 and row["wall_s"] >= 0 for row in rows.values())
    searched = [row for name, row in rows.items() if name.startswith("search_")]
    assert {row["settings"]["geometry"]["height_px"] for row in searched} <= {32}


def test_no_finished_training_is_repeated(searched: Any) -> None:
    run, early, result = searched
    before = run.finished()
    assert early and early.items() <= before.items()
    run.told.clear()
    again = run()
    unchanged = {name for name, share, words in run.told if (share, words) == (1.0, "unchanged")}
    assert unchanged == {"latency_table", *before}  # or the bar would still wait for them
    assert run.finished() == before and run.probe.measured == 0 and run.probe.asked == 0
    assert all(row["reused"] for row in again.record["journal"])
    kept = ("finalists", "contest", "points", "rounds", "way")
    assert {key: again.record[key] for key in kept} == {key: result.record[key] for key in kept}


def test_a_budget_out_of_reach_names_the_nearest_and_trains_nothing(
    tmp_path: Path, recipe: Recipe, data_root: Path
) -> None:
    run = Search(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=0.05))
    result = run()
    record = result.record
    assert result.checkpoint is None and record["status"] == "budget not met" and run.finished() == {}
    best, nearest = record["best"]["latency_ms"], record["nearest_budget"]["latency_ms"]
    assert 0.05 < best < nearest < 1.1 * best
    assert f"{nearest:g}" in record["detail"] and "Best reached" in str(search_section(record))


def test_the_size_of_a_baseline_is_not_chosen_anew(searched: Any) -> None:
    """Resumed with other layer times, its bisection might end elsewhere and throw a finished training away."""
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    archs = [efficient_unet_arch(1, 4, width=width, depth=0.5, stages=4) for width in (0.25, 0.15, 0.1, 0.05)]
    again = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    lab.ceilings = again.ceilings = {"latency_ms": 1.2 * lab.ceilings["latency_ms"]}
    first = largest_fitting(lab, "again", archs)
    again.predictor.predict = lambda arch: {"latency_ms": 0.0}  # type: ignore[method-assign]
    assert first[0] > 0 and largest_fitting(again, "again", archs) == first and again.probe.measured == 0


def test_a_network_that_could_not_be_measured_is_measured_by_the_next_pass(
    tmp_path: Path, recipe: Recipe, data_root: Path
) -> None:
    class Killed(FakeProbe):
        def measure(self, model: Any) -> Measurement:
            self.measured += 1
            return Measurement(None, None, None, 5000, "its process was killed by signal 9")

    def lab_of(probe: FakeProbe) -> Lab:
        return fake_lab(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=1.0), probe)

    model = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=3))
    for probe, known in ((Killed(SIZE), False), (FakeProbe(SIZE), True), (Killed(SIZE), True)):
        assert (lab_of(probe).measure(model)["total_ms"] is not None) == known
    for _ in range(2):  # the cut is no more kept than the measurement
        lab = lab_of(Killed(SIZE))
        lab.learn(model.arch, lab.measure(model))
        with pytest.raises(BudgetError, match="killed by signal 9"):
            cut_to(lab, "killed", model, None, Way("group_l2", False), {"latency_ms": 0.4})
        assert lab.probe.measured > 0


def test_a_training_leaves_the_network_it_starts_from_alone(tmp_path: Path, recipe: Recipe, data_root: Path) -> None:
    lab = fake_lab(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=100.0), FakeProbe(SIZE))
    model = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4))
    before = fingerprint(model)
    trained = train(lab, "any", model, None, Effort(1, 1e-3))
    assert fingerprint(model) == before != fingerprint(trained.model)


def test_a_search_makes_way_for_those_who_measure_and_holds_nobody_up_while_it_measures(
    searched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESEG_TURNS", str(tmp_path))
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    student, _ = load_checkpoint(run.root / "student")
    lab.learn(student.arch, lab.measure(student))
    seen: dict[str, set[bool]] = {"predict": set(), "measure": set()}

    def watched(name: str, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def look(given: Any) -> Any:
            with (tmp_path / "busy").open("a") as busy:
                try:
                    fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    seen[name].add(False)
                except BlockingIOError:
                    seen[name].add(True)
            return work(given)

        return look

    lab.predictor.predict = watched("predict", lab.predictor.predict)  # type: ignore[method-assign]
    lab.measure = watched("measure", lab.measure)  # type: ignore[method-assign]
    cut_to(lab, "gives_way", student, None, Way("group_l2", False), {"latency_ms": 1.2 * lab.ceilings["latency_ms"]})
    assert seen["measure"] == {False} and True in seen["predict"]


def test_what_holds_the_budget_but_misses_the_aim_is_taken(searched: Any) -> None:
    run = searched[0]
    lab = fake_lab(run.root, run.recipe, run.data_root, run.budget, FakeProbe(SIZE))
    student, _ = load_checkpoint(run.root / "student")
    lab.learn(student.arch, lab.measure(student))
    way = Way("group_l2", False)
    cut = cut_to(lab, "any", student, None, way, {"latency_ms": 1.2 * lab.ceilings["latency_ms"]})
    reached = cut.figures["latency_ms"]
    # This network holds the budget by less than the margin, and nothing else is to be had.
    lab.ceilings = {"latency_ms": reached * 1.01}
    lab.measure = lambda model: cut.figures  # type: ignore[method-assign]
    held = cut_to(lab, "spare", student, None, way, lab.aims)
    assert held.figures["latency_ms"] == reached and all(one["missed"] for one in held.tries)
    with pytest.raises(BudgetError):  # a round on the way there has no margin
        cut_to(lab, "round", student, None, way, {"latency_ms": 0.99 * reached})


def test_a_further_seed_that_fails_costs_nothing_else(tmp_path: Path, recipe: Recipe, data_root: Path) -> None:
    lab = fake_lab(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=100.0), FakeProbe(SIZE))
    model = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)).eval()

    def good(seed: int) -> Trained:
        return Trained(model, tmp_path, 0.5)

    def bad(seed: int) -> Trained:
        if seed > recipe.train.seed:
            raise TrainingError("loss is nan")
        return good(seed)

    missing: dict[str, str] = {}
    method, rival = (Finalist(name, "", {}, train) for name, train in (("pruned", good), ("thin_student", bad)))
    contest(lab, method, [rival], missing)
    assert len(method.seeds) == 2 and rival.seeds == [0]
    assert missing == {"thin_student, seed 1": "its training failed: loss is nan"}


@pytest.mark.parametrize(("rows_lost", "wins"), [((1, -1), False), ((1, 1), True)], ids=["a tie", "shown to be worse"])
def test_a_baseline_goes_on_where_the_method_is_shown_to_be_worse(
    rows_lost: tuple[int, int], wins: bool, tmp_path: Path, recipe: Recipe, data_root: Path
) -> None:
    """By two seeds and six images; the mean of the method is below the baseline's in both cases."""
    lab = fake_lab(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=100.0), FakeProbe(SIZE))
    model = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)).eval()
    truth = np.zeros((32, 32), np.uint8)
    truth[4:24, 4:24] = 1

    def score(name: str, _: Any) -> list[ImageScore]:
        seed, scores = int(name[-1]), []
        for index in range(6):
            pred = truth.copy()
            lost = 5 + (2 * rows_lost[seed] + (index % 2) if name.startswith("pruned") else 0)
            pred[: 4 + lost] = 0
            scores.append(score_image(pred, truth, 4, stem=str(index), group=str(index)))
        return scores

    lab.score = score
    method, rival = (
        Finalist(name, "", {}, lambda _: Trained(model, tmp_path, 0.5)) for name in ("pruned", "thin_student")
    )
    outcome = contest(lab, method, [rival], {})
    assert method.dice < rival.dice
    assert (outcome.winner is rival) is wins
    said = contest_record(method, outcome)["sentence"]
    assert ("thin_student goes on" in said) is wins and "over 2 seeds and 6 images" in said


def test_a_coarse_student_spends_on_width_what_a_finer_answer_costs(
    tmp_path: Path, recipe: Recipe, data_root: Path
) -> None:
    recipe = dataclasses.replace(recipe, student=dataclasses.replace(recipe.student, width=1.0, decoder_width=2.0))
    student = build_model(student_arch(recipe.student, 1, 4)).eval()
    lab = fake_lab(tmp_path, recipe, data_root, Budget("x86-ort", latency_ms=1.0), FakeProbe(SIZE), student)
    start = Start(student, lab.measure(student), None, tmp_path)
    lab.ceilings = {"latency_ms": 0.6 * start.figures["latency_ms"]}
    thin, coarse = (make(lab, start, False, Depth()) for make in (thin_student, coarse_student))
    assert all(one.figures["latency_ms"] <= lab.ceilings["latency_ms"] for one in (thin, coarse))
    width = {one.name: float(re.search(r"width (\d\.\d+)", one.note)[1]) for one in (thin, coarse)}
    assert width["coarse_student"] > width["thin_student"] and "answering at 1/4" in coarse.note
    # Without a level of the method's decoder it answers at 1/8; where none is left to spare it is missing.
    assert "answering at 1/8" in coarse_student(lab, start, False, Depth(levels=1)).note
    with pytest.raises(BudgetError, match="coarser than 1/8"):
        coarse_student(lab, start, False, Depth(levels=2))


def test_a_share_of_the_macs_is_reached_without_a_clock(tmp_path: Path, recipe: Recipe, data_root: Path) -> None:
    alone = dataclasses.replace(recipe.fit, way="group_l2-widths", rounds=1, final_seeds=1, baselines=())
    run = Search(tmp_path, dataclasses.replace(recipe, fit=alone), data_root, Budget("x86-ort", macs_ratio=0.6))
    found = run()
    before, after = found.record["student"]["figures"]["macs"], found.record["chosen"]["figures"]["macs"]
    assert 0.4 * before < after <= 0.6 * before and found.record["ceilings"] == {"macs": 0.6 * before}
    assert run.probe.measured == 0 and run.probe.asked == 0 and "macs " in found.record["detail"]
    assert "MACs [M]" in str(search_section(found.record)) and "latency p50" not in str(search_section(found.record))


def test_images_of_short_trainings_are_smaller_but_fit_the_stride() -> None:
    resize = Geometry(mode="resize", height_px=256, width_px=192)
    small = scaled(resize, 0.5, 32)
    assert (small.height_px, small.width_px) == (128, 96)
    tile = scaled(Geometry(mode="tile", tile_px=256, overlap_px=32), 0.5, 32)
    assert (tile.tile_px, tile.overlap_px) == (128, 16)
    assert scaled(Geometry(mode="native"), 0.5, 32).mode == "native" and scaled(resize, 1.0, 32) is resize
