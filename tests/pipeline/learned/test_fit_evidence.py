"""What a fit warns of: the networks it starts from, and the file that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.search.evidence import Evidence
from edgeseg.pipeline.search.student import TrainedChain
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.image_score import ImageScore, score_image

GOOD = [{"epoch": 5.0 * n, "val_dice": value} for n, value in enumerate((0.3, 0.7, 0.8, 0.82, 0.82), start=1)]
RISING = [{"epoch": 1.0 * n, "val_dice": 0.1 * n} for n in range(1, 6)]


def scores(*, right: bool, empty: bool = False) -> list[ImageScore]:
    truth = np.zeros((16, 16), np.uint8)
    if not empty:
        for class_id in (1, 2, 3):
            truth[4 * class_id :][:3] = class_id
    pred = truth if right else np.zeros_like(truth)
    return [score_image(pred, truth, 4, stem=str(index)) for index in range(8)]


def chain_with(root: Path, data: DataSet, **by_row: list[ImageScore]) -> tuple[RecipeChain, TrainedChain]:
    (root / "recipe.yaml").write_text("name: tiny\ndata: {name: synthetic}\ngeometry: {mode: native}\n")
    chain = RecipeChain((), root, data.root, "d", load_recipe(root / "recipe.yaml"))
    for name, found in by_row.items():
        folder: StepFolder = chain.folder(f"val_{name}")
        folder.files.mkdir(parents=True)
        save_scores(folder.files / "scores.json", found)
    records: dict[str, Any] = {name: {"result": {"history": GOOD}} for name in by_row}
    return chain, TrainedChain(records, "student_alone", "teacher")


def test_from_a_chain_s_scores_and_curves(tmp_path: Path, synthetic_dir: Path) -> None:
    data = open_dataset(synthetic_dir)
    chain, before = chain_with(tmp_path, data, teacher=scores(right=True), student_alone=scores(right=False))
    evidence = Evidence.of_chain(chain, before, data)
    assert [row["name"] for row in evidence.rows] == ["teacher", "student_alone"]
    shipped = {"skill": skill_of(scores(right=False), data.classes[1:])}
    warnings = evidence.warnings(shipped, RISING, 0.1)
    # The shipped file is of the student that has nothing either: said of the student alone, as is its own curve.
    assert [(one["kind"], one["step"]) for one in warnings] == [
        ("one_class_everywhere", "student_alone"),
        ("still_rising", "shipped"),
    ]
    assert "fit.final_epochs" in warnings[1]["remedy"]


def test_a_fit_that_lost_everything_says_so(tmp_path: Path, synthetic_dir: Path) -> None:
    data = open_dataset(synthetic_dir)
    chain, before = chain_with(tmp_path, data, teacher=scores(right=True), student_alone=scores(right=True))
    evidence = Evidence.of_chain(chain, before, data)
    assert evidence.warnings({"skill": skill_of(scores(right=True), data.classes[1:])}, GOOD, 0.1) == []
    warnings = evidence.warnings({"skill": skill_of(scores(right=False), data.classes[1:])}, GOOD, 0.1)
    assert [(one["kind"], one["step"]) for one in warnings] == [("one_class_everywhere", "shipped")]
    assert evidence.warnings({}, None, 0.1) == []  # a budget that was missed


def test_a_val_of_one_class_is_refused_before_hours_of_search(tmp_path: Path, synthetic_dir: Path) -> None:
    data = open_dataset(synthetic_dir)
    empty = scores(right=True, empty=True)
    chain, before = chain_with(tmp_path, data, teacher=empty, student_alone=empty)
    with pytest.raises(
        DataError, match="of one class everywhere, so that nothing can be chosen on it; give val images"
    ):
        Evidence.of_chain(chain, before, data)
