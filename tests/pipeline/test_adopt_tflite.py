"""Foreign TensorFlow Lite files made steps' folders: right masks whatever they end in, or the cause by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.export.adopt.any import adopt_any
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.step import write_step
from edgeseg.export.adopt.tflite.network import TfliteNetwork
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.segmenter import Segmenter

from .foreign_cases import HEIGHT, WIDTH, truth, write_data
from .tflite_cases import SHAPE, Graph, logits

UNSAID = Feeding()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_data(tmp_path_factory.mktemp("two") / "data")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_data(tmp_path_factory.mktemp("three") / "data", 3)


def wrong_pixels(path: Path, data: DataSet, feeding: Feeding = UNSAID, output: str = "") -> tuple[int, Any]:
    """Of four images, of the folder that was written, against the mask that the network is known to make."""
    step = adopt_any(path, data, feeding, output)
    write_step(step, path.parent / "step")
    wrong = 0
    with Segmenter.open(path.parent / "step", threads=1) as segmenter:
        for sample in data.samples[:4]:
            image = read_image(sample.image, data.color)
            wrong += int((segmenter(image).mask != truth(image, step.spec.n_planes)).sum())
    return wrong, step


def kinds_of(content: bytes) -> list[str]:
    model = flatbuffer.read(content)
    return [flatbuffer.operator_name(model, one) for one in model.subgraphs[0].operators]


@pytest.mark.parametrize("end", ["", "LOGISTIC", "LOGISTIC RESHAPE", "LOGISTIC GREATER", "RESHAPE"])
def test_one_plane_is_read_whatever_it_ends_in(end: str, two: DataSet, tmp_path: Path) -> None:
    graph = Graph()
    graph.tensor("x", SHAPE)
    last = logits(graph, "x", 1)
    for kind in end.split():
        shape = SHAPE[:3] if kind == "RESHAPE" else SHAPE
        made = graph.tensor(kind.lower(), shape, np.float32)
        more = {"RESHAPE": np.asarray(shape, np.int32), "GREATER": np.float32(0.5).reshape(1)}.get(kind)
        if kind == "GREATER":
            graph.graph.tensors[graph.names[made]].type = 6  # BOOL
        last = graph.op(kind, (last, *([] if more is None else [graph.constant("k", more)])), made)
    wrong, step = wrong_pixels(graph.write(tmp_path / "net.tflite", ["x"], [last]), two)
    assert (wrong, step.spec.output.activation) == (0, "sigmoid")
    assert "LOGISTIC" not in kinds_of(step.content)  # what was cut is not run


@pytest.mark.parametrize("end", ["", "SOFTMAX", "ARG_MAX", "SOFTMAX ARG_MAX"])
def test_several_planes_are_read_whatever_they_end_in(end: str, three: DataSet, tmp_path: Path) -> None:
    graph = Graph()
    graph.tensor("x", SHAPE)
    last = logits(graph, "x", 3)
    for kind in end.split():
        ids = kind == "ARG_MAX"
        made = graph.tensor(kind.lower(), SHAPE[:3] if ids else (*SHAPE[:3], 3), np.int64 if ids else np.float32)
        reads = (last, graph.constant("axis", np.int32(3).reshape(1))) if ids else (last,)
        last = graph.op(kind, reads, made, **({"outputType": 4} if ids else {"beta": 1.0}))
    wrong, step = wrong_pixels(graph.write(tmp_path / "net.tflite", ["x"], [last]), three)
    assert wrong <= 2  # ties of two levels
    assert step.about["output"]["cut"] == [{"SOFTMAX": "Softmax", "ARG_MAX": "ArgMax"}[one] for one in end.split()]


def scaled(graph: Graph, image: str, factor: float, shift: float) -> str:
    """What another scaling of pixels is undone by, so that the network sees 0..1."""
    for kind, value in (("MUL", factor), ("ADD", shift)):
        made = graph.tensor(f"{image}_{kind}", SHAPE)
        image = graph.op(kind, (image, graph.constant(f"{made}_by", np.float32(value).reshape(1))), made)
    return image


@pytest.mark.parametrize(
    ("factor", "shift", "feeding"),
    [(1 / 255, 0, Feeding(scale=1.0)), (0.5, 0.5, Feeding(mean=(0.5,), std=(0.5,))), (1, 0, Feeding())],
)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_pixels_are_scaled_in_the_file(
    factor: float, shift: float, feeding: Feeding, layout: str, two: DataSet, tmp_path: Path
) -> None:
    graph = Graph()
    last = graph.tensor("x", SHAPE if layout == "NHWC" else (1, 1, HEIGHT, WIDTH))
    if layout == "NCHW":
        turned = graph.tensor("turned", SHAPE)
        last = graph.op("TRANSPOSE", ("x", graph.constant("perm", np.asarray([0, 2, 3, 1], np.int32))), turned)
    last = logits(graph, scaled(graph, last, factor, shift), 1)
    wrong, step = wrong_pixels(graph.write(tmp_path / "net.tflite", ["x"], [last]), two, feeding)
    assert (wrong, step.about["input"]["layout"], step.spec.input_dtype) == (0, layout, "uint8")


def integer_input(kind: Any, affine: tuple[float, int], path: Path, shift: float = 0.0) -> Path:
    graph = Graph()
    graph.tensor("x", SHAPE, kind, affine)
    real = graph.op("DEQUANTIZE", ("x",), graph.tensor("real", SHAPE))
    return graph.write(path, ["x"], [logits(graph, scaled(graph, real, 1.0 if not shift else 0.5, shift), 1)])


@pytest.mark.parametrize(
    ("activation", "kernel", "precision"),
    [
        (np.float32, np.float32, "fp32"),
        (np.float32, np.int8, "dynamic"),
        (np.int8, np.int8, "int8"),
        (np.uint8, np.uint8, "int8"),
        (np.int16, np.int8, "int16x8"),
    ],
)
def test_precision_is_that_of_kernels_and_activations(
    activation: type, kernel: type, precision: str, tmp_path: Path
) -> None:
    graph, affine = Graph(), (0.1, 0)
    graph.tensor("x", SHAPE, activation, affine)
    graph.tensor("w", (4, 3, 3, 1), kernel, affine, values=np.ones((4, 3, 3, 1), kernel))
    graph.constant("b", np.zeros(4, np.int32 if activation == np.int8 else np.float32))
    made = graph.tensor("l", (1, HEIGHT, WIDTH, 4), activation, affine)
    graph.op("CONV_2D", ("x", "w", "b"), made, strideH=1, strideW=1)
    assert TfliteNetwork(graph.write(tmp_path / "net.tflite", ["x"], [made])).precision == precision


@pytest.mark.parametrize(("kind", "zero", "dtype"), [(np.int8, -128, "int8"), (np.uint8, 0, "uint8")])
def test_integers_that_mean_pixels_are_left_alone(
    kind: Any, zero: int, dtype: str, two: DataSet, tmp_path: Path
) -> None:
    path = integer_input(kind, (1 / 255, zero), tmp_path / "net.tflite")
    wrong, step = wrong_pixels(path, two)
    assert (wrong, step.spec.input_dtype, kinds_of(step.content)[0]) == (0, dtype, "DEQUANTIZE")


def test_integers_of_another_range_are_made_of_pixels_or_asked_about(two: DataSet, tmp_path: Path) -> None:
    """Quantised for -1.5..1.1, which is not what 0..1 would be rounded to: nothing is guessed."""
    path = integer_input(np.int8, (0.01, 16), tmp_path / "net.tflite", 0.5)
    with pytest.raises(ConfigError, match=r"quantised for values -1.44 to 1.11.*is 0 to 1. Say with --scale"):
        adopt_any(path, two, Feeding())
    wrong, step = wrong_pixels(path, two, Feeding(mean=(0.5,), std=(0.5,)))
    assert wrong <= 4  # of 6144, beside a level that rounding moves
    assert kinds_of(step.content)[:4] == ["CAST", "MUL", "ADD", "QUANTIZE"]


@pytest.mark.parametrize("squashed", [False, True])
def test_integer_scores_are_left_as_they_are(squashed: bool, two: DataSet, tmp_path: Path) -> None:
    graph = Graph()
    graph.tensor("x", SHAPE)
    last = graph.op("QUANTIZE", (logits(graph, "x", 1),), graph.tensor("q", SHAPE, np.int8, (0.02, 5)))
    if squashed:
        last = graph.op("LOGISTIC", (last,), graph.tensor("p", SHAPE, np.int8, (1 / 256, -128)))
    wrong, step = wrong_pixels(graph.write(tmp_path / "net.tflite", ["x"], [last]), two)
    its = step.spec.output
    assert (its.dtype, its.zero_point, its.scale) == ("int8", 5, pytest.approx(0.02))
    assert wrong <= 4


def test_a_threshold_behind_a_resize_is_kept(two: DataSet, tmp_path: Path) -> None:
    """Probabilities that are enlarged cannot be cut: foreground is what is above 0.5 of them."""
    graph = Graph()
    graph.tensor("x", SHAPE)
    last = graph.op("LOGISTIC", (logits(graph, "x", 1),), graph.tensor("p", SHAPE))
    size = graph.constant("size", np.asarray([HEIGHT, WIDTH], np.int32))
    last = graph.op("RESIZE_BILINEAR", (last, size), graph.tensor("large", SHAPE))
    wrong, step = wrong_pixels(graph.write(tmp_path / "net.tflite", ["x"], [last]), two)
    assert wrong == 0
    assert "above 0.5" in " ".join(step.about["notes"])


def test_an_open_size_is_given(two: DataSet, tmp_path: Path) -> None:
    graph = Graph()
    graph.tensor("x", (-1, -1, -1, 1))
    path = graph.write(tmp_path / "net.tflite", ["x"], [logits(graph, "x", 1)])
    with pytest.raises(ConfigError, match="images of any size"):
        adopt_any(path, two, Feeding())
    assert wrong_pixels(path, two, Feeding((HEIGHT, WIDTH)))[0] == 0


def test_of_several_outputs_one_is_named(two: DataSet, tmp_path: Path) -> None:
    graph = Graph()
    graph.tensor("x", SHAPE)
    last = graph.op("LOGISTIC", (logits(graph, "x", 1),), graph.tensor("p", SHAPE))
    path = graph.write(tmp_path / "net.tflite", ["x"], ["a", last])
    with pytest.raises(ConfigError, match=r"2 outputs: name the scores .* p float 1x32x48x1, made by Sigmoid"):
        adopt_any(path, two, Feeding())
    assert wrong_pixels(path, two, output="p")[0] == 0
    with pytest.raises(ConfigError, match="no tensor 'probability'"):
        adopt_any(path, two, Feeding(), "probability")


def test_what_cannot_be_used_is_named_by_its_cause(two: DataSet, three: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    graph = Graph()
    graph.tensor("x", SHAPE)
    graph.op("FancyFilter", (logits(graph, "x", 1),), graph.tensor("f", SHAPE))
    with pytest.raises(ConfigError, match=r"cannot run net.tflite at 32x48.*FancyFilter"):
        adopt_any(graph.write(path, ["x"], ["f"]), two, Feeding())
    step = adopt_any(path, two, Feeding(), "l")  # cut off in front of it, the file is one of ordinary operators
    assert (step.strange, "CUSTOM" in kinds_of(step.content)) == ((), False)
    with pytest.raises(ConfigError, match=r"returns float32 \(1, 32, 48, 1\).*K = \[3\]"):
        adopt_any(graph.write(path, ["x"], ["l"]), three, Feeding())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"net\.tflite"):
        adopt_any(path, two, Feeding())
    graph = Graph()
    graph.tensor("x", (4, HEIGHT, WIDTH, 1))
    with pytest.raises(ConfigError, match="made for a batch of 4"):
        adopt_any(graph.write(path, ["x"], [logits(graph, "x", 1)]), two, Feeding())
    graph = Graph()
    graph.tensor("x", SHAPE, np.int16, (1 / 32768, 0))
    with pytest.raises(ConfigError, match=r"net\.tflite"):
        adopt_any(graph.write(path, ["x"], ["x"]), two, Feeding())
    graph = Graph()
    graph.tensor("x", SHAPE)
    low = graph.constant("low", np.float32(0.1).reshape(1))
    squashed = graph.op("LOGISTIC", (logits(graph, "x", 1),), graph.tensor("p", SHAPE))
    graph.op("MAXIMUM", (squashed, low), graph.tensor("m", SHAPE))
    with pytest.raises(ConfigError, match=r"made by MAXIMUM\) is between 0.1.*--output"):
        adopt_any(graph.write(path, ["x"], ["m"]), two, Feeding())
