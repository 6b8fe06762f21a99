"""Calibration on images of one's own: which folders are taken, what is drawn, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.compress.calibration.folder import open_folder, recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.synthetic.dataset import write_dataset

SPEC = InputSpec("gray", Geometry("resize", 64, 64), 16)
N = 12


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the same kind as the data set's, without masks."""
    root = tmp_path_factory.mktemp("line") / "metal"
    write_dataset(root, n=N, seed=77, size_px=96)
    return root / "images"


@pytest.fixture
def own(line: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    return Path(shutil.copytree(line, tmp_path / "own"))


def write_images(folder: Path, images: list[np.ndarray]) -> None:
    folder.mkdir()
    for index, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{index}.png"), image)


def draw(data: DataSet, folder: Path, count: int = 64, seed: int = 0, spec: InputSpec = SPEC):
    return draw_images(data, open_folder(folder, data, "quantize.folder"), count, seed, spec)


def test_a_seeded_draw_is_prepared_as_training_images_are(synthetic_data: DataSet, line: Path) -> None:
    drawn = draw(synthetic_data, line, count=9)
    assert len(drawn.images) == len(set(drawn.stems)) == 9 and drawn.of == N
    assert drawn.stems == draw(synthetic_data, line, count=9).stems != draw(synthetic_data, line, 9, seed=1).stems
    assert sorted(draw(synthetic_data, line).stems) == sorted(path.stem for path in line.iterdir())
    tensors = list(calibration_tensors(synthetic_data, drawn.images, SPEC))
    assert {tensor.shape for tensor in tensors} == {(1, 64, 64, 1)}
    record = drawn.to_json()
    assert record["source"] == "folder" and record["images"] == drawn.stems and record["images_by_class"] is None
    assert len(record["folder_sha256"]) == 64 and drawn.words == "9 images of a folder"


def test_without_a_folder_train_is_drawn_from(synthetic_data: DataSet) -> None:
    assert recipe_folder(synthetic_data, None) is None
    record = draw_images(synthetic_data, None, 10, 0, SPEC).to_json()
    assert record["source"] == "train" and record["folder_sha256"] is None and record["images_by_class"]


def test_a_relative_path_starts_at_the_data_set(synthetic_dir: Path, line: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(synthetic_dir, tmp_path / "data"))
    shutil.copytree(line, root / "line 3")
    data = open_dataset(root)
    relative, absolute = recipe_folder(data, "line 3"), recipe_folder(data, str(line))
    assert relative and absolute and relative.path == root / "line 3" and absolute.path == line
    # Known by its images, wherever it lies.
    assert relative.sha256 == absolute.sha256


def test_16_bit_images_are_calibrated_on_through_their_window(synthetic_dir: Path, tmp_path: Path) -> None:
    window = (700, 4000)
    root = Path(shutil.copytree(synthetic_dir, tmp_path / "deep"))
    for path in (root / "images").iterdir():
        assert cv2.imwrite(str(path), spread(read_image(path, "gray"), window))
    with (root / "dataset.yaml").open("a") as file:
        file.write(f"window: {list(window)}\n")
    flat, deep = open_dataset(synthetic_dir), open_dataset(root)
    for geometry in (SPEC.geometry, Geometry("tile", tile_px=48, overlap_px=16)):
        spec = InputSpec("gray", geometry, 16)
        images, deep_images = (draw_images(data, None, N, 0, spec).images for data in (flat, deep))
        expected = list(calibration_tensors(flat, images, spec))
        found = list(calibration_tensors(deep, deep_images, dataclasses.replace(spec, window=window)))
        assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


def test_a_tile_is_chosen_without_a_mask(synthetic_data: DataSet, own: Path) -> None:
    spec = InputSpec("gray", Geometry("tile", tile_px=48, overlap_px=16), 16)
    drawn = draw(synthetic_data, own, spec=spec)
    tensors = list(calibration_tensors(synthetic_data, drawn.images, spec))
    assert all(1 <= len(tensor) <= 2 and tensor.shape[1:] == (48, 48, 1) for tensor in tensors)
    image = np.full((96, 96), 100, np.uint8)
    image[:8, :8] = 255
    assert cv2.imwrite(str(own / "corner.png"), image)
    (tensor,) = calibration_tensors(synthetic_data, [own / "corner.png"], spec)
    assert tensor[0, :8, :8].min() == 255


def test_folders_that_cannot_be_used(synthetic_data: DataSet, own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quantize\.folder: there is no folder .*nowhere; a relative path starts at"):
        recipe_folder(synthetic_data, "nowhere")
    with pytest.raises(ConfigError, match="--calibration: there is no folder"):
        open_folder(own / "nowhere", synthetic_data, "--calibration")
    with pytest.raises(ConfigError, match="there is no folder"):  # a file
        draw(synthetic_data, next(own.iterdir()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"quantize\.folder is .*empty, but .*no usable file, nothing in it"):
        draw(synthetic_data, tmp_path / "empty")
    (own / "notes.txt").write_text("lamp 2")
    for path in sorted(own.glob("*.png"))[7:]:
        path.unlink()
    with pytest.raises(ConfigError, match="has 7 images, but calibration needs at least 8"):
        draw(synthetic_data, own)
    shutil.copy(next(own.glob("*.png")), own / "other.png")
    assert len(draw(synthetic_data, own).images) == 8
    (own / "other.bmp").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"has the same stem as other\.bmp"):
        draw(synthetic_data, own)


def test_an_image_that_cannot_be_read_is_named(synthetic_data: DataSet, own: Path) -> None:
    (own / "cut.png").write_bytes(next(own.glob("*.png")).read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cut\.png: truncated"):
        draw(synthetic_data, own)


def test_another_modality_is_refused_with_its_figures(synthetic_data: DataSet, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_images(tmp_path / "noise", list(rng.integers(0, 256, (N, 96, 96), np.uint8)))
    with pytest.raises(DataError, match=r"quantize\.folder is .*noise: these 12 images are of another modality"):
        draw(synthetic_data, tmp_path / "noise")
    dim = [read_image(sample.image, "gray") // 4 for sample in synthetic_data.split("train")[:N]]
    write_images(tmp_path / "dim", dim)
    with pytest.raises(DataError, match=r"of another modality .*mean .*\(training"):
        draw(synthetic_data, tmp_path / "dim")


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_that_are_scored_on_are_refused(synthetic_data: DataSet, own: Path, split: str) -> None:
    sample = synthetic_data.split(split)[0]
    shutil.copy(sample.image, own / "looks_new.png")
    with pytest.raises(
        ConfigError, match=f"1 of its 13 images are scored on, such as looks_new, which is {sample.stem}"
    ):
        draw(synthetic_data, own)
    # The trap that a relative path sets: the data set's own images.
    with pytest.raises(ConfigError, match="images are scored on"):
        recipe_folder(synthetic_data, "images")


def test_saved_again_they_are_the_same_pictures(synthetic_data: DataSet, own: Path) -> None:
    image = read_image(synthetic_data.split("test")[0].image, "gray")
    assert cv2.imwrite(str(own / "saved_again.bmp"), image)
    with pytest.raises(ConfigError, match=r"saved_again\.bmp shows the same pixels as an image of test"):
        draw(synthetic_data, own)


def test_training_images_may_be_among_them(synthetic_data: DataSet, own: Path) -> None:
    shutil.copy(synthetic_data.split("train")[0].image, own / "known.png")
    assert draw(synthetic_data, own).of == N + 1


class TestChain:
    RECIPE = "name: tiny\ndata: {name: synthetic}\ngeometry: {mode: resize, height_px: 96, width_px: 96}\n"

    def keys(self, tmp_path: Path, data: Path, *assignments: str) -> dict[str, object]:
        (tmp_path / "recipe.yaml").write_text(self.RECIPE)
        recipe = load_recipe(tmp_path / "recipe.yaml", assignments)
        return {step.name: dict(step.settings) for step in make_chain(recipe, data, tmp_path / "runs").steps}

    def test_the_step_is_keyed_by_the_images_not_by_the_path(
        self, tmp_path: Path, synthetic_dir: Path, own: Path
    ) -> None:
        on_train = self.keys(tmp_path, synthetic_dir)
        before = self.keys(tmp_path, synthetic_dir, f"quantize.folder={own}")
        assert {name for name in before if before[name] != on_train[name]} == {"ranges", "bundle", "report"}
        moved = Path(shutil.move(own, tmp_path / "moved"))
        after = self.keys(tmp_path, synthetic_dir, f"quantize.folder={moved}")
        assert after["ranges"] == before["ranges"]
        path = next(moved.iterdir())
        assert cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        assert self.keys(tmp_path, synthetic_dir, f"quantize.folder={moved}")["ranges"] != before["ranges"]

    def test_a_missing_folder_stops_a_run_before_anything_is_trained(self, tmp_path: Path, synthetic_dir: Path) -> None:
        with pytest.raises(ConfigError, match="there is no folder"):
            self.keys(tmp_path, synthetic_dir, "quantize.folder=line_3")
        with pytest.raises(ConfigError, match=r"quantize\.folder is empty"):
            self.keys(tmp_path, synthetic_dir, "quantize.folder=''")
