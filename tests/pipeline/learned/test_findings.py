"""What a run warns of, and that it does not where there is nothing to warn of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.pipeline.learned.findings import nothing_learned, skill_refusal, warnings_of
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.runtime.score.image_score import score_image

UInt8 = np.ndarray
Answer = Callable[[UInt8, np.random.Generator], UInt8]
GOOD = [{"epoch": 5.0 * n, "val_dice": value} for n, value in enumerate((0.3, 0.7, 0.8, 0.82, 0.82), start=1)]
FLAT = [{"epoch": 5.0 * n, "val_dice": 0.0} for n in range(1, 6)]
RISING = [{"epoch": 1.0 * n, "val_dice": 0.01 * n} for n in range(1, 6)]


def truth(rng: np.random.Generator, radius: int) -> UInt8:
    mask = np.zeros((64, 64), np.uint8)
    for class_id in (1, 2):
        centre = (int(rng.integers(8, 56)), int(rng.integers(8, 56)))
        cv2.circle(mask, centre, radius, class_id, -1)
    return mask


def skill(answer: Answer, n: int = 12, radius: int = 6, truth_of: Any = truth) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    truths = [truth_of(rng, radius) for _ in range(n)]
    return skill_of(
        [score_image(answer(mask, rng), mask, 3, stem=str(i)) for i, mask in enumerate(truths)], ("pit", "scratch")
    )


def right(mask: UInt8, _: Any) -> UInt8:
    return mask


def background(mask: UInt8, _: Any) -> UInt8:
    return np.zeros_like(mask)


def all_pit(mask: UInt8, _: Any) -> UInt8:
    return np.ones_like(mask)


def noise(mask: UInt8, rng: np.random.Generator) -> UInt8:
    return rng.integers(0, 3, mask.shape, dtype=np.uint8)


def blob(mask: UInt8, rng: np.random.Generator) -> UInt8:
    """An object somewhere: a network that has learned how much there is, but not where."""
    return truth(rng, 6)


def one_class(mask: UInt8, _: Any) -> UInt8:
    return np.where(mask == 1, mask, 0).astype(np.uint8)


def found(answer: Answer, history: list[dict[str, Any]] = GOOD, **options: Any) -> list[dict[str, Any]]:
    row = {"name": "teacher", "parent": None, "kind": "model", "skill": skill(answer, **options)}
    return warnings_of([row], {"teacher": history}, 0.1, 0.0)


def kinds(warnings: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in warnings]


def test_a_good_network_is_no_reason_to_warn() -> None:
    assert found(right) == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (background, "one_class_everywhere"),
        (all_pit, "one_class_everywhere"),
        (noise, "no_skill"),
        (blob, "no_skill"),
    ],
)
@pytest.mark.parametrize("radius", [2, 6, 14])
def test_what_has_learned_nothing_is_said_first_and_refused(answer: Answer, kind: str, radius: int) -> None:
    warnings = found(answer, radius=radius)
    assert warnings[0]["kind"] == kind and warnings[0]["step"] == "teacher" and nothing_learned(warnings)
    reason = skill_refusal(skill(answer, radius=radius), 0.1)
    assert reason is not None and "it has learned nothing: val Dice" in reason and "gates.min_skill" in reason


def test_the_network_of_dice_0_05_is_told() -> None:
    def mostly_wrong(mask: UInt8, rng: np.random.Generator) -> UInt8:
        answer = truth(rng, 6)
        answer[mask > 0] = np.where(rng.random(int((mask > 0).sum())) < 0.35, mask[mask > 0], 0)
        return answer

    of_it = skill(mostly_wrong, radius=2)
    assert 0.02 < of_it["dice"] < 0.09 and of_it["dice"] > of_it["trivial_dice"]
    assert kinds(found(mostly_wrong, radius=2)) == ["no_skill"]


def test_the_remedy_follows_the_curve() -> None:
    early, stuck = found(background, RISING), found(background, FLAT)
    assert "raise teacher.epochs; so far 5" in early[0]["remedy"] and kinds(early)[1:] == ["still_rising"]
    assert "inverted" in stuck[0]["remedy"] and kinds(stuck)[1:] == ["never_moved"]
    assert "teacher.learning_rate" in stuck[1]["remedy"]


def test_a_flat_curve_of_a_good_network_is_none() -> None:
    assert found(right, [one | {"val_dice": 0.9} for one in GOOD]) == []


def test_a_class_that_is_never_predicted_is_named() -> None:
    warnings = found(one_class)
    assert kinds(warnings) == ["class_never_predicted"] and "scratch" in warnings[0]["message"]
    assert not nothing_learned(warnings)


def test_one_mask_for_every_image() -> None:
    row = {"name": "teacher", "parent": None, "kind": "model", "skill": skill(right)}
    near = row["skill"] | {"dice": 0.9, "value": 0.9}
    assert kinds(warnings_of([row | {"skill": near}], {}, 0.1, 0.92)) == ["no_better_than_one_mask"]
    assert warnings_of([row | {"skill": near}], {}, 0.1, 0.8) == []


class TestVal:
    def test_without_foreground(self) -> None:
        empty = {"truth_of": lambda rng, radius: np.zeros((64, 64), np.uint8)}
        warnings = found(background, **empty)
        assert kinds(warnings) == ["no_foreground_in_val"] and nothing_learned(warnings)
        assert warnings[0]["step"] is None and "split" in warnings[0]["remedy"]
        reason = skill_refusal(skill(background, **empty), 0.1)
        assert reason is not None and "nothing shows that it has learned anything" in reason

    def test_too_small(self) -> None:
        warnings = found(right, n=3)
        assert (
            kinds(warnings) == ["val_too_small"] and "3 images with foreground in 3 group(s)" in warnings[0]["message"]
        )

    def test_a_class_that_it_does_not_have(self) -> None:
        def pits(rng: np.random.Generator, radius: int) -> UInt8:
            mask = truth(rng, radius)
            return np.where(mask == 2, 0, mask).astype(np.uint8)

        warnings = found(right, truth_of=pits)
        assert kinds(warnings) == ["class_not_in_val"] and "scratch" in warnings[0]["message"]


class TestWhoIsTold:
    def rows(self, **skills: dict[str, Any]) -> list[dict[str, Any]]:
        parents = {"teacher": None, "student_alone": "teacher", "student_distilled": "teacher"}
        models = [{"name": name, "parent": parent, "kind": "model"} for name, parent in parents.items()]
        variants = [
            {"name": "onnx_fp32", "parent": "student_alone", "kind": "variant"},
            {"name": "onnx_int8", "parent": "onnx_fp32", "kind": "variant"},
        ]
        return [row | {"skill": skills.get(row["name"], skill(right))} for row in [*models, *variants]]

    def steps(self, **skills: dict[str, Any]) -> list[Any]:
        return [one["step"] for one in warnings_of(self.rows(**skills), {}, 0.1, None)]

    def test_a_network_is_named_once_not_with_each_of_its_files(self) -> None:
        bad = skill(background)
        assert self.steps(student_alone=bad, onnx_fp32=bad, onnx_int8=bad) == ["student_alone"]

    def test_nor_with_what_is_pruned_of_it(self) -> None:
        bad = skill(background)
        rows = self.rows(student_alone=bad, onnx_fp32=bad, onnx_int8=bad)
        rows.insert(3, {"name": "student_pruned", "parent": "student_alone", "kind": "model", "skill": bad})
        rows[4]["parent"] = "student_pruned"
        warnings = warnings_of(rows, {"student_pruned": FLAT, "student_alone": FLAT}, 0.1, None)
        assert [(one["kind"], one["step"]) for one in warnings] == [
            ("one_class_everywhere", "student_alone"),
            ("never_moved", "student_alone"),
        ]

    def test_a_file_that_lost_it_is_named(self) -> None:
        warnings = warnings_of(self.rows(onnx_int8=skill(background)), {}, 0.1, None)
        assert [one["step"] for one in warnings] == ["onnx_int8"] and "export" in warnings[0]["remedy"]

    def test_a_student_that_did_not_go_on_is_not(self) -> None:
        assert self.steps(student_distilled=skill(background)) == []

    def test_a_gate_that_is_off_still_warns(self) -> None:
        rows = self.rows(teacher=skill(blob))
        assert kinds(warnings_of(rows, {}, None, None)) == ["no_skill"]
        assert skill_refusal(skill(blob), None) is None

    def test_a_row_that_was_not_scored_says_nothing(self) -> None:
        assert warnings_of([{"name": "teacher", "parent": None, "kind": "model", "skill": None}], {}, 0.1, None) == []


def test_a_single_look_at_val_is_no_curve() -> None:
    warnings = found(right, GOOD[:1])
    assert kinds(warnings) == ["curve_too_short"] and "1 look at val in 5 epochs" in warnings[0]["message"]
    assert "train.validate_every" in warnings[0]["remedy"]
