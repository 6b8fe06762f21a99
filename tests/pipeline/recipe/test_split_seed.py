"""A run's split was drawn with one seed; another one is refused, not ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.pipeline import cli
from edgeseg.pipeline.crossval.order import CrossvalOrder, crossval_of
from edgeseg.pipeline.plan.run import data_of
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.recipe.split_seed import FILE
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.synthetic.dataset import write_dataset

RECIPE = "name: tiny\ndata: {name: parts}\ngeometry: {mode: resize, height_px: 64, width_px: 64}\n"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A data set that brings no split."""
    write_dataset(tmp_path / "parts", n=12, seed=0, size_px=64)
    (tmp_path / "parts" / "meta.csv").unlink()
    return tmp_path / "parts"


def recipe(parts: Path, seed: int) -> Recipe:
    path = parts.parent / "tiny.yaml"
    path.write_text(RECIPE)
    return load_recipe(path, (f"data.seed={seed}",))


def test_another_seed_is_refused_with_both_and_the_way_out(parts: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs" / "tiny"
    first = data_of(recipe(parts, 0), parts, root)
    assert json.loads((root / FILE).read_text()) == {"seed": 0}
    with pytest.raises(ConfigError, match=r"data.seed is 7, but .*split\.csv was drawn with 0, .* --out, or delete"):
        data_of(recipe(parts, 7), parts, root)
    assert data_of(recipe(parts, 0), parts, root).samples == first.samples
    (root / "split.csv").unlink()  # what the message says
    assert data_of(recipe(parts, 7), parts, root).samples != first.samples
    with pytest.raises(ConfigError, match="was drawn with 7"):
        data_of(recipe(parts, 0), parts, root)


def test_the_command_says_so_before_anything_runs(parts: Path, tmp_path: Path) -> None:
    data_of(recipe(parts, 0), parts, tmp_path / "runs" / "tiny")
    words = ["run", tmp_path / "tiny.yaml", "--data", parts, "--out", tmp_path / "runs", "--set", "data.seed=3"]
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == 2 and "data.seed is 3" in done.stderr


def test_a_run_of_before_goes_on(parts: Path, tmp_path: Path) -> None:
    first = data_of(recipe(parts, 0), parts, tmp_path / "run")
    (tmp_path / "run" / FILE).unlink()
    assert data_of(recipe(parts, 7), parts, tmp_path / "run").samples == first.samples


def test_a_split_of_the_data_needs_no_seed(tmp_path: Path) -> None:
    write_dataset(tmp_path / "parts", n=12, seed=0, size_px=64)
    for seed in (0, 7):
        data_of(recipe(tmp_path / "parts", seed), tmp_path / "parts", tmp_path / "run")
    assert not (tmp_path / "run" / FILE).exists()


def test_a_damaged_record_is_told(parts: Path, tmp_path: Path) -> None:
    data_of(recipe(parts, 0), parts, tmp_path / "run")
    (tmp_path / "run" / FILE).write_text("{}")
    with pytest.raises(ConfigError, match="not readable"):
        data_of(recipe(parts, 0), parts, tmp_path / "run")


def test_folds_may_be_drawn_with_another_seed(parts: Path, tmp_path: Path) -> None:
    """They have splits of their own, and leave none to a run."""
    data_of(recipe(parts, 0), parts, tmp_path / "runs" / "tiny")
    split = (tmp_path / "runs" / "tiny" / "split.csv").read_text()
    for seed in (0, 7):
        order = CrossvalOrder(
            *(str(tmp_path / "tiny.yaml"), "x86-ort", "bytes=90000", parts, tmp_path / "runs", (f"data.seed={seed}",))
        )
        assert len(crossval_of(order)[0].splits) == 5
    assert (tmp_path / "runs" / "tiny" / "split.csv").read_text() == split
