"""What no engine reads, taken out of an ONNX file before it is shipped."""

from __future__ import annotations

import onnx


def strip(model: onnx.ModelProto) -> None:
    """Take out what no engine reads: metadata, doc strings (they hold source paths) and inferred shapes."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for thing in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        thing.doc_string = ""
        if hasattr(thing, "metadata_props"):
            del thing.metadata_props[:]
