"""The embedded data set: what `write_dataset` promises about files, splits, areas, repeatability and masks."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image, read_mask
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.train.synthetic.dataset import write_dataset
from edgeseg.train.synthetic.defects import CLASSES, MAX_DEFECT_FRACTION, MIN_DEFECT_FRACTION, add_defects
from edgeseg.train.synthetic.surface import FINISHES, draw_surface


@pytest.fixture(scope="module")
def metal(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tmp_path_factory.mktemp("metal") / "set"
    write_dataset(root, n=90, seed=3, size_px=128)
    return open_dataset(root)


def _digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_description(metal: DataSet) -> None:
    assert (metal.name, metal.color, metal.classes) == ("synthetic_metal", "gray", CLASSES)
    assert metal.licence == "CC0-1.0"
    assert metal.may_redistribute
    assert len(metal.samples) == 90


def test_images_are_gray_bytes_and_masks_class_ids(metal: DataSet) -> None:
    for sample in metal.samples[:10]:
        image, mask = read_image(sample.image, "gray"), read_mask(sample.mask, len(CLASSES))
        assert image.shape == mask.shape == (128, 128)
        assert image.dtype == mask.dtype == np.uint8
        assert 20 < image.mean() < 235
        assert (image == 255).mean() < 0.02, "overexposed"


def test_parts_are_never_split_and_shares_hold(metal: DataSet) -> None:
    splits = defaultdict(set)
    for sample in metal.samples:
        splits[sample.group].add(sample.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set(Counter(sample.group for sample in metal.samples).values()) == {2}  # two views a part
    share = {name: len(metal.split(name)) / len(metal.samples) for name in ("train", "val", "test")}
    assert share == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.03)


def test_a_third_is_good_in_every_split(metal: DataSet) -> None:
    for name in ("train", "val", "test"):
        kinds = Counter(sample.columns["kind"] for sample in metal.split(name))
        assert kinds["good"] / kinds.total() == pytest.approx(1 / 3, abs=0.06)


def test_kind_areas_and_classes(metal: DataSet) -> None:
    seen: dict[str, set[int]] = defaultdict(set)
    for sample in metal.samples:
        mask = read_mask(sample.mask, len(CLASSES))
        fraction = np.count_nonzero(mask) / mask.size
        assert (sample.columns["kind"] == "defect") == bool(fraction)
        if fraction:
            assert MIN_DEFECT_FRACTION <= fraction <= MAX_DEFECT_FRACTION
        seen[sample.split] |= set(np.unique(mask).tolist())
    assert all(seen[name] == {0, 1, 2, 3} for name in ("train", "val", "test"))


@pytest.mark.parametrize("n", [6, 7, 13])
def test_the_smallest_sets_still_have_every_class_in_every_split(tmp_path: Path, n: int) -> None:
    write_dataset(tmp_path / "set", n=n, seed=1, size_px=64)
    data = open_dataset(tmp_path / "set")
    assert len(data.samples) == n
    for name in ("train", "val", "test"):
        masks = [read_mask(sample.mask, len(CLASSES)) for sample in data.split(name)]
        assert set(np.unique(masks).tolist()) == {0, 1, 2, 3}


def test_equal_arguments_give_equal_bytes_in_another_process(tmp_path: Path) -> None:
    write_dataset(tmp_path / "here", n=8, seed=5, size_px=96)
    code = "import sys; from pathlib import Path; from edgeseg.train.synthetic.dataset import write_dataset\n"
    code += "write_dataset(Path(sys.argv[1]), n=8, seed=5, size_px=96)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True)
    assert _digest(tmp_path / "here") == _digest(tmp_path / "there")


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", n=6, seed=0, size_px=64)
    write_dataset(tmp_path / "b", n=6, seed=1, size_px=64)
    a, b = _digest(tmp_path / "a"), _digest(tmp_path / "b")
    assert not {a[name] for name in a if name.startswith("images")} & {b[name] for name in b}


def test_no_two_images_are_equal(metal: DataSet) -> None:
    assert len({sample.image.read_bytes() for sample in metal.samples}) == len(metal.samples)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32), classes=st.sets(st.integers(1, 3), min_size=1), size_px=st.sampled_from((64, 96, 160))
)
def test_defects_change_the_mask_and_nothing_else(seed: int, classes: set[int], size_px: int) -> None:
    rng = np.random.default_rng(seed)
    side_px = size_px + 2 * round(0.06 * size_px)
    before = draw_surface(rng, side_px, size_px / 256)
    after = before.copy()
    mask = add_defects(rng, after, tuple(classes), size_px)
    assert set(np.unique(mask[mask > 0]).tolist()) == classes
    assert np.array_equal(before[mask == 0], after[mask == 0])
    changed = np.abs(after - before)[mask > 0]
    assert (changed > 0.01).mean() > 0.8, "most of a defect is visible"


@pytest.mark.parametrize("finish", FINISHES, ids=lambda finish: finish.__name__.strip("_"))
def test_grain_has_unit_deviation_and_a_direction(finish) -> None:
    grain, across = finish(np.random.default_rng(0), 144, 0.5)
    assert grain.shape == across.shape == (144, 144)
    assert grain.dtype == np.float32
    assert 0.5 < grain.std() < 2.5
    # The metal changes faster across the tool's path than along it.
    d_across = np.stack(np.gradient(across))
    d_across /= np.linalg.norm(d_across, axis=0) + 1e-6
    d_grain = np.stack(np.gradient(grain))
    over = np.abs((d_grain * d_across).sum(axis=0)).mean()
    along = np.abs(d_grain[0] * d_across[1] - d_grain[1] * d_across[0]).mean()
    assert over > 1.3 * along


def test_good_metal_holds_harmless_marks() -> None:
    """Without defects a frame still has dark lines and bright specks, so brightness alone does not tell a defect."""
    surfaces = [draw_surface(np.random.default_rng(seed), 144, 0.5) for seed in range(20)]
    assert sum(bool((surface < surface.mean() - 0.15).any()) for surface in surfaces) >= 5
    assert sum(bool((surface > surface.mean() + 0.2).any()) for surface in surfaces) >= 5


@pytest.mark.parametrize("bad", [{"n": 5}, {"size_px": 63}, {"seed": -1}])
def test_impossible_arguments_are_refused(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="give n >= 6"):
        write_dataset(tmp_path / "set", **({"n": 6, "seed": 0, "size_px": 64} | bad))
    assert not (tmp_path / "set").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty, and nothing in it is touched"):
        write_dataset(tmp_path, n=6, seed=0, size_px=64)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fail_late(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        return len(data)

    monkeypatch.setattr(Path, "write_bytes", fail_late)
    with pytest.raises(EdgesegError, match="No space left on the disk while writing"):
        write_dataset(tmp_path / "set", n=6, seed=0, size_px=64)
    assert list(tmp_path.iterdir()) == []
