"""A run's folder is filled by one process at a time, whichever command it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.chain.lock import alone_in
from edgeseg.pipeline.plan.run import run_recipe
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.pipeline.search.run import run_fit
from edgeseg.runtime.errors import ConfigError

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 12, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return load_recipe(path)


def test_a_folder_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with alone_in(tmp_path / "run"), pytest.raises(ConfigError, match="wait for it, or go"):  # noqa: SIM117
            with alone_in(tmp_path / "run", "go"):
                pass


def test_run_and_fit_leave_a_folder_in_use_alone(recipe: Recipe, tmp_path: Path) -> None:
    budget, order = Budget("x86-ort", latency_ms=1.0), FitOrder("tiny", None, None, None, tmp_path, ())
    with alone_in(tmp_path / "tiny"):
        with pytest.raises(ConfigError, match=r"tiny is being filled by another edgeseg process.*--out"):
            run_recipe(recipe, out=tmp_path)
        with pytest.raises(ConfigError, match="is being filled"):
            run_fit(recipe, budget, order, no_progress)
    assert not (tmp_path / "tiny" / "steps").exists()


@pytest.mark.parametrize("name", ["report.html", "report.json", "parts.edgeseg", "lock"])
def test_a_file_of_the_user_s_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"its {name} would be replaced"), alone_in(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_run_s_own_folder_is_renewed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with alone_in(tmp_path):
        (tmp_path / "report.html").touch()
    with alone_in(tmp_path):
        pass
    (tmp_path / "lock").unlink()  # as copied from another machine
    (tmp_path / "steps" / "teacher").mkdir(parents=True)
    (tmp_path / "steps" / "teacher" / "done.json").touch()
    with alone_in(tmp_path):
        pass


def test_a_data_set_is_no_run_folder(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a data set"):
        run_recipe(recipe, out=tmp_path)
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {"images", "masks"}
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is no folder"), alone_in(tmp_path / "file"):
        pass
