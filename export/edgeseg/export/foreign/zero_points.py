"""A zero point for each INT8 kernel: ONNX Runtime renames them with the kernel where it makes its sums exact."""

from __future__ import annotations

import onnx
from onnx import TensorProto


def own_zero_points(model: onnx.ModelProto) -> None:
    """Give each kernel a zero point that no other has, of the same values; the model is changed."""
    graph = model.graph
    int8 = {one.name: one for one in (*graph.initializer, *_constants(graph)) if one.data_type == TensorProto.INT8}
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        if not any(len(int8[name].dims) > 1 for name in node.input if name in int8):
            continue  # reads no kernel
        for place, name in enumerate(node.input):
            if name not in int8 or len(int8[name].dims) > 1:
                continue
            if name in taken:
                node.input[place] = f"{name}_edgeseg_{index}_{place}"
                own = graph.initializer.add()
                own.CopyFrom(int8[name])
                own.name = node.input[place]
            taken.add(name)


def _constants(graph: onnx.GraphProto) -> list[TensorProto]:
    """Values of nodes, under the names of what they make."""
    found = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            value = TensorProto()
            value.CopyFrom(node.attribute[0].t)
            value.name = node.output[0]
            found.append(value)
    return found
