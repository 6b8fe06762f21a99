"""From an FP32 ONNX file and the ranges of its tensors to a typed FP16 file.

The precision of every tensor is written in the file, as strongly typed TensorRT networks want it: there is nothing left
for a builder to decide. What FP16 cannot hold stays in FP32, between casts of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeseg.compress.int8.calibrate import MIN_WIDTH
from edgeseg.compress.int8.plan import Plan
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.half import activation_fault, constant_fault, kernel_fault
from edgeseg.export.onnx.placement import CONVS
from edgeseg.export.onnx.planned import bind_onnx, load_fp32
from edgeseg.export.onnx.strip import strip
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.model_spec import ModelSpec

_FLOAT, _HALF = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
_SUFFIX = {_FLOAT: "fp32", _HALF: "fp16"}


@dataclass(frozen=True)
class Typed:
    """What a typed file was found to hold, read back from it.

    Attributes:
        n_fp16: Operators that compute in FP16.
        fp32: Operators that compute in FP32, by name, and why.
        casts: Names of all Cast nodes; the first takes the pixels, the last returns the scores.
    """

    n_fp16: int
    fp32: Mapping[str, str]
    casts: tuple[str, ...]


def write_fp16_onnx(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path) -> tuple[ModelSpec, Typed]:
    """Write an exported file in FP16; its input and output keep their types.

    Args:
        model: The network `source` was exported from.
        plan: Smallest and largest values of its activations, as seen: ranges that cut none off.
        source: FP32 file of `export_onnx`.
        spec: What `export_onnx` returned for it.
        path: File to write, replaced in one step.

    Returns:
        What the file eats and returns, and what was read back from it.

    Raises:
        ExportError: If the file is not that network's, or the ranges lack one of its operations.
    """
    exported = load_fp32(source)
    keys = bind_onnx(exported, DeployGraph(model), spec)
    writer = _Fp16Writer(exported, _fault_of(keys, plan))
    written = writer.write()
    try:
        onnx.checker.check_model(written, full_check=True)
    except Exception as err:  # of several kinds
        raise ExportError(f"the FP16 graph of {source.name} is not of one type throughout: {err}") from err
    strip(written)
    write_bytes(path, written.SerializeToString(deterministic=True))
    return replace(spec, precision="fp16"), _read_back(path, exported, writer.reasons)


def _fault_of(keys: Mapping[str, tuple[str, ...]], plan: Plan) -> Callable[[str], str | None]:
    def fault(name: str) -> str | None:
        if name not in keys:
            raise ExportError(f"tensor {name} matches no operation of the network; was it exported from another one?")
        pairs = [plan.ranges.of(key) for key in keys[name]]
        return activation_fault(min(low for low, _ in pairs), max(high for _, high in pairs), MIN_WIDTH)

    return fault


def float_tensors(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every float tensor that a node makes, FP32 or FP16."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = [*inferred.graph.value_info, *inferred.graph.output]
    types = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    return {name: kind for name, kind in types.items() if kind in _SUFFIX}


def _read_back(path: Path, exported: onnx.ModelProto, reasons: Mapping[str, str]) -> Typed:
    """What the written file holds.

    Raises:
        ExportError: If its ends are not those of the FP32 file, or an operator is in FP32 without a reason.
    """
    written = onnx.load(path)
    for side in ("input", "output"):
        had, has = ([one.type.tensor_type.elem_type for one in getattr(m.graph, side)] for m in (exported, written))
        if had != has:
            raise ExportError(f"{path.name}: its {side} changed from type {had} to {has}. Write it again.")
    types = float_tensors(written)
    operators = {n.name: types[n.output[0]] for n in written.graph.node if n.output[0] in types and n.op_type != "Cast"}
    stays = {name for name, kind in operators.items() if kind == _FLOAT}
    if stays != set(reasons):
        odd = ", ".join(sorted(stays ^ set(reasons)))
        raise ExportError(f"{path.name}: {odd} computed in another precision than planned. Write it again.")
    casts = tuple(node.name for node in written.graph.node if node.op_type == "Cast")
    return Typed(len(operators) - len(stays), {name: reasons[name] for name in operators if name in stays}, casts)


class _Fp16Writer:
    """Walks a float graph in order; a tensor is in the type its operator computes in, and is cast once for others.

    Args:
        model: FP32 deploy graph. Not modified.
        fault: Why the tensor of this name cannot be FP16, or None.
    """

    def __init__(self, model: onnx.ModelProto, fault: Callable[[str], str | None]) -> None:
        self._model = model
        self._fault = fault
        self._floats = float_tensors(model)
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._nodes: list[onnx.NodeProto] = []
        self._types: dict[str, int] = {}  # of the float tensors written so far
        self._cast: dict[str, str] = {}  # further tensors by the name that they are cast to
        self._halves: dict[str, np.ndarray] = {}
        self.reasons: dict[str, str] = {}

    def write(self) -> onnx.ModelProto:
        """Return the typed model; `reasons` then holds, by operator, why it is in FP32."""
        graph = self._model.graph
        for node in graph.node:
            if node.output[0] in self._floats:
                self._write_float(node)
            else:
                self._nodes.append(node)
        self._return_floats()
        used = {name for node in self._nodes for name in node.input}
        constants = {name: array for name, array in (self._constants | self._halves).items() if name in used}
        tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        written = helper.make_graph(self._nodes, "edgeseg", list(graph.input), list(graph.output), tensors)
        model = helper.make_model(written, opset_imports=list(self._model.opset_import), producer_name="edgeseg")
        model.ir_version = self._model.ir_version
        return model

    def _write_float(self, node: onnx.NodeProto) -> None:
        made = node.output[0]
        slots = list(self._typed(node))
        reason = self._reason(node, slots)
        kind = _FLOAT if reason else _HALF
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Cast":  # of pixels
            next(one for one in copy.attribute if one.name == "to").i = kind
        elif reason:
            self.reasons[node.name] = reason
        for slot in slots:
            copy.input[slot] = self._as(node.input[slot], kind)
        self._nodes.append(copy)
        self._types[made] = kind

    def _typed(self, node: onnx.NodeProto) -> Iterator[int]:
        """Inputs that have the type of the result; others, such as the scales of a resize, stay as they are."""
        formal = self._schema(node).inputs
        result = self._schema(node).outputs[0].type_str
        for slot, name in enumerate(node.input):
            if name and formal[min(slot, len(formal) - 1)].type_str == result:
                yield slot

    def _reason(self, node: onnx.NodeProto, slots: list[int]) -> str | None:
        """Why an operator computes in FP32, or None."""
        schema = self._schema(node)
        allowed = {one.type_param_str: one.allowed_type_strs for one in schema.type_constraints}
        if "tensor(float16)" not in allowed.get(schema.outputs[0].type_str, ()):
            return f"{node.op_type} has no FP16 form"
        for name in (*(node.input[slot] for slot in slots), node.output[0]):
            if name in self._constants:
                is_kernel = node.op_type in CONVS and name == node.input[1]
                array = self._constants[name]
                fault = kernel_fault(array, CONVS[node.op_type]) if is_kernel else constant_fault(array)
            else:
                fault = self._fault(name)
            if fault:
                return f"{name} {fault}"
        return None

    def _schema(self, node: onnx.NodeProto) -> Any:
        version = next(one.version for one in self._model.opset_import if one.domain == node.domain)
        return onnx.defs.get_schema(node.op_type, version, node.domain)

    def _as(self, name: str, kind: int) -> str:
        """A tensor in this type: as it is, or cast, once for all its readers."""
        if name in self._constants and kind == _HALF:
            made = f"{name}.{_SUFFIX[kind]}"
            self._halves[made] = self._constants[name].astype(np.float16)
            return made
        if name in self._constants or self._types.get(name, kind) == kind:
            return name
        made = f"{name}.{_SUFFIX[kind]}"
        if made not in self._cast:
            self._cast[made] = name
            self._nodes.append(helper.make_node("Cast", [name], [made], f"cast_{made}", to=kind))
        return made

    def _return_floats(self) -> None:
        """End in FP32, as the file did."""
        output = self._model.graph.output[0].name
        if self._types.get(output) != _HALF:
            return
        half = f"{output}.{_SUFFIX[_HALF]}"
        for node in self._nodes:
            for names in (node.input, node.output):
                for slot, name in enumerate(names):
                    if name == output:
                        names[slot] = half
        self._nodes.append(helper.make_node("Cast", [half], [output], f"cast_{output}", to=_FLOAT))
