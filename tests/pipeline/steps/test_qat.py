"""The step `student_qat`: from the accepted network and its ranges to INT8 files of trained weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeseg.compress.int8.plan import make_plan
from edgeseg.compress.int8.prepared import FILE
from edgeseg.compress.int8.stored_ranges import load_ranges
from edgeseg.compress.qat.net import rounding
from edgeseg.compress.qat.rule import RULES
from edgeseg.export.parity import Tolerance, parity
from edgeseg.pipeline.chain.chain import Chain, needed_steps, no_progress
from edgeseg.pipeline.int8.run_files import read_run
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.export import QatSection
from edgeseg.runtime.data.dataset import open_dataset, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.opening.step_folder import read_spec
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models.unet import UNet

from ..int8_cases import torch_infer, unet, write_data

RECIPE = """\
name: toy
data: {name: toy}
geometry: {mode: resize, height_px: 48, width_px: 48}
train: {batch_size: 2, workers: 0, threads: 1, precision: bfloat16,
        augment: {p_affine: 0, p_elastic: 0, p_grid: 0, p_gamma: 0, p_noise: 0, p_blur: 0}}
teacher: {base: 4, depth: 2}
fit: {student: student_alone}
quantize: {images: 8}
"""
QAT = ("quantize.qat.epochs=2", "quantize.qat.learning_rate=1e-3")
WORKS = {"onnx_fp32", "ranges", "student_qat", "onnx_int8"}
pytestmark = pytest.mark.slow  # an export


def _narrowed() -> UNet:
    """The healthy network with one wide channel, which leaves the others of its tensor eight integers of 256."""
    net = unet()
    first, second = net.down[0]
    first[1].weight.data[5] *= 30.0
    first[1].bias.data[5] *= 30.0
    second[0].weight.data[:, 5] /= 30.0
    return net


def _chain(root: Path, *settings: str, out: str = "runs") -> Chain:
    """Everything before the export is whole already; the accepted student is what `save_checkpoint` was given."""
    chain = make_chain(load_recipe(root / "recipe.yaml", settings), root / "data", root / out)
    keys, before = chain.keys(), needed_steps(chain.steps, "onnx_int8") - WORKS
    for step in chain.steps:
        folder = chain.folder(step.name)
        if step.name in before and step.left_out is None and folder.load(keys[step.name]) is None:
            folder.begin(keys[step.name])
            if step.name == "student_alone":
                save_checkpoint(folder.files, _narrowed(), {})
            result = {"student": "student_alone", "reason": "given"} if step.name == "choose_final" else {}
            folder.finish(keys[step.name], result, 0.0)
    return chain


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its INT8 file without the step, in `runs`."""
    root = tmp_path_factory.mktemp("qat")
    (root / "recipe.yaml").write_text(RECIPE)
    write_data(root / "data", torch_infer(unet()))
    _chain(root).run(no_progress, "onnx_int8")
    return root


@pytest.fixture
def root(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def _content(chain: Chain, step: str, file: str) -> bytes:
    return (chain.folder(step).files / file).read_bytes()


def test_what_is_trained_is_what_ships(root: Path) -> None:
    plain = _content(_chain(root), "onnx_int8", "model.onnx")
    chain = _chain(root, "quantize.qat.epochs=6", "quantize.qat.learning_rate=2e-3")
    state = chain.run(no_progress, "onnx_int8")
    assert set(state.ran) == {"student_qat", "onnx_int8"}, "floats and ranges stay as they are"
    result = state.records["student_qat"]["result"]
    assert result["status"] == "ok" and "so it is used" in result["reason"]
    assert result["dice_drop_vs_ptq"]["mean"] < -0.002, "the rounding of the narrowed channels is made up for"
    assert len(result["history"]) == 6 and result["target"] == "x86-ort"
    files, accepted = chain.folder("student_qat").files, chain.folder("student_alone").files
    assert (files / "ranges.json").read_bytes() == _content(chain, "ranges", "ranges.json")
    assert _content(chain, "onnx_int8", "model.onnx") != plain
    stored = load_ranges(files, accepted, "")
    network = rounding(stored.network, make_plan(stored.network, stored.ranges), RULES["x86-ort"])
    data = open_dataset(root / "data")
    frames = [read_image(sample.image, "gray") for sample in data.samples]
    shipped = chain.folder("onnx_int8").files
    found = parity(network, shipped / "model.onnx", read_spec(shipped), frames, Tolerance(None, 0.999))
    assert found.n_frames == len(data.samples)
    # The doctor looks at the network that is quantised.
    known = read_run(chain.root, "toy", qat=True)
    assert known.is_trained_for and not read_run(chain.root, "toy").is_trained_for
    weights = known.model.state_dict()
    assert all((weights[name] == one).all() for name, one in stored.network.state_dict().items())


def test_a_killed_training_goes_on(root: Path) -> None:
    whole = _chain(root, *QAT)
    whole.run(no_progress, "student_qat")
    expected = _content(whole, "student_qat", FILE)
    shutil.rmtree(whole.folder("student_qat").root)

    def killed(step: str, share: float, words: str) -> None:
        if step == "student_qat" and words.startswith("epoch 2/2"):  # the state of the first is kept
            raise MemoryError("stands for a kill")

    with pytest.raises(MemoryError):
        _chain(root, *QAT).run(killed, "student_qat")
    said: list[str] = []
    _chain(root, *QAT).run(lambda step, share, words: said.append(words), "student_qat")
    assert next(words for words in said if words.startswith("epoch")).startswith("epoch 2/2")
    assert _content(whole, "student_qat", FILE) == expected


def test_a_network_that_is_shown_to_be_worse_is_not_used(root: Path) -> None:
    plain = _content(_chain(root), "onnx_int8", "model.onnx")
    chain = _chain(root, "quantize.qat.epochs=1", "quantize.qat.learning_rate=0.5")
    state = chain.run(no_progress, "onnx_int8")
    result = state.records["student_qat"]["result"]
    assert result["status"] == "refused" and "shown to be worse, so it is not used" in result["reason"]
    assert _content(chain, "onnx_int8", "model.onnx") == plain
    assert not read_run(chain.root, "toy", qat=True).is_trained_for


def test_what_cannot_be_is_said_with_its_line(root: Path) -> None:
    recipe = root / "recipe.yaml"
    assert load_recipe(recipe, ["quantize.qat={}"]).quantize.qat == QatSection()
    assert load_recipe(recipe).quantize.qat is None
    for target in RULES:
        assert load_recipe(recipe, [f"quantize.qat.target={target}"]).quantize.qat == QatSection(target)
    named = r"quantize\.qat\.target is 'x86-openvino'; use one of " + ", ".join(RULES)
    with pytest.raises(ConfigError, match=named):
        load_recipe(recipe, ["quantize.qat.target=x86-openvino"])
    for key in ("epochs", "learning_rate"):
        with pytest.raises(ConfigError, match=rf"quantize\.qat\.{key} is 0.*, but must be above 0"):
            load_recipe(recipe, [f"quantize.qat.{key}=0"])
