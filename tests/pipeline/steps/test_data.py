"""The images of a step: those of the run, split as the run has written it down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeseg.pipeline.chain.chain import Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.steps.data import open_data
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import DataError


def context_of(data_root: Path, split_file: Path) -> StepContext:
    return StepContext(
        Step("any", (), {}, ""), data_root, split_file, StepFolder(split_file.parent), {}, {}, lambda *said: None
    )


def test_a_split_that_the_data_do_not_bring_is_read_and_never_drawn_anew(tmp_path: Path, synthetic_dir: Path) -> None:
    data_root, split_file = tmp_path / "data", tmp_path / "split.csv"
    shutil.copytree(synthetic_dir, data_root)
    (data_root / "meta.csv").unlink()
    drawn = open_dataset(data_root, split_file=split_file, seed=3)
    context = context_of(data_root, split_file)
    assert [one.split for one in open_data(context).samples] == [one.split for one in drawn.samples]
    split_file.unlink()
    with pytest.raises(DataError, match=r"split\.csv, which says how the images are split, is gone"):
        open_data(context)
    assert not split_file.exists()


@pytest.mark.parametrize("changed", ["image", "mask", "split"])
def test_images_that_change_in_the_middle_of_a_run_are_told(tmp_path: Path, synthetic_dir: Path, changed: str) -> None:
    data_root = tmp_path / "data"
    shutil.copytree(synthetic_dir, data_root)
    context = context_of(data_root, tmp_path / "split.csv")
    context.data_key = data_identity(open_dataset(data_root))
    assert open_data(context).samples == open_data(context).samples != ()
    one, other = open_dataset(data_root).samples[:2]
    if changed == "split":
        meta = (data_root / "meta.csv").read_text()
        (data_root / "meta.csv").write_text(
            meta.replace("train", "spare").replace("test", "train").replace("spare", "test")
        )
    else:
        shutil.copy2(getattr(other, changed), getattr(one, changed))
    with pytest.raises(DataError, match="have changed since this run began"):
        open_data(context)
