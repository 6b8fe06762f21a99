"""The threshold that is chosen on val: the rule, and that every exported file and the bundle carry it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.search.ship import Shipping
from edgeseg.pipeline.steps.operating_point import VALUES, Point, choose_point, operating_point, points_of
from edgeseg.pipeline.target.fit_target import local_target
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.model_spec import Decision
from edgeseg.runtime.score.image_score import score_image
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic import write_dataset

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
train: {loss: {terms: bce+dice}}
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
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = make_chain(recipe, binary_data(tmp_path / "binary"), tmp_path / "runs")
    data = open_dataset(chain.data_root, split_file=chain.root / "split.csv", seed=recipe.data.seed)
    torch.manual_seed(0)
    model = build_model(efficient_unet_arch(1, 1, width=0.25, depth=0.5, stages=4)).eval()
    save_checkpoint(tmp_path / "winner", model, {})
    target = local_target(recipe, data, "x86-ort", 16, tmp_path / "scratch")
    teacher = build_model(unet_arch(1, 1, base=4, depth=3)).eval()
    summary = {"region_recall": 0.0}
    ship = Shipping(chain, target, teacher, tmp_path / "shipped", lambda name, share, words: None, summary)
    found = ship(tmp_path / "winner")
    points = [Point(**one) for one in found["operating_point"]["points"]]
    chosen = choose_point(points, "region_recall", 0.0)[0]
    assert len(points) == len(VALUES) and len({point.dice for point in points}) > 1
    assert found["operating_point"]["decision"] == {
        "value": chosen.value,
        "fitted_on": "val",
        "objective": "region_recall",
        "min_area_px": 1,
    }
    with Bundle.open(tmp_path / found["bundle"]) as bundle:
        assert bundle.manifest.decision == Decision(chosen.value, "val", "region_recall")
        assert bundle.variant(found["variant"]).spec.decision == bundle.manifest.decision
    # The same threshold in FP32, so that what INT8 loses is quantization's alone.
    fp32 = found["references"]["fp32"]["accuracy"]["val"]["dice_mean"]
    assert fp32 == pytest.approx(chosen.dice, abs=1e-6)


def binary_data(root: Path) -> Path:
    """The synthetic set with all kinds of defects as one class."""
    write_dataset(root, n=24, seed=0, size_px=64)
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 1))
    about = yaml.safe_load((root / "dataset.yaml").read_text())
    kept = {key: value for key, value in about.items() if key not in ("task",)}
    (root / "dataset.yaml").write_text(yaml.safe_dump(kept | {"classes": ["metal", "defect"]}))
    return root
