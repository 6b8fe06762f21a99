"""Trainings of a chain: a teacher of several networks, asked as the recipe says, gone on with where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.compress.distill.members import load_teacher
from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.steps import training
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.synthetic.dataset import write_dataset

RECIPE = """\
name: taught
data: {name: taught}
geometry: {mode: resize, height_px: 32, width_px: 32}
train: {batch_size: 4, validate_every: 1, workers: 0, threads: 1, precision: float32, seed: 7,
        augment: {flip_vertical: false, p_elastic: 0, p_grid: 0}}
teacher: {base: 4, depth: 2, epochs: 2, seeds: 2}
student: {width: 0.25, depth: 0.34, stages: 3, epochs: 1}
distill: {views: 1, calibrate: true, flips: true}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data", 24, 0, 64)
    return tmp_path / "data"


def _chain(tmp_path: Path, data: Path, *settings: str, out: str = "runs"):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return make_chain(load_recipe(tmp_path / "recipe.yaml", settings), data, tmp_path / out)


def _weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}


def test_a_teacher_of_seeds_is_asked_as_the_recipe_says(tmp_path: Path, data: Path) -> None:
    chain = _chain(tmp_path, data)
    said: list[str] = []
    records = chain.run(lambda step, share, words: said.append(f"{step} {words}"), "student_distilled").records
    members = records["teacher"]["result"]["members"]
    assert [one["seed"] for one in members] == [7, 8]
    assert members[0]["val_dice_at_network_size"] == records["teacher"]["result"]["val_dice_at_network_size"]
    assert any(one.startswith("teacher network 2 of 2, epoch 2/2") for one in said)
    files = chain.folder("teacher").files
    assert len(set(_weights(files).values())) == 2
    asked = records["student_distilled"]["result"]["asked"]
    assert asked["members"] == len(asked["temperatures"]) == 2 and asked["flips"] == ["left-right"]
    assert all(one != 1.0 for one in asked["temperatures"]) and 0.0 <= asked["val_dice"] <= 1.0
    assert load_checkpoint(chain.folder("student_distilled").files)[1]["asked"] == asked
    # The row's network is the same with and without the others.
    alone = _chain(tmp_path, data, "teacher.seeds=1", "distill.calibrate=false", "distill.flips=false", out="alone")
    records = alone.run(no_progress, "student_distilled").records
    first = load_checkpoint(alone.folder("teacher").files)[0].state_dict()
    assert all((first[name] == tensor).all() for name, tensor in load_checkpoint(files)[0].state_dict().items())
    assert "members" not in records["teacher"]["result"] and "asked" not in records["student_distilled"]["result"]
    assert load_teacher(alone.folder("teacher").files).arch["name"] == "unet"


