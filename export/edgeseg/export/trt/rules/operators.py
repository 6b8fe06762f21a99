"""Rules about operators and the pairs at their inputs and results (rules 3 to 9, and 11 for a DLA)."""

from __future__ import annotations

import numpy as np
import onnx

from edgeseg.export.onnx.placement import CONVS, channels, s8_tensorrt
from edgeseg.export.trt.rules.graph import DQ, MATMULS, Findings, Q, QdqGraph, attribute

_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool"})
_COMMUTING = frozenset({"Resize", "Upsample", *_POOLS})
_FUSED = frozenset({"Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "BatchNormalization"})  # behind a convolution
_FLOAT_ONLY = frozenset({"Sigmoid", "Softmax", "Reshape", "Slice", "Transpose", "Pad"})
_GATES = frozenset({"Sigmoid", "HardSigmoid"})
_IN_PARTITION = frozenset({*_FUSED, *_GATES, "Add", "Mul"})
_MULTIPLE, _EXPANDS = 8, 16  # of the exceptions for narrow convolutions


def inputs_of_kernels(graph: QdqGraph) -> Findings:
    """Rule 3: input and kernel come from integers, both or none; bias and result do not."""
    for node in graph.nodes:
        if node.op_type not in MATMULS:
            continue
        data, kernel = (graph.behind_pair(name) for name in node.input[:2])
        if data != kernel:
            quantised, bare = ("input", "kernel") if data else ("kernel", "input")
            yield node, f"its {quantised} comes from integers, its {bare} does not"
        if len(node.input) > 2 and graph.behind_pair(node.input[2]):
            yield node, "its bias is quantised"
        for pair in graph.pairs_behind(node.output[0]):
            fused = [reader for reader in graph.through_pairs(pair) if reader.op_type in _FUSED]
            if fused:
                yield node, f"its result is quantised in front of {fused[0].op_type} {fused[0].name}, which would fuse"


def skip_alone(graph: QdqGraph) -> Findings:
    """Rule 4: of an addition the operand straight from a convolution stays bare."""
    for node in graph.nodes:
        if node.op_type != "Add" or any(graph.is_constant(name) for name in node.input):
            continue
        if any(graph.maker(name) in CONVS for name in node.input):
            continue
        branches = [name for name in node.input if graph.behind_pair(name) and graph.maker(graph.source(name)) in CONVS]
        if branches:
            convolution = graph.makers[graph.source(branches[0])]
            yield (
                node,
                f"the operand from {convolution.op_type} {convolution.name} is quantised, so that they do not fuse",
            )


def one_scale_concat(graph: QdqGraph) -> Findings:
    """Rule 5: what goes into a concatenation and what comes out has one scale."""
    for node in graph.nodes:
        halves = [graph.makers[name] for name in node.input if graph.behind_pair(name)]
        if node.op_type != "Concat" or not halves:
            continue
        scales = _scales(graph, [*halves, *graph.pairs_behind(node.output[0])])
        if len(halves) < len(node.input):
            bare = next(name for name in node.input if not graph.behind_pair(name))
            yield node, f"some of its inputs come from integers, {bare} does not"
        elif len(scales) > 1:
            yield node, f"its inputs and result have {len(scales)} scales ({', '.join(f'{one:.4g}' for one in scales)})"


def commuting(graph: QdqGraph) -> Findings:
    """Rule 6: pooling and resizing are quantised at their input; a resize only where a convolution feeds it."""
    for node in graph.nodes:
        if node.op_type not in _COMMUTING:
            continue
        data, behind = graph.behind_pair(node.input[0]), graph.pairs_behind(node.output[0])
        if behind and not data:
            yield node, "it is quantised at its result alone, not at its input"
        elif behind and len(_scales(graph, [graph.makers[node.input[0]], *behind])) > 1:
            yield node, "its result is quantised again with another scale than its input"
        if data and node.op_type in ("Resize", "Upsample") and not _from_convolution(graph, node.input[0]):
            yield node, "it is quantised, but no convolution feeds it"


def float_only(graph: QdqGraph) -> Findings:
    """Rule 7: what has no integer kernel reads floats: sigmoid, softmax, layout, a ReLU by itself, a gate."""
    for node in graph.nodes:
        behind = any(graph.behind_pair(name) for name in node.input)
        if not behind:
            continue
        alone = node.op_type == "Relu" and graph.maker(graph.source(node.input[0])) not in MATMULS
        gate = node.op_type == "Mul" and any(graph.maker(graph.source(name)) in _GATES for name in node.input)
        if alone or gate or (node.op_type in _FLOAT_ONLY and not graph.is_constant(node.input[0])):
            what = "a gate" if gate else "a ReLU by itself" if alone else node.op_type
            yield node, f"{what} reads a quantised tensor"


def wide_enough(graph: QdqGraph) -> Findings:
    """Rule 8: convolutions of few channels are faster in float."""
    for node in graph.nodes:
        shape = graph.shape(node.input[1]) if node.op_type in CONVS and graph.in_integers(node) else None
        if shape is None:
            continue
        inputs, outputs = channels(node, shape)
        if min(inputs, outputs) < s8_tensorrt().min_channels and not _narrow_but_fast(node, shape):
            yield node, f"it has {inputs} input and {outputs} output channels and is quantised"


def float_head(graph: QdqGraph) -> Findings:
    """Rule 9: nothing is quantised between the last operators with kernels and the results."""
    for output in graph.model.graph.output:
        seen: set[str] = set()
        names = [output.name]
        while names:
            name = names.pop()
            node = graph.makers.get(name)
            if node is None or name in seen or node.op_type in MATMULS:
                continue
            seen.add(name)
            if node.op_type in (Q, DQ):
                if not graph.is_constant(name):
                    yield node, f"it is quantised behind the last convolution in front of {output.name}"
            else:
                names.extend(node.input)


def every_tensor(graph: QdqGraph) -> Findings:
    """Rule 11: a DLA computes in integers only what reads and returns nothing else."""
    for node in graph.nodes:
        if node.op_type in (Q, DQ, "Constant"):
            continue
        bare = [name for name in _data(graph, node) if not graph.behind_pair(name)]
        if bare:
            yield node, f"its input {bare[0]} is not quantised"
        others = [reader for reader in graph.readers.get(node.output[0], []) if reader.op_type != Q]
        if others or node.output[0] in graph.outputs:
            where = f"{others[0].op_type} {others[0].name}" if others else "the graph's result"
            yield node, f"its result goes to {where} without a pair"


def _data(graph: QdqGraph, node: onnx.NodeProto) -> list[str]:
    """Inputs that are computed, and the kernel."""
    names = [name for name in node.input if name and not graph.is_constant(name)]
    return [*names, node.input[1]] if node.op_type in MATMULS and graph.is_constant(node.input[1]) else names


def _scales(graph: QdqGraph, halves: list[onnx.NodeProto]) -> list[float]:
    """The scales of these, each once, in their order."""
    found = (graph.scale(half) for half in halves)
    return list(dict.fromkeys(float(value) for one in found if one is not None for value in np.ravel(one)))


def _from_convolution(graph: QdqGraph, name: str) -> bool:
    """Whether a tensor is a convolution's, through what fuses with it."""
    names, seen = [name], set()
    while names:
        name = graph.source(names.pop())
        if graph.maker(name) in MATMULS:
            return True
        if name not in seen and graph.maker(name) in _IN_PARTITION:
            seen.add(name)
            names.extend(graph.makers[name].input)
    return False


def _narrow_but_fast(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """The convolutions of few channels that TensorRT has integer kernels for."""
    inputs, outputs = channels(node, shape)
    kernel = shape[2:]
    if attribute(node, "group", 1) == 1:
        even = outputs % _MULTIPLE == 0 or inputs % _MULTIPLE == 0
        return even and outputs >= _EXPANDS * inputs and len(set(kernel)) == 1
    return outputs % _MULTIPLE == 0 and min(kernel, default=0) >= 3
