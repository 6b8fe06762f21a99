"""Reading the scales of an INT8 TFLite file back, and holding them against the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType
from torch import nn

from edgeseg.compress.int8.plan import Affine, Plan
from edgeseg.export.read_back import Numbers, ReadBack, hold_against
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.planned import plan_tflite
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import ModelSpec

_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def check_int8_tflite(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path) -> ReadBack:
    """Read a file of `write_int8_tflite` back: every scale and zero point, every kernel's scales, what is float.

    Args:
        model: The network `source` was exported from.
        plan: What the file should hold.
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.
        path: The quantised file.

    Raises:
        ExportError: If the file cannot be read or differs from the plan; names the tensor, found and expected.
    """
    planned = plan_tflite(model, plan, source, spec)
    try:
        written = flatbuffer.read(path.read_bytes())
    except Exception as err:  # a missing file, or whatever decoding foreign bytes runs into
        raise ExportError(f"cannot read {path.name} back: {err}. Write it again.") from err
    return hold_against(path.name, numbers_of(written, TensorType.INT8), planned.numbers(), planned.keys)


def numbers_of(written: Any, integer: int) -> Numbers:
    """The numbers of a quantised file.

    Args:
        written: `ModelT`.
        integer: Type of the activations that are computed in integers.

    Raises:
        ExportError: If an integer tensor has no scale.
    """
    return _Reader(written, integer).numbers()


class _Reader:
    """A written graph: who makes and who reads each tensor."""

    def __init__(self, written: Any, integer: int) -> None:
        self._model = written
        self._integer = integer
        self._graph = written.subgraphs[0]
        self._makers = {int(operator.outputs[0]): operator for operator in self._graph.operators}
        self._readers: dict[int, list[Any]] = {}
        for operator in self._graph.operators:
            for index in operator.inputs:
                self._readers.setdefault(int(index), []).append(operator)

    def numbers(self) -> Numbers:
        affines: dict[str, set[Affine]] = {}
        integer: dict[str, bool] = {}
        kernels: dict[str, np.ndarray] = {}
        for index in [int(self._graph.inputs[0]), *self._makers]:
            if self._graph.tensors[index].type == self._integer:
                for name in self._stands_for(index):
                    affines.setdefault(name, set()).add(self._affine(index))
        for index, operator in self._makers.items():
            kind = flatbuffer.operator_name(self._model, operator)
            if kind in _CONVERSIONS:
                continue
            made = self._name(index)
            integer[made] = self._graph.tensors[index].type == self._integer
            if integer[made] and kind in flatbuffer.KERNELS:
                kernels[made] = self._kernel_scale(int(operator.inputs[flatbuffer.KERNELS[kind][1]]))
        return Numbers({name: frozenset(its) for name, its in affines.items()}, integer, kernels)

    def _stands_for(self, index: int) -> set[str]:
        """Tensors whose scale an integer tensor must have: its own, or that of the concatenation it was rounded for."""
        maker = self._makers.get(index)
        if maker is None or flatbuffer.operator_name(self._model, maker) not in _CONVERSIONS:
            return {self._name(index)}
        readers = self._readers.get(index, [])
        joined = {r for r in map(self._join, readers) if r is not None}
        alone = not joined or any(self._join(reader) is None for reader in readers)
        return joined | ({self._origin(index)} if alone else set())

    def _join(self, reader: Any) -> str | None:
        """Result of a reader that is a concatenation."""
        is_join = flatbuffer.operator_name(self._model, reader) == "CONCATENATION"
        return self._name(int(reader.outputs[0])) if is_join else None

    def _origin(self, index: int) -> str:
        """The tensor of the float graph behind conversions."""
        maker = self._makers.get(index)
        if maker is not None and flatbuffer.operator_name(self._model, maker) in _CONVERSIONS:
            return self._origin(int(maker.inputs[0]))
        return self._name(index)

    def _affine(self, index: int) -> Affine:
        its = self._graph.tensors[index].quantization
        if its is None or its.scale is None or len(its.scale) != 1:
            raise ExportError(f"integer tensor {self._name(index)} has no scale of its own. Write the file again.")
        return Affine(float(its.scale[0]), int(its.zeroPoint[0]))

    def _kernel_scale(self, index: int) -> np.ndarray:
        """Scales of a kernel; NaN where it has none, or its zero point is not 0."""
        its = self._graph.tensors[index].quantization
        if its is None or its.scale is None or np.any(its.zeroPoint):
            return np.full(1, np.nan, np.float32)
        return np.asarray(its.scale, np.float32)

    def _name(self, index: int) -> str:
        return flatbuffer.tensor_name(self._graph, index)
