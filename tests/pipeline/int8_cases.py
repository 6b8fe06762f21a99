"""Small networks for the INT8 doctor whose truth is their own float answer, healthy or with one layer made sick."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.stored_ranges import save_ranges
from edgeseg.export.onnx.export import export_onnx
from edgeseg.pipeline.int8.race import Race
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models.unet import UNet, unet_arch

SIZE_PX = 48
CLASSES = ("background", "part", "hole")
SPLITS = ("train",) * 10 + ("val",) * 6 + ("test",) * 2

Infer = Callable[[np.ndarray], np.ndarray]  # float32 (1, 1, H, W) in 0..1 -> logits (K, H, W)


def write_data(root: Path, infer: Infer) -> DataSet:
    """Smooth images, with the network's own answer as truth."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for index in range(len(SPLITS)):
        image = _image(rng)
        mask = infer(image[None, None].astype(np.float32) / 255).argmax(axis=0).astype(np.uint8)
        assert cv2.imwrite(str(root / "images" / f"{index:02}.png"), image)
        assert cv2.imwrite(str(root / "masks" / f"{index:02}.png"), mask)
    rows = [f"{index:02},{split}" for index, split in enumerate(SPLITS)]
    (root / "meta.csv").write_text("\n".join(["stem,split", *rows]) + "\n")
    (root / "dataset.yaml").write_text(f"name: toy\nclasses: [{', '.join(CLASSES)}]\ncolor: gray\n")
    return open_dataset(root)


def write_own(folder: Path, data: DataSet, n: int = 9) -> Path:
    """Images of the same kind, a little brighter, without masks."""
    folder.mkdir()
    for sample in data.split("train")[:n]:
        image = np.clip(read_image(sample.image, "gray").astype(int) + 5, 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"own_{sample.stem}.png"), image)
    return folder


def unet(sick: str = "") -> UNet:
    """A U-Net of two levels, healthy or with one layer made sick."""
    net = copy.deepcopy(_trained())
    with torch.no_grad():
        first, second = net.down[0]  # type: ignore[misc]
        if sick == "channel":  # the next convolution takes it back, so the function stays the same
            first[1].weight[5] *= 1000.0
            first[1].bias[5] *= 1000.0
            second[0].weight[:, 5] /= 1000.0
        if sick == "outlier":  # nobody reads it
            first[1].bias[5] = 3000.0
            second[0].weight[:, 5] = 0
        if sick == "dead":
            net.up[0].weight.zero_()  # type: ignore[operator,union-attr]
            net.up[0].bias.zero_()  # type: ignore[operator,union-attr]
    return net


@functools.cache
def _trained() -> UNet:
    """Trained for two seconds to tell dark, medium and bright apart: a random network has no margins to speak of."""
    torch.manual_seed(3)
    net = UNet(unet_arch(1, len(CLASSES), base=8, depth=2))
    rng = np.random.default_rng(1)
    images = np.stack([_image(rng) for _ in range(16)]).astype(np.int64)
    x, y = torch.from_numpy(images)[:, None].float() / 255, torch.from_numpy(np.digitize(images, (100, 150)))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(80):
        part = slice(0, 8) if step % 2 else slice(8, 16)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[part]), y[part]).backward()
        optimizer.step()
    return net.eval()


