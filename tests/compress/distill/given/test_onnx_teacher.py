"""An ONNX file as teacher: asked as it is, its answers stored as they are live, and refused where it cannot teach."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edgeseg.compress.distill.answering import answering
from edgeseg.compress.distill.asked import Asking, ask, dice_on_val
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.ensemble import Ensemble, folded
from edgeseg.compress.distill.given.onnx_teacher import OnnxTeacher
from edgeseg.compress.distill.stored_views import ViewOrder, stored_views
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

WEIGHTS = (4.0, -3.0, 2.0, 0.5)


@pytest.fixture
def data(synthetic_dir: Path) -> DataSet:
    return open_dataset(synthetic_dir)


def _file(
    path: Path,
    batch: int | str = "n",
    channels: int = 1,
    *,
    softmax: bool = False,
    planes: int = 4,
    height: int | str = "h",
) -> Path:
    """A file that halves the image and answers `WEIGHTS` times the brightness, a plane a weight."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["small", "w"], ["logits"]),
    ]
    weights = [one / channels for one in WEIGHTS[:planes] for _ in range(channels)]
    made = [helper.make_tensor("w", TensorProto.FLOAT, (planes, channels, 1, 1), weights)]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    ends = [("x", (batch, channels, height, "w_px")), ("shares" if softmax else "logits", (batch, planes, "h2", "w2"))]
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    graph = helper.make_graph(nodes, "teacher", [taken], [given], made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def _open(path: Path, channels: int = 1, n_outputs: int = 4) -> OnnxTeacher:
    return OnnxTeacher(path, hashlib.sha256(path.read_bytes()).hexdigest(), channels=channels, n_outputs=n_outputs)


def _loaders(data: DataSet) -> SegmentationData:
    config = TrainConfig(batch_size=4, workers=0, threads=1, augment=AugmentConfig(p_elastic=0, p_grid=0))
    made = SegmentationData(data, Geometry("resize", height_px=64, width_px=64), 32, config, 0.5)
    made.setup()
    return made


def _student(outputs: int = 4) -> SegmentationNet:
    torch.manual_seed(0)
    return build_model(efficient_unet_arch(1, outputs, width=0.25, depth=0.34, stages=4))


@pytest.mark.parametrize("batch", ["n", 1])
def test_it_answers_each_image(tmp_path: Path, batch: int | str) -> None:
    x = torch.rand(3, 1, 8, 6)
    small = torch.nn.functional.avg_pool2d(x, 2)
    found = _open(_file(tmp_path / "t.onnx", batch))(x)
    torch.testing.assert_close(found, small * torch.tensor(WEIGHTS)[None, :, None, None])
    assert torch.equal(copy.deepcopy(_open(tmp_path / "t.onnx"))(x), found)


def test_stored_answers_are_the_live_ones_and_a_student_learns_from_both(tmp_path: Path, data: DataSet) -> None:
    teacher, loaders = _open(_file(tmp_path / "t.onnx")), _loaders(data)
    views = stored_views(tmp_path / "views", loaders, teacher, ViewOrder(1, "float32"))
    live = DistillationModule(_student(), teacher, loaders.config, DistillConfig(), n_classes=4, total_steps=1).eval()
    row = views[0, 2]
    x, target = row["image"][None].float() / 255.0, row["mask"][None].long()
    assert row["answer"].shape == (4, 32, 32)
    assert torch.equal(row["answer"], live._ask(x)[0].half())
    losses = [live.compute_loss(x, target, answer).item() for answer in (None, row["answer"][None])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    live.compute_loss(x, target).backward()
    assert live.model.head.weight.grad is not None  # type: ignore[union-attr]


def test_it_is_scored_on_val_and_calibrated_like_every_teacher(tmp_path: Path, data: DataSet) -> None:
    loaders, file = _loaders(data), _open(_file(tmp_path / "t.onnx"))
    teacher, known = ask(tmp_path / "asked", loaders, file, Asking())
    assert known is not None and known.file_sha256 == file.sha256 and known.temperatures == (1.0,)
    assert known.val_dice == dice_on_val(loaders, file)
    x = torch.rand(1, 1, 64, 64)
    assert torch.equal(folded(teacher)(x), file(x))
    teacher, known = ask(tmp_path / "asked", loaders, file, Asking(calibrate=True, flips=True))
    assert (
        isinstance(teacher, Ensemble) and known is not None and known.temperatures[0] != 1.0 and len(known.flips) == 3
    )
    # It looks at single places: mirrored and back is the same.
    expected = (file(x) / known.temperatures[0]).softmax(dim=1)
    torch.testing.assert_close(folded(teacher)(x).softmax(dim=1), expected, atol=1e-5, rtol=1e-4)


def test_what_cannot_teach_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "t.onnx")
    with pytest.raises(ConfigError, match="has changed since this run began"):
        OnnxTeacher(path, "0" * 64, channels=1, n_outputs=4)
    with pytest.raises(ConfigError, match=r"must take float32 \(1, 3, height, width\)"):
        _open(path, channels=3)
    with pytest.raises(ConfigError, match=r"takes .*\[8, 1, .*must take float32 \(1, 1,"):
        _open(_file(tmp_path / "eight.onnx", 8))
    with pytest.raises(ConfigError, match=r"answers \(1, 4, 4, 4\); the student has 3 planes"):
        _open(path, n_outputs=3)(torch.rand(1, 1, 8, 8))
    with pytest.raises(ConfigError, match="answers probabilities; cut off its last step"):
        _open(_file(tmp_path / "soft.onnx", softmax=True))(torch.rand(1, 1, 8, 8))
    with pytest.raises(ConfigError, match=r"fails on an image of 1x8x8"):
        _open(_file(tmp_path / "tall.onnx", height=16))(torch.rand(1, 1, 8, 8))
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ConfigError, match="which ONNX Runtime refuses"):
        _open(path)


def test_it_is_found_beside_the_data(tmp_path: Path, data: DataSet) -> None:
    path = _file(tmp_path / "t.onnx")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert isinstance(answering(tmp_path, data, _student(), str(path), sha256), OnnxTeacher)
    with pytest.raises(ConfigError, match=r"distill\.teacher: there is no file .*starts at the data set"):
        answering(tmp_path, data, _student(), "nowhere.onnx", None)
    with pytest.raises(ConfigError, match=r"distill\.teacher is .*dataset\.yaml, which is .*name an ONNX file"):
        answering(tmp_path, data, _student(), "dataset.yaml", None)
