"""What an engine really computes in: the precision of each layer, read back through TensorRT's inspector.

A layer that the file means for INT8 and the engine runs in float is slower and no error of the builder's, so it is one
here. Opening an engine needs its GPU.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnx

from edgeseg.export.onnx.placement import CONVS
from edgeseg.export.trt.modules import TensorRt, listener, reasons
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError

# "Int8", or "Thirty-two wide channel vectorized row major Int8 format": by version and by kind of layer.
_PRECISIONS = (("int8", r"\bint8\b"), ("fp16", r"\b(fp16|half)\b"), ("fp32", r"\b(fp32|float)\b"))
_ONNX_NAME = re.compile(r"\[ONNX Layer: ([^\]\x1f]+)\]")


class RealisedLayer(NamedTuple):
    """One layer of an engine.

    Attributes:
        name: Its own.
        nodes: ONNX nodes it computes, by name.
        precision: Of its weights, or where it has none of what it reads: `int8`, `fp16`, `fp32` or `other`.
    """

    name: str
    nodes: tuple[str, ...]
    precision: str


def inspect_engine(trt: TensorRt, plan: bytes) -> tuple[RealisedLayer, ...]:
    """Read the layers of an engine for the GPU that is here.

    Raises:
        ExportError: If it cannot be opened, or says nothing of its layers.
    """
    logger, said = listener(trt)
    engine = trt.module.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise ExportError(f"{trt.describe()} cannot open the engine it has built: {reasons(said)}.")
    text = engine.create_engine_inspector().get_engine_information(trt.module.LayerInformationFormat.JSON)
    return realised_layers(text)


def realised_layers(text: str) -> tuple[RealisedLayer, ...]:
    """Read the inspector's JSON, or what `trtexec --exportLayerInfo` writes.

    Raises:
        ExportError: If it is none, or of an engine built without detailed profiling.
    """
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError) as err:
        raise ExportError(f"the engine's layers cannot be read ({condensed(err)}). Build it again.") from err
    if not layers or not all(isinstance(layer, Mapping) for layer in layers):
        raise ExportError("the engine says nothing of its layers' precision. Build it with detailed profiling.")
    return tuple(_layer(layer) for layer in layers)


def check_int8(layers: Sequence[RealisedLayer], content: bytes) -> tuple[str, ...]:
    """Hold an engine against the Q/DQ file it was built from.

    Returns:
        Convolutions behind pairs that no layer names, so that nothing is known of them.

    Raises:
        ExportError: If a convolution behind pairs runs in float; names it.
    """
    found = {node: layer.precision for layer in layers for node in layer.nodes}
    wanted = quantised_nodes(content)
    fallen = {name: found[name] for name in wanted if found.get(name, "int8") != "int8"}
    if fallen:
        named = ", ".join(f"{name} ({precision})" for name, precision in list(fallen.items())[:5])
        raise ExportError(
            f"{len(fallen)} convolutions that the file has in INT8 are not computed in it: {named}. The engine is "
            "not kept. Ship trt-fp16 on this GPU, or name these layers in quantize.float_paths."
        )
    return tuple(name for name in wanted if name not in found)


def quantised_nodes(content: bytes) -> tuple[str, ...]:
    """Names of the convolutions whose input and kernel come from integers."""
    graph = onnx.load_from_string(content).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    return tuple(
        node.name
        for node in graph.node
        if node.op_type in CONVS and all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
    )


def _layer(layer: Mapping[str, Any]) -> RealisedLayer:
    metadata = _ONNX_NAME.findall(str(layer.get("Metadata", "")))
    name = str(layer.get("Name", ""))
    nodes = tuple(metadata or re.split(r" \+ |\|\|", name))
    weights = layer.get("Weights")
    read = [weights.get("Type", "")] if weights else [one.get("Format/Datatype", "") for one in layer.get("Inputs", ())]
    formats = " ".join(map(str, read))
    precision = next((kind for kind, words in _PRECISIONS if re.search(words, formats, re.IGNORECASE)), "other")
    return RealisedLayer(name, nodes, precision)
