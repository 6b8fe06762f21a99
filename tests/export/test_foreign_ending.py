"""Endings of foreign networks: what is cut, which threshold is carried back, and what is refused by its cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.foreign.cut import cut_at, rejoin
from edgeseg.export.foreign.ending import EndingError, find_ending, threshold

Tail = tuple[list[tuple[Any, ...]], dict[str, Any]]
X = np.random.default_rng(0).normal(0, 4, (1, 2, 5, 7)).astype(np.float32)


def graph(tail: Tail, planes: int = 1) -> onnx.ModelProto:
    """`l` = a convolution of `x`, then the tail to `out`."""
    nodes = [("Conv", ["x", "w"], ["l"], {}), *tail[0]]
    arrays = {"w": np.ones((planes, 2, 1, 1), np.float32), **{k: np.asarray(v) for k, v in tail[1].items()}}
    made = helper.make_graph(
        [helper.make_node(kind, reads, makes, f"n{i}", **more) for i, (kind, reads, makes, more) in enumerate(nodes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 5, 7])],
        [onnx.ValueInfoProto(name="out")],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


P = ("Sigmoid", ["l"], ["p"], {})
F = np.float32


@pytest.mark.parametrize(
    ("nodes", "constants", "limit", "words"),
    [
        ([("Sigmoid", ["l"], ["out"], {})], {}, 0.0, "Sigmoid"),
        ([P, ("Greater", ["p", "k"], ["out"], {})], {"k": F(0.7)}, np.log(0.7 / 0.3), "Sigmoid, Greater"),
        ([P, ("Less", ["k", "p"], ["out"], {})], {"k": F(0.5)}, 0.0, "Sigmoid, Less"),
        ([("Greater", ["l", "k"], ["out"], {})], {"k": F(1.5)}, 1.5, "Greater"),
        ([("HardSigmoid", ["l"], ["out"], {"alpha": 0.1, "beta": 0.4})], {}, 1.0, "HardSigmoid"),
        ([("HardSigmoid", ["l"], ["out"], {})], {}, 0.0, "HardSigmoid"),
        (
            [P, ("Mul", ["p", "k"], ["q"], {}), ("Cast", ["q"], ["out"], {"to": 2})],
            {"k": F(255)},
            0.0,
            "Sigmoid, Mul, Cast",
        ),
        (
            [P, ("Mul", ["p", "k"], ["q"], {}), ("Greater", ["q", "g"], ["out"], {})],
            {"k": F(255), "g": F(204)},
            np.log(0.8 / 0.2),
            "Sigmoid, Mul, Greater",
        ),
        ([P, ("Clip", ["p", "a", "b"], ["out"], {})], {"a": F(1e-7), "b": F(0.9999)}, 0.0, "Sigmoid, Clip"),
        (
            [("Add", ["l", "t"], ["q"], {}), ("Clip", ["q", "a", "b"], ["c"], {}), ("Div", ["c", "b"], ["out"], {})],
            {"t": F(3), "a": F(0), "b": F(6)},
            3.0,
            "Clip, Div",
        ),
        ([P, ("Log", ["p"], ["out"], {})], {}, 0.0, "Sigmoid, Log"),
        ([P, ("Round", ["p"], ["out"], {})], {}, 0.0, "Sigmoid, Round"),
        (  # percent, and gray values: 0.5 is not their middle
            [P, ("Mul", ["p", "k"], ["q"], {}), ("Round", ["q"], ["out"], {})],
            {"k": F(100)},
            0.0,
            "Sigmoid, Mul, Round",
        ),
    ],
)
def test_the_threshold_of_one_plane_is_carried_back(nodes: Any, constants: Any, limit: float, words: str) -> None:
    model = graph((nodes, constants))
    ending = find_ending(model)
    assert ending.words == words
    assert threshold(ending, 1) == pytest.approx(limit, abs=1e-5)
    scores, output = run(cut_at(model, ending.scores)), run(model).astype(float)
    mask = scores > threshold(ending, 1)
    assert mask.any() and not mask.all()
    assert output[~mask].max() <= output[mask].min()  # the output says the same


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        ([P, ("Sigmoid", ["p"], ["out"], {})], {}, "Sigmoid 2 times .* every pixel would be foreground"),
        ([("Softmax", ["l"], ["out"], {"axis": 1})], {}, "Softmax over one plane"),
        ([("ArgMax", ["l"], ["out"], {"axis": 1})], {}, "ArgMax over one plane"),
        ([P, ("Greater", ["p", "k"], ["out"], {})], {"k": F(1.5)}, "no score, or every score"),
        (
            [P, ("Clip", ["p", "a", "b"], ["c"], {}), ("Greater", ["c", "k"], ["out"], {})],
            {"a": F(0.6), "b": F(1), "k": F(0.5)},
            "no score, or every score",
        ),
    ],
)  # fmt: skip
def test_ends_that_say_nothing_are_refused(nodes: Any, constants: Any, reason: str) -> None:
    with pytest.raises(EndingError, match=reason):
        threshold(find_ending(graph((nodes, constants))), 1)


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        ([P, ("Less", ["p", "k"], ["out"], {})], {"k": F(0.5)}, "true where the scores are low"),
        ([P, ("Sub", ["k", "p"], ["out"], {})], {"k": F(1)}, "turns its scores round"),
        ([P, ("Mul", ["p", "k"], ["out"], {})], {"k": F(-1)}, "turns its scores round"),
        ([P, ("Neg", ["p"], ["out"], {})], {}, "turns its scores round"),
    ],
)
def test_ends_that_turn_scores_round_are_refused(nodes: Any, constants: Any, reason: str) -> None:
    with pytest.raises(EndingError, match=reason):
        find_ending(graph((nodes, constants)))


def test_scores_that_are_none_but_their_maker_is_known() -> None:
    """A Resize behind a Sigmoid is kept, and the threshold is that of probabilities."""
    resized = [P, ("Resize", ["p", "", "s"], ["out"], {"mode": "linear"})]
    ending = find_ending(graph((resized, {"s": np.asarray([1, 1, 2, 2], F)})))
    assert (ending.steps, ending.squashed, threshold(ending, 1)) == ((), ("Sigmoid",), 0.5)
    written = [
        *(("Neg", ["l"], ["n"], {}), ("Exp", ["n"], ["e"], {})),
        *(("Add", ["e", "k"], ["s"], {}), ("Div", ["k", "s"], ["out"], {})),
    ]
    ending = find_ending(graph((written, {"k": F(1)})))
    assert ending.squashed == ("Sigmoid written out",) and threshold(ending, 1) == 0.5


def test_one_class_taken_out_of_probabilities() -> None:
    """The foreground's is a probability; the background's would be taken for it."""
    softmax = ("Softmax", ["l"], ["p"], {"axis": 1})
    for place, taken in ((1, "foreground"), (0, "background")):
        for nodes, constants in (
            ([softmax, ("Gather", ["p", "i"], ["out"], {"axis": 1})], {"i": np.asarray([place])}),
            (
                [softmax, ("Slice", ["p", "i", "e", "a"], ["out"], {})],
                {"i": np.asarray([place]), "e": np.asarray([place + 1]), "a": np.asarray([1])},
            ),
        ):
            ending = find_ending(graph((nodes, constants), 2))
            if taken == "foreground":
                assert threshold(ending, 1) == 0.5
            else:
                with pytest.raises(EndingError, match="the background's"):
                    threshold(ending, 1)


def test_a_sigmoid_in_the_middle_is_no_ending() -> None:
    gate = [P, ("Mul", ["l", "p"], ["out"], {})]
    ending = find_ending(graph((gate, {})))
    assert (ending.scores, ending.steps, ending.squashed) == ("out", (), ())


@pytest.mark.parametrize("planes", [1, 3])
def test_what_was_cut_is_put_back(planes: int) -> None:
    tail: Tail = (
        [
            *(P, ("Shape", ["x"], ["shape"], {}), ("Gather", ["shape", "place"], ["n"], {})),
            *(("Concat", ["n", "rest"], ["to"], {"axis": 0}), ("Reshape", ["p", "to"], ["out"], {})),
        ],
        {"place": np.asarray([0]), "rest": np.asarray([-1, 35])},
    )
    model = graph(tail, planes)
    ending = find_ending(model)
    assert ending.scores == "l" and ending.words == "Sigmoid, Reshape"
    part = cut_at(model, "l")
    assert [node.op_type for node in part.graph.node] == ["Conv"] and [one.name for one in part.graph.output] == ["l"]
    assert [one.name for one in part.graph.initializer] == ["w"]
    joined = rejoin(part, model, "out")
    onnx.checker.check_model(joined)
    np.testing.assert_array_equal(run(joined), run(model))
    assert run(joined).shape == (1, planes, 35)
