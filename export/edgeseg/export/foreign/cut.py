"""A graph cut off at a tensor, and what was cut put back on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx


def cut_at(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The part of a graph that makes one tensor, which is its only output; the model given is not changed."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    nodes = list(_makers(graph.node, tensor))
    values = {value.name: value for value in (*graph.output, *graph.value_info)}
    output = onnx.ValueInfoProto()
    output.CopyFrom(values.get(tensor, onnx.ValueInfoProto(name=tensor)))
    used = {tensor, *(name for node in nodes for name in _reads(node))}
    initializers = [one for one in graph.initializer if one.name in used]
    inputs = [one for one in graph.input if one.name in used]
    for field, content in (("node", nodes), ("initializer", initializers), ("input", inputs), ("output", [output])):
        copies = [type(one).FromString(one.SerializeToString()) for one in content]
        graph.ClearField(field)  # type: ignore[arg-type]
        getattr(graph, field).extend(copies)
    return part


def rejoin(part: onnx.ModelProto, whole: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """A changed part with what it was cut from behind it, and the inputs and outputs of the whole.

    Args:
        part: From `cut_at`, quantised say; its inputs and its output have kept their names.
        whole: What it was cut from.
        output: The output of `whole` that is wanted.
    """
    joined = onnx.ModelProto()
    joined.CopyFrom(part)
    graph = joined.graph
    have = {one.name for one in (*graph.initializer, *graph.input)} | {
        name for node in graph.node for name in node.output
    }
    more = list(_makers(whole.graph.node, output, have))
    needed = {name for node in more for name in _reads(node)} - have
    graph.node.extend(more)
    graph.initializer.extend(one for one in whole.graph.initializer if one.name in needed)
    shapes = {one.name: one for one in (*whole.graph.input, *whole.graph.output, *whole.graph.value_info)}
    inputs = [shapes.get(one.name, one) for one in graph.input]
    for field, content in (("input", inputs), ("output", [shapes.get(output, onnx.ValueInfoProto(name=output))])):
        copies = [type(one).FromString(one.SerializeToString()) for one in content]
        graph.ClearField(field)  # type: ignore[arg-type]
        getattr(graph, field).extend(copies)
    graph.ClearField("value_info")  # shapes of the part may not be those of the whole (its batch)
    return joined


def _makers(
    nodes: Iterable[onnx.NodeProto], tensor: str, have: frozenset[str] | set[str] = frozenset()
) -> Iterator[onnx.NodeProto]:
    """Nodes that a tensor depends on, in the order of the graph; what is in `have` is made already."""
    ordered = list(nodes)
    wanted, kept = {tensor} - set(have), []
    for node in reversed(ordered):
        if wanted & set(node.output):
            wanted |= set(_reads(node)) - set(have)
            kept.append(node)
    return reversed(kept)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Tensors a node reads, those of the graphs inside it included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for one in inner.node:
                yield from _reads(one)
