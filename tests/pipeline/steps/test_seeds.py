"""Several trainings of one student: each resumable, each scored, the best on val goes on, all of them decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.pipeline.chain.chain import Chain, ChainProgress, no_progress
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.plan.layout import ROWS
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.row import Row, load_rows
from edgeseg.pipeline.plan.rows import Found
from edgeseg.pipeline.plan.seed_folders import seed_folders
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.report.record import choices
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.score.drops import seeds_drop
from edgeseg.train.synthetic.dataset import write_dataset

RECIPE = """\
name: seeds
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 64}
train:
  {batch_size: 4, workers: 0, validate_every: 1, threads: 1, precision: float32, augment: {p_elastic: 0, p_grid: 0}}
teacher: {base: 4, depth: 3, epochs: 1}
student: {width: 0.25, depth: 0.5, stages: 4, epochs: 3, seeds: 2}
distill: {views: 2}
"""
STUDENTS = ("student_alone", "student_distilled")

pytestmark = pytest.mark.slow  # trainings and exports


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle of a training."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "recipe.yaml").write_text(RECIPE)
    write_dataset(folder / "data", n=16, seed=0, size_px=64)
    return folder


def _run(folder: Path, name: str, only: str, progress: ChainProgress = no_progress) -> tuple[Chain, Found]:
    data_key = data_identity(open_dataset(folder / "data"))
    chain = Chain(plan_steps(load_recipe(folder / "recipe.yaml")), folder / name, folder / "data", data_key)
    records = chain.run(progress, only).records
    folders = {step.name: chain.folder(step.name) for step in chain.steps}
    return chain, Found(records, folders, GateSection())


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[Chain, Found]:
    return _run(folder, "whole", "choose_student")


def test_the_training_that_is_best_on_val_goes_on(whole: tuple[Chain, Found]) -> None:
    for name in STUDENTS:
        result, files = whole[1].records[name]["result"], whole[0].folder(name).files
        key = "val_dice_at_network_size"
        assert [row["seed"] for row in result["seeds"]] == [0, 1] == list(seed_folders(files))
        best = max(result["seeds"], key=lambda row: row[key])
        assert (result["seed"], result[key]) == (best["seed"], best[key])
        weights = {seed: (one / "model.safetensors").read_bytes() for seed, one in seed_folders(files).items()}
        assert weights[0] != weights[1]
        assert (files / "model.safetensors").read_bytes() == weights[best["seed"]]


def test_all_trainings_decide_and_follow_the_same_answers(whole: tuple[Chain, Found]) -> None:
    chain, found = whole
    rows = {row.name: row for row in load_rows(chain.folder("choose_student").files)}
    layouts = {row.name: row for row in ROWS}
    alone, distilled = (found.scores_by_seed(layouts[name], "val") for name in STUDENTS)
    expected = seeds_drop([(alone[0], distilled[0]), (alone[1], distilled[1])])
    drop = (rows["student_distilled"].dice_drop_vs_baseline or {})["val"]
    assert expected is not None and drop == expected and drop["n_seeds"] == 2
    assert "over 2 seeds and" in found.records["choose_student"]["result"]["reason"]
    for name in STUDENTS:
        row: Row = rows[name]
        best = found.records[name]["result"]["seed"]
        assert [one["seed"] for one in row.seeds] == [0, 1]
        assert row.seeds[best]["val"] == row.val_dice(), "what is shown beside the seeds is the one that goes on"
    report = {"chosen": {}, "steps": [{"name": "student_alone", "seeds": rows["student_alone"].seeds}]}
    assert "student_alone, 2 trainings: val Dice" in str(choices(report))
    assert len(list((chain.root / "views").glob("*/about.json"))) == 1


def test_killed_in_the_second_training_and_gone_on_with(whole: tuple[Chain, Found], folder: Path) -> None:
    told: list[str] = []

    def stop(step: str, _: float, words: str) -> None:
        if step == "student_distilled" and words.startswith("seed 1: epoch 2/"):
            raise StoppedError

    with pytest.raises(StoppedError):
        _run(folder, "killed", "student_distilled", stop)
    chain, found = _run(folder, "killed", "student_distilled", lambda step, _, words: told.append(f"{step} {words}"))
    assert not [one for one in told if "seed 0" in one], "a training that was finished is not repeated"
    again = [one.split(",")[0] for one in told if "epoch" in one]
    assert again == ["student_distilled seed 1: epoch 2/3", "student_distilled seed 1: epoch 3/3"]
    for path in sorted(whole[0].folder("student_distilled").files.rglob("*")):
        if path.is_file():
            own = chain.folder("student_distilled").files / path.relative_to(whole[0].folder("student_distilled").files)
            assert own.read_bytes() == path.read_bytes()
    assert found.records["student_distilled"]["result"] == whole[1].records["student_distilled"]["result"]
