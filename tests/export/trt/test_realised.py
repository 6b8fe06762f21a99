"""What an engine says of its layers, in the words of several versions, and the silent fall back to float."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.trt.realised import check_int8, quantised_nodes, realised_layers
from edgeseg.runtime.errors import ExportError

# Of NVIDIA's developer guide, "Engine Inspector" (read 2026-11): the INT8 layer, cut to what is read of it.
GUIDE = {
    "Name": "node_of_gpu_0/res4_0_branch2a_1 + node_of_gpu_0/res4_0_branch2a_bn_1 + node_of_gpu_0/res4_0_branch2a_bn_2",
    "LayerType": "CaskConvolution",
    "Inputs": [
        {
            "Name": "gpu_0/res3_3_branch2c_bn_3",
            "Dimensions": [16, 512, 28, 28],
            "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format.",
        }
    ],
    "Weights": {"Type": "Int8", "Count": 131072},
    "Bias": {"Type": "Float", "Count": 256},
}


def layer(metadata: str, *formats: str, **more: Any) -> dict[str, Any]:
    return {"Name": "__myl", "Metadata": metadata, "Inputs": [{"Format/Datatype": one} for one in formats], **more}


def text(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["image", "scores"]})


def qdq_file() -> bytes:
    """Two convolutions, `a` behind pairs and `b` in float."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["wq"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"]),
        helper.make_node("Conv", ["d", "wd"], ["y"], "a"),
        helper.make_node("Conv", ["y", "w"], ["scores"], "b"),
    ]
    shape = [1, 1, 4, 4]
    constants = {"s": np.float32(0.5), "z": np.int8(0), "w": np.ones((1, 1, 1, 1), np.float32)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_nvidias_own_example_is_read() -> None:
    (found,) = realised_layers(text(GUIDE))
    assert (found.precision, found.nodes[0]) == ("int8", "node_of_gpu_0/res4_0_branch2a_1") and len(found.nodes) == 3


@pytest.mark.parametrize(
    ("said", "precision"),
    [
        ("Int8", "int8"),
        ("Half", "fp16"),
        ("Float", "fp32"),
        ("Row major linear FP32", "fp32"),
        ("Channel major FP16 format where channel % 4 == 0", "fp16"),
        ("Four wide channel vectorized row major Int8 format", "int8"),
        ("N/A due to dynamic shapes", "other"),
    ],
)
def test_precisions_in_all_their_words(said, precision) -> None:
    assert realised_layers(text(layer("[ONNX Layer: a]", said)))[0].precision == precision


def test_weights_say_more_than_inputs() -> None:
    (found,) = realised_layers(text(layer("[ONNX Layer: a]", "Int8", Weights={"Type": "Float", "Count": 1})))
    assert found.precision == "fp32", "its skip is INT8, its convolution is not"


def test_an_int8_layer_in_float_is_an_error() -> None:
    content = qdq_file()
    assert quantised_nodes(content) == ("a",)
    good = realised_layers(
        text(layer("[ONNX Layer: a]\x1f[ONNX Layer: relu]", "Int8"), layer("[ONNX Layer: b]", "Float"))
    )
    assert check_int8(good, content) == ()
    fallen = realised_layers(text(layer("[ONNX Layer: a]", "Float"), layer("[ONNX Layer: b]", "Float")))
    with pytest.raises(
        ExportError, match=r"1 convolutions that the file has in INT8 .*: a \(fp32\). The engine is not"
    ):
        check_int8(fallen, content)


def test_what_no_layer_names_is_told_apart_from_what_is_right() -> None:
    assert check_int8(realised_layers(text(layer("[ONNX Layer: b]", "Float"))), qdq_file()) == ("a",)


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"Layers": []}', '{"Layers": ["node_a + node_b"]}'])
def test_an_engine_that_says_nothing_is_no_proof(said) -> None:
    with pytest.raises(ExportError, match="layers"):
        realised_layers(said)
