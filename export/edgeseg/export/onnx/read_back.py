"""Reading the scales of a Q/DQ ONNX file back, and holding them against the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from edgeseg.compress.int8.plan import Affine, Plan
from edgeseg.export.onnx.placement import CONVS, LAYOUT, MOVES, Placement, u8s8_x86
from edgeseg.export.onnx.planned import PlannedOnnx, plan_onnx
from edgeseg.export.onnx.qdq_writer import RAW
from edgeseg.export.read_back import Numbers, ReadBack, hold_against
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import ModelSpec

_Q, _DQ = "QuantizeLinear", "DequantizeLinear"


def check_int8_onnx(
    model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path, placement: Placement | None = None
) -> ReadBack:
    """Read a file of `write_int8_onnx` back: every pair's scale and zero point, every kernel's scales, what is float.

    Args:
        model: The network `source` was exported from.
        plan: What the file should hold.
        source: FP32 file of `export_onnx`.
        spec: What `export_onnx` returned for it.
        path: The quantised file.
        placement: Of that file; default `u8s8_x86()`.

    Raises:
        ExportError: If the file cannot be read or differs from the plan; names the tensor, found and expected.
    """
    planned = plan_onnx(model, plan, source, spec, placement or u8s8_x86())
    try:
        written = onnx.load(path)
    except Exception as err:  # a missing file, or one of several decoding errors
        raise ExportError(f"cannot read {path.name} back: {err}. Write it again.") from err
    return hold_against(path.name, _Reader(written, planned).numbers(), planned.numbers(), planned.keys)


class _Reader:
    """A written graph: who makes and who reads each tensor, and what each pair stands for."""

    def __init__(self, written: onnx.ModelProto, planned: PlannedOnnx) -> None:
        graph = written.graph
        self._nodes = list(graph.node)
        self._placement = planned.placement
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._makers = {node.output[0]: node for node in graph.node}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        # Operators keep their names; their results are renamed where a clamp is implied or a result is rounded.
        self._results = {node.name: node.output[0] for node in planned.model.graph.node}
        self._outputs = {
            node.output[0]: planned.constants[node.input[1]].shape[CONVS[node.op_type]]
            for node in planned.model.graph.node
            if node.op_type in CONVS
        }

    def numbers(self) -> Numbers:
        affines: dict[str, set[Affine]] = {}
        integer: dict[str, bool] = {}
        kernels: dict[str, np.ndarray] = {}
        for node in self._nodes:
            if node.op_type in (_Q, _DQ) and not self._is_constant(node):
                affine = Affine(float(self._constants[node.input[1]]), int(self._constants[node.input[2]]))
                for name in self._stands_for(node):
                    affines.setdefault(name, set()).add(affine)
            elif node.op_type in {*CONVS, *MOVES, "Add"}:
                made = self._results.get(node.name, node.output[0])
                integer[made] = self._in_integers(node)
                if integer[made] and node.op_type in CONVS:
                    kernels[made] = _of_one_column(self._kernel_scale(self._makers[node.input[1]]), self._outputs[made])
        return Numbers({name: frozenset(its) for name, its in affines.items()}, integer, kernels)

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        """Whether a pair's half belongs to a kernel or bias."""
        name = node.input[0]
        maker = self._makers.get(name)
        return name in self._constants or (maker is not None and maker.op_type == _Q and self._is_constant(maker))

    def _stands_for(self, node: onnx.NodeProto) -> set[str]:
        """Tensors whose scale a pair must have: its own, or that of the concatenation it feeds."""
        names: set[str] = set()
        for reader in self._readers.get(node.output[0], []):
            if reader.op_type == _DQ:
                names |= self._stands_for(reader)
            elif reader.op_type == "Concat" and self._placement.one_scale_concat:
                names.add(reader.output[0].removesuffix(RAW))
            else:
                names.add(self._origin(node.input[0]))
        return names or {self._origin(node.input[0])}

    def _origin(self, name: str) -> str:
        """The tensor of the float graph behind pairs, or the image behind what moves its pixels."""
        maker = self._makers.get(name)
        if maker is not None and maker.op_type in {_Q, _DQ, *LAYOUT}:
            return self._origin(maker.input[0])
        return name.removesuffix(RAW)

    def _in_integers(self, node: onnx.NodeProto) -> bool:
        """Whether an operator reads integers and, where results are rounded, returns nothing else."""
        counts = {"Add": 2, "Concat": len(node.input)} | dict.fromkeys(CONVS, 2)
        pairs = [self._made_by(name, _DQ) for name in node.input[: counts.get(node.op_type, 1)]]
        reads = any(pairs) if node.op_type == "Add" and self._placement.skip_only else all(pairs)
        if not self._placement.results:
            return reads
        # Between integers an addition in float looks the same but for its name, and does the same.
        rounded = all(reader.op_type == _Q for reader in self._readers.get(node.output[0], []))
        return reads and rounded and node.output[0].endswith(RAW)

    def _made_by(self, name: str, operator: str) -> bool:
        return name in self._makers and self._makers[name].op_type == operator

    def _kernel_scale(self, node: onnx.NodeProto) -> np.ndarray:
        """Scales of a kernel; NaN where its zero point is not 0, or its halves differ."""
        scale, zero = (self._constants[name] for name in node.input[1:])
        maker = self._makers.get(node.input[0])
        equal = maker is None or np.array_equal(self._kernel_scale(maker), scale)
        return scale if equal and not zero.any() else np.full_like(scale, np.nan)


def _of_one_column(scale: np.ndarray, outputs: int) -> np.ndarray:
    """Scales by output channel: a stem on columns (see `stem`) holds them once a column; NaN where those differ."""
    if len(scale) % outputs:
        return scale
    columns = scale.reshape(-1, outputs)
    return columns[0] if (columns == columns[0]).all() else np.full(outputs, np.nan, scale.dtype)
