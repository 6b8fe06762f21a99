"""Rewrites for speed: the same function, in the shapes that kernels are fast for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.onnx.export import quiet_session
from edgeseg.export.onnx.stem import group_stem
from edgeseg.export.onnx.widen import widen_depthwise


class Builder:
    """A float graph written by hand."""

    def __init__(self, channels: int = 1, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.channels = channels
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def conv(self, source, made, inputs, outputs, *, kernel=1, group=1, stride=1):
        weight = self.rng.normal(0, 0.5, (outputs, inputs // group, kernel, kernel)).astype(np.float32)
        bias = self.rng.normal(0, 0.5, outputs).astype(np.float32)
        for name, array in ((f"{made}.w", weight), (f"{made}.b", bias)):
            self.constants.append(numpy_helper.from_array(array, name))
        self.nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{made}.w", f"{made}.b"],
                [made],
                group=group,
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                pads=[kernel // 2] * 4,
                dilations=[1, 1],
            )
        )
        return made

    def node(self, kind, sources, made, **attributes):
        self.nodes.append(helper.make_node(kind, sources, [made], **attributes))
        return made

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def model(self, output):
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", self.channels, "h", "w"])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", None, "p", "q"])],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model, image):
    return quiet_session(model).run(None, {"image": image})[0]


def groups_of(model):
    return [
        attribute.i
        for node in model.graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "group" and attribute.i > 1
    ]


def decoder():
    """stem -> relu -> depthwise (24) -> two readers; reduce -> resize -> concat with a skip -> depthwise (20)."""
    build = Builder()
    build.constant("scales", np.array([1, 1, 2, 2], np.float32))
    build.node("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    build.conv("pixels", "stem", 1, 24, kernel=3)
    build.node("Relu", ["stem"], "stem.act")
    build.conv("stem.act", "dw", 24, 24, kernel=3, group=24)
    build.node("Relu", ["dw"], "dw.act")
    build.conv("dw.act", "skip", 24, 8)
    build.conv("dw.act", "deep", 24, 12, kernel=3, stride=2)
    build.node("Relu", ["deep"], "deep.act")
    build.node("Resize", ["deep.act", "", "scales"], "up", mode="linear")
    build.node("Concat", ["skip", "up"], "cat", axis=1)
    build.conv("cat", "dw2", 20, 20, kernel=3, group=20)
    build.conv("dw2", "scores", 20, 3)
    return build


def image_of(channels=1):
    return np.random.default_rng(1).integers(0, 256, (2, channels, 16, 24), dtype=np.uint8)


def test_depthwise_layers_are_widened_without_a_change_of_function():
    model = decoder().model("scores")
    widened = widen_depthwise(model, 16)
    assert groups_of(model) == [24, 20] and groups_of(widened) == [32, 32]
    expected = run(model, image_of())
    np.testing.assert_allclose(run(widened, image_of()), expected, atol=1e-4 * np.abs(expected).max())


def test_what_fits_already_is_left_alone():
    model = decoder().model("scores")
    assert widen_depthwise(model, 4).SerializeToString() == model.SerializeToString()
    assert widen_depthwise(model, 1).SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("obstacle", ["output", "addition", "other reader", "shared kernel"])
def test_a_layer_whose_neighbours_cannot_grow_is_left_alone(obstacle):
    build = Builder()
    build.node("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    build.conv("pixels", "stem", 1, 24)
    build.conv("stem", "dw", 24, 24, kernel=3, group=24)
    if obstacle == "output":
        model = build.model("dw")
    elif obstacle == "addition":
        build.node("Add", ["dw", "dw"], "sum")
        build.conv("sum", "scores", 24, 3)
        model = build.model("scores")
    elif obstacle == "other reader":
        build.node("Add", ["dw", "stem"], "sum")
        model = build.model("sum")
    else:
        build.conv("dw", "scores", 24, 3)
        build.node("Conv", ["pixels", "stem.w", "stem.b"], "again")
        build.node("Add", ["scores", "scores"], "sum")
        model = build.model("sum")
    assert groups_of(widen_depthwise(model, 16)) == [24]


def quantised_stem(channels: int, *, kernel: int = 3) -> onnx.ModelProto:
    """A u8s8 convolution of the pixels of an NHWC image, and one behind it."""
    rng = np.random.default_rng(channels)
    constants = {
        "one": np.float32(1), "step": np.float32(0.7), "zero": np.uint8(0),
        "axis": np.array([3]), "first": np.array([1]),
        "w.int": rng.integers(-127, 128, (8, channels, kernel, kernel)).astype(np.int8),
        "w.scale": rng.uniform(0.001, 0.01, 8).astype(np.float32), "w.zero": np.zeros(8, np.int8),
        "b.int": rng.integers(-999, 999, 8).astype(np.int32), "b.scale": rng.uniform(0.001, 0.01, 8).astype(np.float32),
    }  # fmt: skip
    planes = [helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])]
    if channels == 1:
        planes = [
            helper.make_node("Squeeze", ["image", "axis"], ["flat"]),
            helper.make_node("Unsqueeze", ["flat", "first"], ["planes"]),
        ]
    conv = {"kernel_shape": [kernel] * 2, "strides": [2, 2], "pads": [kernel // 2] * 4}
    nodes = [
        *planes,
        helper.make_node("DequantizeLinear", ["planes", "one", "zero"], ["pixels"]),
        helper.make_node("DequantizeLinear", ["w.int", "w.scale", "w.zero"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["b.int", "b.scale"], ["b"], axis=0),
        helper.make_node("Conv", ["pixels", "w", "b"], ["sums"], **conv),
        helper.make_node("QuantizeLinear", ["sums", "step", "zero"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", channels])],
        [helper.make_tensor_value_info("scores", TensorProto.UINT8, ["n", 8, "p", "q"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stride_px", [4, 8, 32])
def test_the_stem_on_columns_is_the_same_function_to_the_last_bit(channels, stride_px):
    model = quantised_stem(channels)
    grouped = group_stem(model, stride_px)
    assert [node.op_type for node in grouped.graph.node][:2] == ["Reshape", "Transpose"]
    conv = next(node for node in grouped.graph.node if node.op_type == "Conv")
    assert {"kernel_shape": [3, 2], "strides": [2, 1]}.items() <= {
        attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute
    }.items()
    pixels = np.random.default_rng(9).integers(0, 256, (2, stride_px, 3 * stride_px, channels), dtype=np.uint8)
    for optimise in (False, True):
        expected, found = (
            quiet_session(one, optimise=optimise).run(None, {"image": pixels})[0] for one in (model, grouped)
        )
        np.testing.assert_array_equal(found, expected)
    onnx.checker.check_model(grouped, full_check=True)


def test_another_stem_is_left_alone():
    for model, stride_px in ((quantised_stem(1, kernel=5), 32), (quantised_stem(1), 2)):
        assert group_stem(model, stride_px).SerializeToString() == model.SerializeToString()
