"""TensorRT's placement rules: each is broken by graphs made for it, and by no other; our own file keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.export.onnx.placement import s8_tensorrt
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.trt.check_qdq import check_qdq
from edgeseg.export.trt.rules import RULES, broken_rules
from edgeseg.export.trt.rules.graph import QdqGraph
from edgeseg.pipeline.cli import app
from edgeseg.runtime.errors import ConfigError

from ..conftest import ARCHS
from .qdq_graphs import CHANNELS, Graph

KERNEL = (CHANNELS, CHANNELS, 3, 3)


def broken(graph: Graph, output: str, *, dla: bool = False, **model: int) -> list[tuple[int, str]]:
    """Rules and nodes that break them; every graph is a valid one."""
    made = graph.model(output, **model)
    onnx.checker.check_model(made)
    return [(one.rule, one.node) for one in broken_rules(QdqGraph(made), dla=dla)]


def activation(scale: object, zero: object, **attributes: int) -> Graph:
    """A convolution whose input has these numbers."""
    graph = Graph()
    pair = graph.pair("image", scale, zero, **attributes)
    graph.op("Conv", [pair, graph.kernel(KERNEL)], "conv", pads=[1] * 4)
    return graph


def last(graph: Graph) -> str:
    return str(graph._nodes[-1].output[0])


def two_convolutions() -> Graph:
    graph = Graph()
    graph.conv(graph.op("Relu", [graph.conv("image")], "relu"), label="head")
    return graph


def test_what_follows_the_rules_breaks_none() -> None:
    graph = two_convolutions()
    assert broken(graph, last(graph)) == []
    graph = Graph()
    first = graph.op("Relu", [graph.conv("image")], "relu")
    added = graph.op("Add", [graph.conv(first), graph.pair(first)], "add")
    pooled = graph.op("MaxPool", [graph.pair(added)], "pool", kernel_shape=[2, 2])
    joined = graph.op("Concat", [graph.pair(pooled), graph.pair(pooled)], "concat", axis=1)
    assert broken(graph, graph.conv(joined, inputs=2 * CHANNELS, label="head")) == []


@pytest.mark.parametrize(
    ("scale", "zero", "attributes"),
    [
        (0.1, np.int8(5), {}),
        (0.1, np.uint8(0), {}),
        (-0.1, np.int8(0), {}),
        (np.nan, np.int8(0), {}),
        (np.full(CHANNELS, 0.1), np.zeros(CHANNELS, np.int8), {"axis": 1}),
    ],
)
def test_rule_1_activations(scale: object, zero: object, attributes: dict[str, int]) -> None:
    graph = activation(scale, zero, **attributes)
    found = broken(graph, last(graph))
    assert [rule for rule, _ in found] == [1, 1] and "image" in found[0][1]


def test_rule_1_a_quantiser_without_a_zero_point_is_unsigned() -> None:
    graph = Graph()
    integers = graph.op("QuantizeLinear", ["image", graph.constant(np.float32(0.1))], "q")
    data = graph.op("DequantizeLinear", [integers, graph.constant(np.float32(0.1))], "dq")
    output = graph.op("Conv", [data, graph.kernel(KERNEL)], "conv", pads=[1] * 4)
    assert broken(graph, output) == [(1, "q"), (1, "dq")]


def test_rule_1_one_scale_for_a_whole_kernel() -> None:
    graph = Graph()
    kernel = graph.pair(graph.constant(np.ones(KERNEL, np.float32)))
    output = graph.op("Conv", [graph.pair("image"), kernel], "conv", pads=[1] * 4)
    assert [rule for rule, _ in broken(graph, output)] == [1, 1]


@pytest.mark.parametrize(("kind", "right"), [("Conv", 0), ("ConvTranspose", 1)])
def test_rule_2(kind: str, right: int) -> None:
    for axis in (0, 1):
        graph = Graph()
        output = graph.op(kind, [graph.pair("image"), graph.kernel(KERNEL, axis)], "conv")
        assert [rule for rule, _ in broken(graph, output)] == ([] if axis == right else [2, 2])


@pytest.mark.parametrize(("transposed", "right"), [(0, 1), (1, 0)])
def test_rule_2_of_a_matrix(transposed: int, right: int) -> None:
    for axis in (0, 1):
        graph = Graph()
        row = graph.op("Flatten", ["image"], "flatten")
        kernel = graph.kernel((64 * CHANNELS, 64 * CHANNELS), axis)
        output = graph.op("Gemm", [graph.pair(row), kernel], "gemm", transB=transposed)
        assert [rule for rule, _ in broken(graph, output)] == ([] if axis == right else [2, 2])


def test_rule_3_input_and_kernel_go_together() -> None:
    graph = Graph()
    assert broken(graph, graph.op("Conv", ["image", graph.kernel(KERNEL)], "conv")) == [(3, "conv")]
    graph = Graph()
    kernel = graph.constant(np.ones(KERNEL, np.float32))
    assert broken(graph, graph.op("Conv", [graph.pair("image"), kernel], "conv")) == [(3, "conv")]


def test_rule_3_a_bias_stays_in_float() -> None:
    graph = Graph()
    bias = graph.half(
        "DequantizeLinear",
        graph.constant(np.ones(CHANNELS, np.int32)),
        np.full(CHANNELS, 1e-3),
        np.zeros(CHANNELS, np.int32),
        axis=0,
    )
    assert broken(graph, graph.op("Conv", [graph.pair("image"), graph.kernel(KERNEL), bias], "conv")) == [(3, "conv")]


def test_rule_3_a_result_is_not_quantised_in_front_of_what_fuses() -> None:
    graph = Graph()
    relu = graph.op("Relu", [graph.pair(graph.conv("image"))], "relu")
    assert broken(graph, graph.conv(relu, label="head")) == [(3, "conv")]


def test_rule_4() -> None:
    graph = Graph()
    first = graph.op("Relu", [graph.conv("image", label="first")], "relu")
    added = graph.op("Add", [graph.pair(graph.conv(first)), graph.pair(first)], "add")
    assert broken(graph, graph.conv(added, label="head")) == [(4, "add")]
    graph = Graph()
    first = graph.op("Relu", [graph.conv("image", label="first")], "relu")
    added = graph.op("Add", [graph.pair(graph.conv(first)), first], "add")
    assert broken(graph, graph.conv(added, label="head")) == [(4, "add")]


@pytest.mark.parametrize("case", ["inputs differ", "result differs", "one is bare"])
def test_rule_5(case: str) -> None:
    graph = Graph()
    first = graph.op("Relu", [graph.conv("image")], "relu")
    other = graph.op("Relu", [graph.conv("image")], "relu_2")
    wrong = other if case == "one is bare" else graph.pair(other, 0.2 if case == "inputs differ" else 0.1)
    joined = graph.op("Concat", [graph.pair(first), wrong], "concat", axis=1)
    data = graph.pair(joined, 0.3 if case == "result differs" else 0.1)
    output = graph.op("Conv", [data, graph.kernel((CHANNELS, 2 * CHANNELS, 3, 3))], "head")
    assert broken(graph, output) == [(5, "concat")]


def pooled(before: float | None, behind: float) -> tuple[Graph, str]:
    graph = Graph()
    first = graph.op("Relu", [graph.conv("image")], "relu")
    data = first if before is None else graph.pair(first, before)
    result = graph.op("MaxPool", [data], "pool", kernel_shape=[2, 2])
    return graph, graph.op("Conv", [graph.pair(result, behind), graph.kernel(KERNEL)], "head")


@pytest.mark.parametrize(("before", "found"), [(None, [(6, "pool")]), (0.2, [(6, "pool")]), (0.1, [])])
def test_rule_6(before: float | None, found: list[tuple[int, str]]) -> None:
    assert broken(*pooled(before, 0.1)) == found


@pytest.mark.parametrize("convolution", [True, False])
def test_rule_6_a_resize_is_fed_by_a_convolution(convolution: bool) -> None:
    graph = Graph()
    source = graph.op("Relu", [graph.conv("image")], "relu") if convolution else "image"
    larger = graph.op("Resize", [graph.pair(source), "", graph.constant(np.float32([1, 1, 2, 2]))], "resize")
    assert broken(graph, graph.conv(larger, label="head")) == ([] if convolution else [(6, "resize")])


@pytest.mark.parametrize("kind", ["Sigmoid", "Softmax", "Transpose", "Relu", "gate"])
def test_rule_7(kind: str) -> None:
    graph = Graph()
    first = graph.op("Tanh", [graph.conv("image")], "tanh")
    if kind == "gate":
        gate = graph.op("Sigmoid", [first], "sigmoid")
        result = graph.op("Mul", [graph.pair(first), gate], "wrong")
    else:
        result = graph.op(kind, [graph.pair(first)], "wrong", **({"perm": [0, 1, 3, 2]} if kind == "Transpose" else {}))
    assert broken(graph, graph.conv(result, label="head")) == [(7, "wrong")]


@pytest.mark.parametrize(
    ("inputs", "outputs", "group", "side", "narrow"),
    [
        (8, 32, 1, 3, True),
        (16, 8, 1, 3, True),
        (1, 16, 1, 3, False),  # a first layer
        (1, 8, 1, 3, True),
        (8, 8, 8, 3, False),  # depthwise, of kernels of 3 and more
        (8, 8, 8, 1, True),
        (12, 12, 12, 3, True),
        (16, 16, 1, 3, False),
    ],
)
def test_rule_8(inputs: int, outputs: int, group: int, side: int, narrow: bool) -> None:
    graph = Graph()
    kernel = graph.kernel((outputs, inputs // group, side, side))
    output = graph.op("Conv", [graph.pair("image"), kernel], "conv", group=group)
    assert broken(graph, output, channels=inputs) == ([(8, "conv")] if narrow else [])


def test_rule_9() -> None:
    graph = Graph()
    output = graph.pair(graph.conv("image"))
    assert {rule for rule, _ in broken(graph, output)} == {9}
    graph = Graph()
    larger = graph.op("Resize", [graph.pair(graph.conv("image")), "", graph.constant(np.float32([1, 1, 2, 2]))], "up")
    assert {rule for rule, _ in broken(graph, larger)} == {9}


def test_rule_10_a_kernel_stored_in_integers() -> None:
    graph = Graph()
    stored = graph.constant(np.ones(KERNEL, np.int8))
    kernel = graph.half("DequantizeLinear", stored, np.full(CHANNELS, 0.01), np.zeros(CHANNELS, np.int8), axis=0)
    output = graph.op("Conv", [graph.pair("image"), kernel], "conv")
    assert broken(graph, output) == [(10, f"d_{stored}")]


def test_rule_10_halves_of_different_scales() -> None:
    graph = Graph()
    output = graph.op("Conv", [graph.pair("image", 0.1, back=0.2), graph.kernel(KERNEL)], "conv")
    assert [rule for rule, _ in broken(graph, output)] == [10]


def test_rule_10_integers_beyond_a_pair() -> None:
    graph = Graph()
    integers = graph.half("QuantizeLinear", "image", 0.1)
    pooled = graph.op("MaxPool", [integers], "pool", kernel_shape=[2, 2])
    data = graph.half("DequantizeLinear", pooled, 0.1)
    output = graph.op("Conv", [data, graph.kernel(KERNEL)], "conv")
    assert [rule for rule, _ in broken(graph, output)] == [10, 10]


def test_rule_10_integer_operators() -> None:
    graph = Graph()
    kernel = graph.constant(np.ones(KERNEL, np.int8))
    integers = graph.op("Cast", ["image"], "cast", to=onnx.TensorProto.INT8)
    sums = graph.op("ConvInteger", [integers, kernel], "integers")
    assert broken(graph, graph.op("Cast", [sums], "back", to=onnx.TensorProto.FLOAT)) == [(10, "integers")]


def test_rule_11_holds_for_a_dla_alone() -> None:
    graph = two_convolutions()
    assert broken(graph, last(graph), dla=True) == [(11, "conv"), (11, "relu"), (11, "head")]
    graph = Graph()
    relu = graph.op("Relu", [graph.pair(graph.conv("image"))], "relu")
    assert broken(graph, graph.pair(graph.conv(relu, label="head")), dla=True) == []


def test_each_rule_is_in_the_table_once() -> None:
    assert [rule.number for rule in RULES] == list(range(1, 12))


@pytest.mark.parametrize("name", ARCHS)
def test_our_own_file_keeps_them(onnx_files: Callable[[str], object], tmp_path: Path, name: str) -> None:
    files = onnx_files(name)
    path = tmp_path / "s8.onnx"
    write_int8_onnx(files.model, files.plan, files.fp32, files.fp32_spec, path, s8_tensorrt())
    checked = check_qdq(path)
    assert checked.pairs > 10 and not checked.not_checked
    assert checked.violations == ()
    u8s8 = check_qdq(files.int8)
    assert {1, 3, 9, 10} <= {one.rule for one in u8s8.violations}


def test_what_is_no_qdq_file_is_named(onnx_files: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="all of it in float"):
        check_qdq(onnx_files("student").fp32)
    (tmp_path / "cut.onnx").write_bytes(onnx_files("student").int8.read_bytes()[:3000])
    with pytest.raises(ConfigError, match=r"cut\.onnx"):
        check_qdq(tmp_path / "cut.onnx")
    with pytest.raises(ConfigError, match="not there"):
        check_qdq(tmp_path / "gone.onnx")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(path: Path, *options: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            app(["export", "check-qdq", str(path), *options])
        return int(stop.value.code or 0), capsys.readouterr().out

    graph = two_convolutions()
    onnx.save(graph.model(last(graph)), tmp_path / "good.onnx")
    assert run(tmp_path / "good.onnx")[0] == 0
    graph = Graph()
    onnx.save(graph.model(graph.op("Conv", ["image", graph.kernel(KERNEL)], "bad")), tmp_path / "bad.onnx")
    code, said = run(tmp_path / "bad.onnx", "--json")
    report = json.loads(said)
    assert code == 3 and not report["ok"]
    assert [(one["rule"], one["node"]) for one in report["violations"]] == [(3, "bad")]
    assert report["violations"][0]["remedy"] and set(report["parser"]) == {"module", "errors", "reason"}
    code, said = run(tmp_path / "bad.onnx")
    assert code == 3 and "bad" in said and "rule 3: put pairs on input and kernel" in said
    assert run(tmp_path / "gone.onnx")[0] == 2


def test_the_parser_has_its_word(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    graph = two_convolutions()
    onnx.save(graph.model(last(graph)), tmp_path / "good.onnx")
    parser = check_qdq(tmp_path / "good.onnx").parser
    assert parser.module and parser.errors == () and parser.reason is None
    graph = Graph()
    wrong = graph.op("StringNormalizer", [graph.op("Cast", [graph.conv("image")], "text", to=8)], "strange")
    output = graph.op("Cast", [wrong], "back", to=1)
    onnx.save(graph.model(output), tmp_path / "bad.onnx")
    checked = check_qdq(tmp_path / "bad.onnx")
    assert not checked.ok and "text" in checked.parser.errors[0] and "Cuda" not in checked.parser.errors[0]
