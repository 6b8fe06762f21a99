"""Thin students beside the pruned one: from scratch, and from the weights that the student itself started from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.compress.search.budget import misses
from edgeseg.compress.search.depth import Depth, shallower_arch
from edgeseg.compress.search.narrow import narrowed, started_arch, started_network
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.search_parts import search_parts
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.recipe.sections.fit import BASELINES
from edgeseg.pipeline.search import baselines
from edgeseg.pipeline.search.baselines import thin_pretrained, thin_student
from edgeseg.pipeline.search.contest import baselines_of
from edgeseg.pipeline.search.lab import Lab
from edgeseg.pipeline.search.rounds import Start
from edgeseg.pipeline.search.trainings import Effort, Trained
from edgeseg.pipeline.steps.architecture import student_arch
from edgeseg.pipeline.steps.start import weights_of
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.pretrained.weights import Weights

from ..fake_target import FakeProbe, fake_lab

RECIPE = """\
name: thin
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 64}
train: {batch_size: 4, workers: 0, threads: 1, precision: float32}
student: {init: imagenet, width: 0.5, depth: 0.5, stages: 4, epochs: 3, learning_rate: 4.0e-3}
budget: {target: x86-ort, macs_ratio: 0.55}
fit: {final_epochs: 2}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return load_recipe(tmp_path / "recipe.yaml")


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(5)
    state = build_model(efficient_unet_arch(3, 2, depth=0.5, stages=4)).state_dict()
    begins = ("decoder", "head")
    return Weights({name: one for name, one in state.items() if one.ndim and not name.startswith(begins)}, 1e-3)


@pytest.fixture
def lab_and_start(tmp_path: Path, synthetic_dir: Path, recipe: Recipe, weights: Weights) -> tuple[Lab, Start]:
    student = started_network(student_arch(recipe.student, 1, 4), weights).eval()
    assert recipe.budget is not None
    lab = fake_lab(tmp_path, recipe, synthetic_dir, recipe.budget, FakeProbe((64, 64)), student)
    teacher = build_model(efficient_unet_arch(1, 4, width=0.25, stages=3))
    return lab, Start(student, lab.measure(student), teacher, tmp_path, weights=weights)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, SegmentationNet, Any, Any]]:
    """What would be trained: a training's name, where it starts, its teacher and its effort."""
    found: list[tuple[str, SegmentationNet, Any, Any]] = []

    def train(_: Lab, name: str, model: SegmentationNet, teacher: Any, effort: Any) -> Trained:
        found.append((name, model, teacher, effort))
        return Trained(model, Path(), 0.0)

    monkeypatch.setattr(baselines, "train", train)
    return found


def _whole(recipe: Recipe, weights: Weights, arch: dict[str, Any], parts: Depth) -> dict[str, Any]:
    """The thin student's architecture before `parts` went."""
    for step in range(20, 0, -1):
        section = dataclasses.replace(recipe.student, width=recipe.student.width * step / 20)
        whole = started_arch(student_arch(section, 1, 4), weights)
        if shallower_arch(whole, parts) == arch:
            return whole
    raise AssertionError("no width of the student has this architecture")


@pytest.mark.parametrize("parts", [Depth(), Depth(first=1, levels=1)], ids=["all parts", "parts are gone"])
def test_it_starts_from_the_weights_at_its_own_width(
    parts: Depth, lab_and_start: tuple[Lab, Start], begun: list[Any], weights: Weights, recipe: Recipe
) -> None:
    lab, start = lab_and_start
    made = thin_pretrained(lab, start, True, parts)
    assert not misses(lab.ceilings, made.figures) and made.figures["macs"] < start.figures["macs"]
    assert "its encoder cut from what the student started from" in made.note
    for seed in (3, 4):
        made.train(seed)
    (name, model, teacher, effort), (_, other, _, _) = begun
    section = recipe.student
    assert (name, teacher) == ("thin_pretrained_3", start.teacher)
    assert effort == Effort(section.epochs, section.learning_rate, seed=3)
    assert lab.measure(model)["macs"] == made.figures["macs"] and model.arch["bn_eps"] == 1e-3
    cut = narrowed(weights, _whole(recipe, weights, model.arch, parts)).tensors
    assert len(cut["conv_stem.weight"]) < len(weights.tensors["conv_stem.weight"])
    own = model.state_dict()
    of_weights = {key: key for key in own if key.startswith(("conv_stem", "bn1", "blocks")) and own[key].ndim}
    if parts:  # the stages are counted through again; what reads another input than before starts anew
        anew = ("blocks.0.0.conv_pw.", "blocks.0.0.bn1.")
        moved = {key: key.split(".") for key in of_weights if not key.startswith(anew)}
        of_weights = {
            key: ".".join([one[0], str(int(one[1]) + 1), *one[2:]]) if one[0] == "blocks" else key
            for key, one in moved.items()
        }
    assert len(of_weights) > 20 and all(torch.equal(own[key], cut[name]) for key, name in of_weights.items())
    assert not torch.equal(own["head.weight"], other.state_dict()["head.weight"])
    assert torch.equal(own["conv_stem.weight"], other.state_dict()["conv_stem.weight"])


