"""The threshold that is chosen on val: the rule, and that every exported file and the bundle carry it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.steps.operating_point import VALUES, Point, choose_point, operating_point, points_of
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.image_score import score_image
from edgeseg.runtime.spec.model_spec import Decision
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.pretrained.published import PUBLISHED
from edgeseg.train.synthetic.dataset import write_dataset

from ..trained import put_networks

POINTS = [
    Point(0.1, 0.70, 0.90, 2.0),
    Point(0.3, 0.78, 0.85, 0.5),
    Point(0.5, 0.80, 0.80, 0.2),
    Point(0.7, 0.81, 0.70, 0.1),
    Point(0.9, 0.81, 0.60, 0.0),
]
RECIPE = """\
name: binary
data: {name: binary}
geometry: {mode: resize, height_px: 64, width_px: 64}
binary_output: true
reference: {base: 4, depth: 3}
train: {loss: {terms: bce+dice}}
gates: {max_dice_drop: null, max_total_dice_drop: null, min_skill: null}
decision: {objective: region_recall}
quantize: {images: 8, method: minmax}
bench: {processes: 1, blocks: 1, seconds: 0.05, min_samples: 3, warmup_cap_s: 0.2, threads: 1}
"""


def test_dice_takes_the_best_and_of_equals_the_one_next_to_a_half() -> None:
    assert choose_point(POINTS, "dice", 0.85)[0].value == 0.7


def test_recall_takes_the_best_dice_that_finds_as_much_as_the_teacher() -> None:
    assert choose_point(POINTS, "region_recall", 0.82)[0].value == 0.3
    assert choose_point(POINTS, "region_recall", 0.80)[0].value == 0.5
    assert choose_point(POINTS, "region_recall", 0.10)[0].value == 0.7
    chosen, reason = choose_point(POINTS, "region_recall", 0.95)
    assert chosen.value == 0.1 and "no threshold finds as many regions on val as the teacher (0.950)" in reason
    assert choose_point(POINTS, "region_recall", None)[0].value == 0.7  # the teacher was not scored
    # What the gate allows to miss is not paid for with Dice: 0.82 less 0.02 is what 0.5 finds.
    chosen, reason = choose_point(POINTS, "region_recall", 0.82, 0.02)
    assert chosen.value == 0.5 and "less the 2 points of gates.max_region_recall_drop" in reason


def test_without_foreground_in_val_the_default_stays() -> None:
    found = operating_point([Point(value, None, None, 0.0) for value in VALUES], "dice", None)
    assert found.decision == Decision(0.5, None, None)


def test_every_threshold_is_scored() -> None:
    truth = np.zeros((16, 16), np.uint8)
    truth[4:8, 4:8] = 1
    probability = np.where(truth == 1, 0.65, 0.15)
    probability[12, 12] = 0.35

    row = [score_image((probability > value).astype(np.uint8), truth, 2, stem="a") for value in VALUES]
    points = points_of([row], ("good", "pit"))
    assert [point.value for point in points] == list(VALUES)
    recall = {point.value: point.region_recall for point in points}
    dice = {point.value: point.dice for point in points}
    assert recall[0.6] == 1.0 and recall[0.7] == 0.0 and dice[0.4] == 1.0 > dice[0.3] > dice[0.1]
    assert choose_point(points, "dice", None)[0].value == 0.5
    assert points[0].false_regions is None  # no frame without foreground


def test_only_a_recipe_that_asks_for_it_has_the_step(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    steps = {one.name: one for one in plan_steps(load_recipe(tmp_path / "recipe.yaml"))}
    files = ("onnx_fp32", "onnx_int8", "tflite_fp32", "tflite_int8")
    assert all("operating_point" in steps[name].parents for name in (*files, "report"))
    assert "val_teacher" in steps["operating_point"].parents
    assert not any(parent.startswith("test_") for parent in steps["operating_point"].parents)
    plain = load_recipe(tmp_path / "recipe.yaml", ["decision.objective=null"])
    assert not any("operating_point" in (one.name, *one.parents) for one in plan_steps(plain))


@pytest.mark.slow
def test_what_ships_carries_the_threshold(tmp_path: Path) -> None:
    """The whole chain behind the trainings, without a budget: files, scores, bench, bundle and report."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = make_chain(recipe, binary_data(tmp_path / "binary"), tmp_path / "runs")
    torch.manual_seed(0)
    student = build_model(efficient_unet_arch(1, 1, width=0.25, depth=0.5, stages=4)).eval()
    teacher = build_model(unet_arch(1, 1, base=4, depth=3)).eval()
    origin = dataclasses.asdict(PUBLISHED["lite0"].origin)
    put_networks(chain, {"teacher": teacher})
    put_networks(chain, {"student_alone": student, "student_distilled": student}, start=origin)
    done = run_chain(chain, no_progress)
    assert not {"teacher", "student_alone", "student_distilled"} & set(done.chain.ran) and done.report is not None
    found = done.report["operating_point"]
    points = [Point(**one) for one in found["points"]]
    chosen = choose_point(points, "region_recall", found["teacher_recall"])[0]
    assert len(points) == len(VALUES) and len({point.dice for point in points}) > 1
    decision = {"value": chosen.value, "fitted_on": "val", "objective": "region_recall", "min_area_px": 1}
    assert found["decision"] == decision
    assert done.bundle is not None
    with Bundle.open(done.bundle) as bundle:
        assert bundle.manifest.decision == Decision(chosen.value, "val", "region_recall")
        assert bundle.manifest.pretrained == ({"of": "student", **origin},)
        assert all(one.spec.decision == bundle.manifest.decision for one in bundle.manifest.variants)
    # The same threshold in FP32, so that what INT8 loses is quantization's alone.
    rows = {row["name"]: row for row in done.report["steps"]}
    assert rows["onnx_fp32"]["accuracy"]["val"]["dice_mean"] == pytest.approx(chosen.dice, abs=1e-6)
    assert rows["student_pruned"]["status"] == "not measured" and done.report["search"] is None
    assert done.report["pretrained"] == [{"of": "student", **origin}]
    page = done.report_html.read_text()
    assert "the recipe has no budget, such as" in page and "The search for the budget" not in page


def binary_data(root: Path) -> Path:
    """The synthetic set with all kinds of defects as one class."""
    write_dataset(root, n=24, seed=0, size_px=64)
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1))
    about = yaml.safe_load((root / "dataset.yaml").read_text())
    kept = {key: value for key, value in about.items() if key not in ("task",)}
    (root / "dataset.yaml").write_text(yaml.safe_dump(kept | {"classes": ["metal", "defect"]}))
    return root
