"""Which tensor of a foreign file is looked at: its only output, or the one that is named."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from edgeseg.export.foreign.cut import cut_at
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.fields import nearest


def with_output(model: onnx.ModelProto, name: str, file: str) -> onnx.ModelProto:
    """The graph of one output.

    Args:
        model: As it was read.
        name: An output, or any tensor in the graph; "" for the only output.
        file: Name of the file, for messages.

    Raises:
        ConfigError: If the file has several outputs and none is named, or none of that name.
    """
    outputs = [value.name for value in model.graph.output]
    listed = "; ".join(
        f"{value.name} {type_words(value)}, made by {maker(model, value.name)}" for value in model.graph.output
    )
    if not outputs:
        raise ConfigError(f"{file} has no output; export it again.")
    if not name:
        if len(outputs) != 1:
            raise ConfigError(f"{file} has {len(outputs)} outputs: name the scores with --output NAME. Found: {listed}")
        return cut_at(model, outputs[0])
    inner = {one for node in model.graph.node for one in node.output if one}
    if name not in inner | set(outputs):
        raise ConfigError(f"{file} has no tensor {name!r}. {nearest(name, inner)[:200]} Its outputs: {listed}")
    return cut_at(model, name)


def maker(model: onnx.ModelProto, tensor: str) -> str:
    """Such as `Sigmoid`: the operator that makes a tensor."""
    found = next((node.op_type for node in model.graph.node if tensor in node.output), None)
    return found or "nothing (an input handed on)"


def type_words(value: onnx.ValueInfoProto) -> str:
    """Such as `float 1x3xHxW`; `?` where the file does not say."""
    tensor = value.type.tensor_type
    if not tensor.elem_type:
        return "of unknown type"
    kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    if not tensor.HasField("shape"):
        return f"{kind} of unknown shape"
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    return f"{kind} {'x'.join(sizes) or 'scalar'}"