def test_a_killed_teacher_goes_on_with_the_network_it_was_at(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _chain(tmp_path, data)
    whole.run(no_progress, "teacher")

    def killed(step: str, share: float, words: str) -> None:
        if "network 2 of 2, epoch 1/2" in words:
            raise MemoryError("stands for a kill")

    chain = _chain(tmp_path, data, out="killed")
    with pytest.raises(MemoryError):
        chain.run(killed, "teacher")
    begun: list[tuple[str, bool]] = []
    fit = training.fit

    def watched(module, loaders, folder, *rest):
        begun.append((folder.name, (folder / "finished.json").is_file()))
        return fit(module, loaders, folder, *rest)

    monkeypatch.setattr(training, "fit", watched)
    chain.run(no_progress, "teacher")
    assert begun == [("fit", True), ("fit_1", False)]
    assert _weights(chain.folder("teacher").files) == _weights(whole.folder("teacher").files)


def test_mirrored_views_that_training_never_shows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(ConfigError, match=r"distill\.flips is true, but train\.augment\.flip_horizontal"):
        load_recipe(tmp_path / "recipe.yaml", ["train.augment.flip_horizontal=false"])
    with pytest.raises(ConfigError, match=r"teacher\.seeds is 0"):
        load_recipe(tmp_path / "recipe.yaml", ["teacher.seeds=0"])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("distill.views=3", r"distill\.views is 3"),
        ("distill.flips=true", r"distill\.flips is true"),
        ("teacher.seeds=2", r"teacher\.seeds is 2"),
    ],
)
def test_hints_of_what_has_no_features_are_refused(tmp_path: Path, setting: str, named: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    plain = ["distill.views=0", "distill.flips=false", "teacher.seeds=1", "distill.hint_weight=0.5"]
    assert load_recipe(tmp_path / "recipe.yaml", plain).distill.hint_weight == 0.5
    with pytest.raises(ConfigError, match=named):
        load_recipe(tmp_path / "recipe.yaml", [*plain, setting])


def test_images_without_masks_are_learnt_from(tmp_path: Path, data: Path) -> None:
    write_dataset(tmp_path / "line", 6, 5, 64)
    plain = "teacher.seeds=1", "teacher.epochs=1", "distill.calibrate=false", "distill.flips=false"
    chain = _chain(tmp_path, data, *plain, "distill.unlabelled=../line/images")
    chain.run(no_progress, "student_distilled")
    images = np.load(next(chain.root.glob("views/*/image.npy")), mmap_mode="r")
    assert images.shape[:2] == (1, 12 + 6)  # of train, and all of the others
    before = chain.keys()
    (tmp_path / "line/images" / "new.png").write_bytes(next((tmp_path / "line/images").iterdir()).read_bytes())
    after = _chain(tmp_path, data, *plain, "distill.unlabelled=../line/images").keys()
    changed = {name for name in before if before[name] != after[name]}
    assert "student_distilled" in changed and not changed & {"teacher", "student_alone"}
    with pytest.raises(ConfigError, match=r"distill\.unlabelled is .*images are scored on"):
        _chain(tmp_path, data, *plain, "distill.unlabelled=images")
    with pytest.raises(ConfigError, match="nothing is learnt from images without masks"):
        load_recipe(tmp_path / "recipe.yaml", ["distill.unlabelled=line", "distill.alpha=0"])


def test_a_file_is_followed_in_the_place_of_the_teacher(tmp_path: Path, data: Path) -> None:
    """Our own teacher as a file: the same answers to the last digits that the file has."""
    plain = "teacher.seeds=1", "teacher.epochs=1", "distill.calibrate=false", "distill.flips=false"
    chain = _chain(tmp_path, data, *plain)
    chain.run(no_progress, "teacher")
    own = load_checkpoint(chain.folder("teacher").files)[0]
    torch.onnx.export(own, (torch.zeros(1, 1, 32, 32),), tmp_path / "own.onnx", dynamo=False)
    chain = _chain(tmp_path, data, *plain, "distill.teacher=../own.onnx")
    record = chain.run(no_progress, "student_distilled").records["student_distilled"]["result"]
    assert record["asked"]["file_sha256"] == sha256_file(tmp_path / "own.onnx")
    folder = next(chain.root.glob("views/*/answer.npy")).parent
    images, answers = (np.load(folder / f"{name}.npy", mmap_mode="r")[0, 0] for name in ("image", "answer"))
    with torch.no_grad():
        expected = own(torch.from_numpy(images.copy())[None].float() / 255.0)[0]
    torch.testing.assert_close(torch.from_numpy(answers.copy()).float(), expected, atol=5e-3, rtol=5e-3)
    before = chain.keys()
    (tmp_path / "own.onnx").write_bytes((tmp_path / "own.onnx").read_bytes() + b"\x72\x00")
    after = _chain(tmp_path, data, *plain, "distill.teacher=../own.onnx").keys()
    changed = {name for name in before if before[name] != after[name]}
    assert "student_distilled" in changed and not changed & {"teacher", "student_alone"}
    for setting in ("distill.hint_weight=1", "teacher.seeds=2"):
        with pytest.raises(ConfigError, match=r"distill\.teacher is 't\.onnx'"):
            load_recipe(tmp_path / "recipe.yaml", [*plain, "distill.views=0", "distill.teacher=t.onnx", setting])
