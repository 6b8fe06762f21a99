"""What a recipe leaves to the machine is settled once a run, and is part of the key of every training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.recipe.settled import FILE, settled
from edgeseg.runtime.errors import ConfigError
from edgeseg.train import machine

DEMO = Path(__file__).parents[3] / "recipes/demo.yaml"


def _recipe(*assignments: str) -> Recipe:
    left_to_the_machine = "train.threads=null"
    return load_recipe(DEMO, ("data.synthetic_images=12", "data.synthetic_px=64", left_to_the_machine, *assignments))


def _machine(monkeypatch: pytest.MonkeyPatch, threads: int, precision: str) -> None:
    monkeypatch.setattr(machine, "training_threads", lambda: threads)
    monkeypatch.setattr(machine, "training_precision", lambda: precision)


def test_a_run_keeps_what_it_began_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _machine(monkeypatch, 3, "bfloat16")
    first = settled(_recipe(), tmp_path).train
    _machine(monkeypatch, 8, "float32")
    again = settled(_recipe(), tmp_path).train
    assert (first.threads, first.precision) == (again.threads, again.precision) == (3, "bfloat16")
    assert json.loads((tmp_path / FILE).read_text()) == {"threads": 3, "precision": "bfloat16"}


def test_the_recipe_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _machine(monkeypatch, 3, "bfloat16")
    train = settled(_recipe("train.threads=1"), tmp_path).train
    assert (train.threads, train.precision) == (1, "bfloat16")
    both = settled(_recipe("train.threads=1", "train.precision=float32"), tmp_path / "other").train
    assert (both.threads, both.precision) == (1, "float32")
    assert not (tmp_path / "other" / FILE).exists()


def test_another_kind_of_machine_is_another_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def teacher_settings(threads: int, out: str) -> dict:
        _machine(monkeypatch, threads, "float32")
        chain = make_chain(_recipe(), None, tmp_path / out)
        assert chain.recipe.train.threads == threads  # what the steps are handed
        return next(dict(step.settings) for step in chain.steps if step.name == "teacher")

    one, same, two = teacher_settings(1, "a"), teacher_settings(1, "b"), teacher_settings(2, "c")
    assert one == same != two


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"threads": 2')
    with pytest.raises(ConfigError, match=FILE):
        settled(_recipe(), tmp_path)
