"""TFLite layers against whole files: the same operators with the same kernels, and LiteRT runs them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from edgeseg.compress.search.layers import layers_of
from edgeseg.export.layers.flatbuffer import layer_tflite
from edgeseg.export.muted import muted
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.errors import ExportError

from ..layer_cases import LAYERS


def operators(content: bytes) -> Counter[tuple[Any, ...]]:
    """Operators by name, shapes and types of what they read and make, and options."""
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    found: Counter[tuple[Any, ...]] = Counter()
    for operator in graph.operators:
        ends = [
            tuple((tuple(map(int, graph.tensors[i].shape)), int(graph.tensors[i].type)) for i in side if i >= 0)
            for side in (operator.inputs, operator.outputs)
        ]
        options = vars(operator.builtinOptions) if operator.builtinOptions else {}
        chosen = {name: value for name, value in options.items() if name != "fusedActivationFunction"}
        if "filterWidth" not in chosen and ends[0][0][0][1:3] == ends[1][0][0][1:3]:
            chosen.pop("padding", None)  # SAME and VALID are one for a kernel of one pixel
        kind = flatbuffer.operator_name(model, operator)
        if kind in ("CONCATENATION", "QUANTIZE"):
            ends[0] = ()  # a layer knows the sum of the parts alone
        found[(kind, *ends, str(sorted(chosen.items())))] += 1
    return found


def test_nothing_that_was_printed_while_muted_comes_later() -> None:
    script = "from edgeseg.export.muted import muted\nwith muted(): print('chatter')\nprint('{}')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # stdout: a pipe
    assert done.stdout == "{}\n"


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("name", LAYERS)
def test_litert_runs_it_whole_in_its_delegate(name: str, precision: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    layer = LAYERS[name]
    with muted():
        interpreter = Interpreter(model_content=layer_tflite(layer, precision, copies=2), num_threads=1)
        interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.ones(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    grow = layer.stride if layer.kind in ("transposed", "resize") else 1 / layer.stride
    size = (int(layer.height_px * grow), int(layer.width_px * grow))
    shapes = {tuple(map(int, one["shape"])) for one in interpreter.get_output_details()}
    assert shapes == {(1, *size, layer.out_channels)} and len(interpreter.get_output_details()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["student", "unet_transposed"])
def test_the_parts_are_the_whole_file(name: str, tflite_files) -> None:
    """All operators of the shipped file; a rounding before a concatenation may be of another part, or not needed."""
    exported = tflite_files(name)
    whole = operators(exported.int8.read_bytes())
    parts: Counter[tuple[Any, ...]] = Counter()
    for layer in layers_of(exported.model, (64, 64)):
        parts += operators(layer_tflite(layer, "int8"))
    assert {kind for kind, *_ in whole - parts} <= {"QUANTIZE"}
    assert {kind for kind, *_ in parts - whole} <= {"QUANTIZE"}


def test_another_precision_is_refused() -> None:
    with pytest.raises(ExportError, match="int4"):
        layer_tflite(LAYERS["conv"], "int4")
