"""Sums of unsigned times signed bytes on any processor: those without VNNI add them in 16 bits, which saturate."""

from __future__ import annotations

import platform
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.runtime.backends import ort
from edgeseg.runtime.backends.ort import open_session

CHANNELS = 64


def two_convolutions(*, shared: bool) -> bytes:
    """Two 1x1 convolutions of u8 by s8, every product as large as it can be; their weights' zero points `shared`."""
    constants = {
        "step": np.float32(1 / 255),
        "zero": np.uint8(0),
        "wide": np.float32(1 / 200),
        "w_scale": np.full(CHANNELS, 1 / (127 * CHANNELS), np.float32),
    }
    nodes = [helper.make_node("DequantizeLinear", ["x", "step", "zero"], ["x.float"])]
    source = "x.float"
    for index in range(2):
        zero = "w_zero" if shared else f"w_zero{index}"
        constants[zero] = np.zeros(CHANNELS, np.int8)
        constants[f"w{index}.int"] = np.full((CHANNELS, CHANNELS, 1, 1), 127, np.int8)
        nodes += [
            helper.make_node("DequantizeLinear", [f"w{index}.int", "w_scale", zero], [f"w{index}"], axis=0),
            helper.make_node("Conv", [source, f"w{index}"], [f"y{index}"]),
            helper.make_node("QuantizeLinear", [f"y{index}", "wide", "zero"], [f"q{index}"]),
            helper.make_node("DequantizeLinear", [f"q{index}", "wide", "zero"], [f"y{index}.float"]),
        ]
        source = f"y{index}.float"
    graph = helper.make_graph(
        nodes[:-1],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, CHANNELS, 4, 4])],
        [helper.make_tensor_value_info("q1", TensorProto.UINT8, [1, CHANNELS, 4, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def answer(content: bytes) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = open_session(content, options)
    return session.run(None, {"x": np.full((1, CHANNELS, 4, 4), 255, np.uint8)})[0]


def takes_shared_zero_points() -> bool:
    """Whether ONNX Runtime goes the exact way with them; 1.18 does, later ones refuse it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        onnxruntime.InferenceSession(two_convolutions(shared=True), options, providers=["CPUExecutionProvider"])
    except Exception:  # its exceptions share no base class
        return False
    return True


def test_sums_are_exact_on_every_processor() -> None:
    """255 / 255 times 1, averaged over the channels, is 1: 200 steps of 1 / 200. Saturated it is about 100."""
    assert np.array_equal(np.unique(answer(two_convolutions(shared=False))), [200])


def test_a_file_whose_weights_share_a_zero_point_is_opened_all_the_same() -> None:
    assert answer(two_convolutions(shared=True)).shape == (1, CHANNELS, 4, 4)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="sums saturate on x86 alone")
def test_a_file_that_cannot_be_computed_exactly_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    if takes_shared_zero_points():
        pytest.skip("this ONNX Runtime does not refuse the exact way")
    monkeypatch.setattr(ort, "cpu_flags", frozenset)  # as on an x86 processor without VNNI
    with pytest.warns(RuntimeWarning, match=r"inexactly here.*may saturate.*zero point of its own, as edgeseg adopt"):
        answer(two_convolutions(shared=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer(two_convolutions(shared=False))
    monkeypatch.setattr(ort, "cpu_flags", lambda: ort.VNNI)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer(two_convolutions(shared=True))


def test_a_file_that_is_refused_for_another_reason_is_refused() -> None:
    with pytest.raises(Exception, match=r"(?i)protobuf|parse|invalid"):
        answer(b"no model")
    broken = onnx.load_from_string(two_convolutions(shared=False))
    broken.graph.node[1].op_type = "NoSuchOperator"
    with pytest.raises(Exception, match="NoSuchOperator"):
        answer(broken.SerializeToString())
