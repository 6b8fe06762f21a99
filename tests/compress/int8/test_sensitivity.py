"""The search for float layers: greedy from the worst, backwards through what is not needed, on given losses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from edgeseg.compress.int8.sensitivity import FloatLayers, Score, examine
from edgeseg.runtime.score.image_score import score_image

PIXELS = 10_000


class Losing:
    """A subject whose layers each make some pixels wrong while they are in INT8; some only together with others."""

    def __init__(self, wrong: Mapping[str, int], together: Mapping[frozenset[str], int] | None = None) -> None:
        self.wrong, self.together = dict(wrong), dict(together or {})
        self.asked: list[tuple[FloatLayers | None, bool]] = []

    def layers(self) -> tuple[str, ...]:
        return tuple(self.wrong)

    def score(self, float_layers: FloatLayers | None, *, whole: bool) -> Score:
        self.asked.append((float_layers, whole))
        integer = set() if float_layers is None else set(self.wrong) - float_layers
        n = sum(self.wrong[layer] for layer in integer)
        n += sum(lost for layers, lost in self.together.items() if layers <= integer)
        images = []
        for index in range(3 if whole else 2):
            truth = np.ones((100, 100), np.uint8)
            pred = truth.copy()
            pred.reshape(-1)[:n] = 0
            images.append(score_image(pred, truth, 2, stem=str(index)))
        return Score(tuple(images), n / PIXELS)


def test_nothing_stays_in_float_where_the_budget_holds() -> None:
    subject = Losing({"a": 1, "b": 2})
    found = examine(subject, 0.01)
    assert found.found.float_layers == () and found.found.holds and len(found.trials) == 1
    assert [loss.layer for loss in found.losses] == ["b", "a"]
    assert found.losses[0].differs == pytest.approx(2 / PIXELS)


def test_the_worst_layers_are_added_until_the_budget_holds() -> None:
    found = examine(Losing({"a": 10, "b": 900, "c": 400, "d": 20}), 0.01)
    assert found.found.float_layers == ("b", "c") and found.found.holds
    # All INT8, b, b + c; then backwards: without c and without b, of which one was tried before.
    assert [trial.float_layers for trial in found.trials] == [(), ("b",), ("b", "c"), ("c",)]
    assert [trial.holds for trial in found.trials] == [False, False, True, False]


def test_what_became_unnecessary_is_dropped() -> None:
    # a and b are harmless alone and harmful together: greedy adds c first, for its own loss, then a; c goes again.
    subject = Losing({"c": 60, "a": 40, "b": 30}, {frozenset("ab"): 900})
    found = examine(subject, 0.02)
    assert found.found.float_layers == ("a",)


def test_long_lists_grow_faster_and_end_small() -> None:
    wrong = {f"l{i}": 200 - i for i in range(30)}
    found = examine(Losing(wrong), 0.06)
    grown = [len(trial.float_layers) for trial in found.trials]
    assert grown[:9] == list(range(9)) and max(b - a for a, b in itertools.pairwise(grown)) > 1
    kept = set(found.found.float_layers)
    assert found.found.holds
    fewest = next(n for n in range(31) if Losing(wrong).score(frozenset(list(wrong)[:n]), whole=True).differs <= 0.11)
    assert abs(len(kept) - fewest) <= 1


def test_layers_are_compared_on_the_part_and_the_search_is_on_all_of_val() -> None:
    subject = Losing({"a": 500, "b": 3})
    examine(subject, 0.01)
    assert {whole for layers, whole in subject.asked if layers == frozenset()} == {True}
    assert (frozenset("b"), False) in subject.asked and (None, False) in subject.asked and (None, True) in subject.asked


def test_progress_ends_at_its_total() -> None:
    told: list[tuple[int, int]] = []
    examine(Losing({"a": 500, "b": 3}), 0.01, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1)) and told[-1][0] >= 3
    assert all(done <= total for done, total in told)
