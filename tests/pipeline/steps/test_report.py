"""Which test images the report shows, and where its times are from."""

from __future__ import annotations

import numpy as np

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.pipeline.report.image_rank import Faults, faults_of
from edgeseg.pipeline.report.record import evidence_warnings
from edgeseg.pipeline.steps.report import PANELS, WORST, choose_panels, measured_on
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.score.metrics import image_dice


def _score(stem: str, hit_px: int, n_classes: int = 2) -> ImageScore:
    """Truth is a row of ten pixels, of which `hit_px` are found."""
    truth = np.zeros((12, 12), np.uint8)
    truth[3, :10] = 1
    found = np.zeros_like(truth)
    found[3, :hit_px] = 1
    return score_image(found, truth, n_classes, stem=stem, group=stem)


def test_the_worst_four_come_first_and_the_rest_is_spread() -> None:
    scores = [_score(f"s{hit}_{copy}", hit) for hit in range(1, 11) for copy in range(3)]
    worst, others = choose_panels(scores)
    assert (len(worst), len(others)) == (WORST, PANELS - WORST)
    assert [score.stem[:2] for score in worst] == ["s1", "s1", "s1", "s2"]
    dice = [image_dice(score) for score in others]
    assert dice == sorted(dice)
    assert dice[-1] - dice[0] > 0.3


def test_a_small_split_shows_every_image_once() -> None:
    worst, others = choose_panels([_score(f"s{hit}", hit) for hit in (2, 5, 9, 4, 7)])
    assert sorted(score.stem for score in [*worst, *others]) == ["s2", "s4", "s5", "s7", "s9"]


def _frame(stem: str, truth: list[tuple[int, int, int]], found: list[tuple[int, int, int]]) -> ImageScore:
    """Squares `x y side` of one class in truth and in the mask."""
    masks = []
    for squares in (found, truth):
        mask = np.zeros((48, 48), np.uint8)
        for x, y, side in squares:
            mask[y : y + side, x : x + side] = 1
        masks.append(mask)
    return score_image(masks[0], masks[1], 2, stem=stem, group=stem)


def test_a_missed_defect_is_worse_than_false_pixels_on_a_good_part() -> None:
    scores = [
        _frame("good_with_3_false_px", [], [(4, 4, 1), (4, 5, 1), (4, 6, 1)]),
        _frame("rough", [(10, 10, 12)], [(12, 12, 12)]),
        _frame("missed", [(10, 10, 6)], []),
        _frame("missed_and_false", [(10, 10, 6)], [(30, 30, 6)]),
        _frame("one_of_two", [(4, 4, 20), (40, 40, 5)], [(4, 4, 20)]),
        _frame("two_missed", [(4, 4, 3), (40, 40, 3)], []),
        _frame("false_beside_a_hit", [(4, 4, 9)], [(4, 4, 9), (30, 30, 2)]),
        _frame("right", [(4, 4, 9)], [(4, 4, 9)]),
    ]
    worst, others = choose_panels(scores[::-1])
    assert [score.stem for score in worst] == ["two_missed", "missed_and_false", "missed", "one_of_two"]
    assert [score.stem for score in others] == ["false_beside_a_hit", "good_with_3_false_px", "rough", "right"]


def test_faults_are_counted_class_by_class() -> None:
    truth = np.zeros((32, 32), np.uint8)
    truth[2:8, 2:8] = 1
    other = np.where(truth, 2, 0).astype(np.uint8)
    assert faults_of(score_image(other, truth, 3)) == Faults(1, 1, 36)  # found, but called another class
    assert faults_of(score_image(truth, truth, 3)) == Faults(0, 0, 0)
    crumbs = truth.copy()
    crumbs[:, 4] = 0
    assert faults_of(score_image(crumbs, truth, 3)) == Faults(0, 1, 6)  # one region in two pieces


def test_an_image_without_objects_is_no_worst_one() -> None:
    empty = np.zeros((12, 12), np.uint8)
    good = score_image(empty, empty, 2, stem="good")
    worst, others = choose_panels([good, *(_score(f"s{hit}", hit) for hit in (2, 5, 9))])
    assert [score.stem for score in [*worst, *others]] == ["s2", "s5", "s9"]


def test_the_machine_is_the_one_that_was_measured_on() -> None:
    """A run that was moved: its times are another machine's than the one that writes the report."""
    board = {"cpu_model": "Cortex-A76", "arch": "aarch64"}
    versions = {"onnxruntime": "1.0.0"}
    bench = BenchResult("2026-11-28T10:00:00+00:00", "emulated", None, None, board, versions, {}, {}, 1.0, ())
    found = measured_on(bench, {"frame": "0004", "threads": 2})
    assert found["machine"] == board and found["software"] == versions
    told = {"created": bench.created, "evidence": "emulated", "pipeline": "engine only"}
    assert found["bench"] == {"frame": "0004", "threads": 2} | told


def test_times_of_an_emulator_are_warned_of() -> None:
    (warning,) = evidence_warnings("emulated")
    assert warning["message"] == "all times here are emulated: it runs there; the times mean nothing"
    assert evidence_warnings("device") == []