@pytest.mark.parametrize("final_epochs, epochs", [(2, 3), (5, 5)])
def test_it_is_trained_at_least_as_long_as_what_it_is_held_against(
    final_epochs: int, epochs: int, lab_and_start: tuple[Lab, Start], begun: list[Any]
) -> None:
    lab, start = lab_and_start
    lab.recipe = dataclasses.replace(lab.recipe, fit=dataclasses.replace(lab.recipe.fit, final_epochs=final_epochs))
    thin_student(lab, start, True, Depth()).train(0)
    assert [effort.epochs for *_, effort in begun] == [epochs]


def test_both_thin_students_train_alike(lab_and_start: tuple[Lab, Start], begun: list[Any]) -> None:
    for make in (thin_student, thin_pretrained):
        make(*lab_and_start, False, Depth()).train(0)
    (_, scratch, no_teacher, effort), (_, started, neither, same) = begun
    assert effort == same and no_teacher is neither is None
    assert scratch.arch | {"bn_eps": 1e-3, "blocks": started.arch["blocks"]} == started.arch


def test_who_takes_part_is_said(lab_and_start: tuple[Lab, Start]) -> None:
    lab, start = lab_and_start
    found, missing = baselines_of(lab, start, False, Depth())
    assert [one.name for one in found] == ["random_largest", "thin_student", "thin_pretrained"]
    assert missing == {"coarse_student": "left out by fit.baselines"}
    found, missing = baselines_of(lab, dataclasses.replace(start, weights=None), False, Depth())
    assert missing["thin_pretrained"] == "student.init is none, so this would be thin_student"
    assert len(found) == 2


def test_the_search_depends_on_the_weights_that_a_baseline_starts_from(tmp_path: Path, recipe: Recipe) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        torch.manual_seed(seed)
        save_checkpoint(tmp_path / name, build_model(efficient_unet_arch(1, 4, width=0.5, stages=4)), {})

    def cut(**changed: Any) -> Any:
        student = dataclasses.replace(recipe.student, init=changed.pop("init", "imagenet"))
        fit = dataclasses.replace(recipe.fit, **changed)
        steps = plan_steps(dataclasses.replace(recipe, student=student, fit=fit))
        return next(step for step in steps if step.name == "student_pruned")

    assert cut().settings["start"]["name"] == "lite0"
    assert cut(baselines=("thin_student",)).settings["start"] is None
    assert cut(init="none").settings["start"] is None
    one, other = (cut(init=str(tmp_path / name)) for name in ("one", "other"))
    assert one.settings["start"]["sha256"] != other.settings["start"]["sha256"]
    assert one.settings["recipe"] == other.settings["recipe"]  # by content, wherever it lies
    assert one.places["start"] == str(tmp_path / "one")


def test_the_step_hands_the_search_what_the_student_started_from(tmp_path: Path, recipe: Recipe) -> None:
    torch.manual_seed(1)
    student = build_model(efficient_unet_arch(1, 4, width=0.5, stages=4))
    save_checkpoint(tmp_path / "own", student, {})
    section = dataclasses.replace(recipe.student, init=str(tmp_path / "own"))
    found = {}
    for baseline in ("thin_student", "thin_pretrained"):
        fit = dataclasses.replace(recipe.fit, baselines=(baseline,))
        steps = plan_steps(dataclasses.replace(recipe, student=section, fit=fit))
        step = next(one for one in steps if one.name == "student_pruned")
        context = StepContext(step, tmp_path, tmp_path, StepFolder(tmp_path), {}, {}, lambda share, words: None)
        found[baseline] = weights_of(context)
    assert found["thin_student"] is None and found["thin_pretrained"] is not None
    assert torch.equal(found["thin_pretrained"].tensors["conv_stem.weight"], student.state_dict()["conv_stem.weight"])


@pytest.mark.parametrize("name", BASELINES)
def test_progress_waits_for_every_baseline_that_takes_part(recipe: Recipe, name: str) -> None:
    recipe = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, baselines=(name,)))
    assert f"{name}_0" in search_parts(recipe) and f"{name}_0" in search_parts(recipe.of_search())
    scratch = dataclasses.replace(recipe, student=dataclasses.replace(recipe.student, init="none"))
    assert (f"{name}_0" in search_parts(scratch)) is (name != "thin_pretrained")