def _image(rng: np.random.Generator) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIZE_PX, SIZE_PX)), (0, 0), 5)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def torch_infer(net: nn.Module) -> Infer:
    """The network as a function of arrays."""

    def infer(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(net(torch.from_numpy(image))[0].numpy())

    return infer


def write_run(root: Path, data: DataSet, net: UNet) -> Path:
    """What the steps choose_final, onnx_fp32 and ranges of a run leave behind."""
    _write_steps(root / "steps", "student_pruned", data, net)
    result = {"student": "student_pruned"}
    write_json(root / "steps" / "choose_final" / "done.json", {"key": "k", "files": {}, "result": result})
    return root


def _write_steps(steps: Path, checkpoint: str, data: DataSet, net: UNet) -> None:
    save_checkpoint(steps / checkpoint / "files", net, {})
    spec_in = InputSpec("gray", Geometry("resize", SIZE_PX, SIZE_PX), net.stride)
    exported = steps / "onnx_fp32" / "files"
    exported.mkdir(parents=True)
    spec = export_onnx(net, exported / "model.onnx", spec_in, data.classes)
    write_json(exported / "spec.json", spec.to_json())
    images = [read_image(sample.image, "gray")[None, :, :, None] for sample in data.split("train")]
    save_ranges(steps / "ranges" / "files", net, collect_ranges(fold_batch_norm(net), images))
    for step in (checkpoint, "onnx_fp32", "ranges"):
        write_json(steps / step / "done.json", {"key": "k", "files": {}, "result": {}})


def conv_net(path: Path, sick: str = "", *, nhwc: bool = False) -> Infer:
    """Write a plain ONNX network of four convolutions, unnamed nodes and all, with float input."""
    rng = np.random.default_rng(5)
    widths = (1, 12, 12, 12, 3)
    weights = [rng.normal(0, (2 / (9 * a)) ** 0.5, (b, a, 3, 3)) for a, b in itertools.pairwise(widths)]
    biases = [rng.normal(0, 0.1, b) for b in widths[1:]]
    if sick == "channel":
        weights[1][7] *= 1000
        biases[1][7] *= 1000
        weights[2][:, 7] /= 1000
    if sick == "dead":
        weights[1][:], biases[1][:] = 0, -1.0
    nodes, name = [], "x"
    if nhwc:
        nodes, name = [helper.make_node("Transpose", ["x"], ["chw"], perm=[0, 3, 1, 2])], "chw"
    for index in range(4):
        made = f"c{index}" if index < 3 else "chw_logits"
        nodes.append(helper.make_node("Conv", [name, f"w{index}", f"b{index}"], [made], pads=[1, 1, 1, 1]))
        name = made
        if index < 3:
            nodes.append(helper.make_node("Relu", [made], [f"r{index}"]))
            name = f"r{index}"
    if sick == "dead":  # the dead branch is joined by a living one
        nodes.insert(-1, helper.make_node("Add", ["r2", "r0"], ["joined"]))
        nodes[-1].input[0] = "joined"
    if nhwc:
        nodes.append(helper.make_node("Transpose", ["chw_logits"], ["logits"], perm=[0, 2, 3, 1]))
    else:
        nodes[-1].output[0] = "logits"
    constants = [numpy_helper.from_array(w.astype(np.float32), f"w{i}") for i, w in enumerate(weights)]
    constants += [numpy_helper.from_array(b.astype(np.float32), f"b{i}") for i, b in enumerate(biases)]
    shape: list[Any] = ["n", SIZE_PX, SIZE_PX, 1] if nhwc else ["n", 1, "h", "w"]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end in ("x",)]
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", None, None, None])
    graph = helper.make_graph(nodes, "net", ends, [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return _balanced(path, nhwc)


def _balanced(path: Path, nhwc: bool) -> Infer:
    """Move the last bias so that every class is seen, and hand back the network as a function."""
    infer = onnx_infer(path, nhwc)
    image = cv2.GaussianBlur(np.random.default_rng(1).uniform(0, 1, (SIZE_PX, SIZE_PX)).astype(np.float32), (0, 0), 5)
    means = infer(image[None, None]).mean(axis=(1, 2))
    model = onnx.load(path)
    bias = next(one for one in model.graph.initializer if one.name == "b3")
    bias.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(bias) - means).astype(np.float32), "b3"))
    onnx.save(model, path)
    return onnx_infer(path, nhwc)


def onnx_infer(path: Path, nhwc: bool) -> Infer:
    """An ONNX file as a function of arrays."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def infer(image: np.ndarray) -> np.ndarray:
        result = session.run(None, {"x": image.transpose(0, 2, 3, 1) if nhwc else image})[0][0]
        return np.asarray(result.transpose(2, 0, 1) if nhwc else result)

    return infer


def racer(verdict: str = "faster", ratio: float = 2.0) -> Callable[..., Race]:
    """A race that is decided: times are not what these tests are about."""

    def run(models: dict[str, Any], sample: Any, color: str, threads: int, *_: Any) -> Race:
        assert set(models) == {"float", "int8"} and all(path.is_file() for path, _spec in models.values())
        low, high = ratio * 0.9, ratio * 1.1
        return Race(sample.stem, threads, verdict, "given", 4.0, 4.0 / ratio, ratio, low, high)

    return run
