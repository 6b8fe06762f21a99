"""From an FP32 TFLite file to files whose kernels alone are small: FP16 weights, and dynamic range.

Both eat and return what the FP32 file does. FP16 weights are converted to FP32 when a file is opened, unless a delegate
computes in FP16; with dynamic range kernels are INT8 and activations are rounded as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType
from ai_edge_quantizer import recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import ComputePrecision, OpQuantizationConfig, TensorDataType, TensorQuantizationConfig
from ai_edge_quantizer.recipe_manager import RecipeManager
from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.export.half import kernel_fault
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.planned import load_fp32, plan_tflite
from edgeseg.export.tflite.quantise import quantise
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.model_spec import ModelSpec

_ROUNDING = 1.0 + 1e-3  # steps pass through another package's float32 arithmetic


@dataclass(frozen=True)
class Weights:
    """What was read back and found to be the FP32 file's kernels, rounded.

    Attributes:
        n_kernels: Kernels in the small type.
        fp32: Results of the operators whose kernels stay in FP32, and why.
    """

    n_kernels: int
    fp32: Mapping[str, str]


def write_fp16_tflite(source: Path, spec: ModelSpec, path: Path) -> tuple[ModelSpec, Weights]:
    """Write an exported file with FP16 kernels.

    Args:
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.
        path: File to write, replaced in one step.

    Returns:
        What the file eats and returns, and what was read back from it.

    Raises:
        ExportError: If the file cannot be read, or a kernel was not written as it has to be.
    """
    floats = load_fp32(source)
    faults = ((name, kernel_fault(kernel, axis)) for name, kernel, axis in _kernels(floats))
    fp32 = {name: fault for name, fault in faults if fault}
    found = _write(source, path, fp32, _fp16_recipe(), _is_fp16)
    return replace(spec, precision="fp16"), found


def write_dynamic_tflite(
    model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path
) -> tuple[ModelSpec, Weights]:
    """Write an exported file of dynamic range: symmetric INT8 kernels, a scale an output channel.

    Args:
        model: The network `source` was exported from.
        plan: What stays in float; ranges are not used, for activations are rounded as they come.
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.
        path: File to write, replaced in one step.

    Returns:
        What the file eats and returns, and what was read back from it.

    Raises:
        ExportError: If the file is not that network's, or a kernel was not written as it has to be.
    """
    planned = plan_tflite(model, plan, source, spec)
    fp32 = dict.fromkeys(planned.stays, "the plan keeps it in float, or it reads the image")
    found = _write(source, path, fp32, recipe.dynamic_wi8_afp32(), _is_int8)
    return replace(spec, precision="dynamic"), found


def _write(
    source: Path, path: Path, fp32: Mapping[str, str], small: Any, is_right: Callable[[Any, int, np.ndarray, int], bool]
) -> Weights:
    """Quantise, read back, and only then give the file its name."""
    written = quantise(source.read_bytes(), small, fp32)
    found = flatbuffer.read(written)
    kernels = {name: (kernel, axis) for name, kernel, axis in _kernels(load_fp32(source))}
    n_kernels = 0
    for name, index in _kernel_tensors(found):
        kernel, axis = kernels[name]
        stays = flatbuffer.constant(found, index)
        if name in fp32:
            right = stays is not None and np.array_equal(stays, kernel)
        else:
            right = stays is None and is_right(found, index, kernel, axis)
            n_kernels += 1
        if not right:
            raise ExportError(f"{path.name}: the kernel that makes {name} is not that of {source.name}, rounded.")
    if n_kernels + len(fp32.keys() & kernels.keys()) != len(kernels):
        raise ExportError(f"{path.name}: {n_kernels} of {len(kernels)} kernels were found. Write it again.")
    write_bytes(path, written)
    return Weights(n_kernels, {name: reason for name, reason in fp32.items() if name in kernels})


def _kernels(floats: Any) -> Iterator[tuple[str, np.ndarray, int]]:
    """Result, kernel and the kernel's axis of output channels, of every operator that has a constant one."""
    for operator, index, axis in _operators(floats):
        kernel = flatbuffer.constant(floats, index)
        if kernel is not None:
            yield _made(floats, operator), kernel, axis


def _kernel_tensors(written: Any) -> Iterator[tuple[str, int]]:
    """Result of every operator with a kernel, and the kernel's tensor, behind its DEQUANTIZE where it has one."""
    makers = {int(operator.outputs[0]): operator for operator in written.subgraphs[0].operators}
    for operator, index, _ in _operators(written):
        maker = makers.get(index)
        yield _made(written, operator), index if maker is None else int(maker.inputs[0])


def _operators(model: Any) -> Iterable[tuple[Any, int, int]]:
    for operator in model.subgraphs[0].operators:
        kind = flatbuffer.operator_name(model, operator)
        if kind in flatbuffer.KERNELS:
            _, kernel, _, axis = flatbuffer.KERNELS[kind]
            yield operator, int(operator.inputs[kernel]), axis


def _made(model: Any, operator: Any) -> str:
    return flatbuffer.tensor_name(model.subgraphs[0], int(operator.outputs[0]))


def _is_fp16(written: Any, index: int, kernel: np.ndarray, axis: int) -> bool:  # noqa: ARG001
    tensor = written.subgraphs[0].tensors[index]
    stored = np.frombuffer(bytes(written.buffers[tensor.buffer].data), np.float16)
    return bool(tensor.type == TensorType.FLOAT16 and np.array_equal(stored, kernel.astype(np.float16).ravel()))


def _is_int8(written: Any, index: int, kernel: np.ndarray, axis: int) -> bool:
    """Whether the integers are within half a step of the kernel, and the steps no larger than its range asks for."""
    tensor = written.subgraphs[0].tensors[index]
    its = tensor.quantization
    if tensor.type != TensorType.INT8 or its is None or its.scale is None or np.any(its.zeroPoint):
        return False
    step = np.asarray(its.scale, np.float64).reshape([-1 if i == axis else 1 for i in range(kernel.ndim)])
    stored = np.frombuffer(bytes(written.buffers[tensor.buffer].data), np.int8).reshape(kernel.shape)
    widest = np.abs(kernel).max(axis=tuple(i for i in range(kernel.ndim) if i != axis), keepdims=True)
    near = np.abs(kernel - step * stored) <= step / 2 * _ROUNDING
    return bool(near.all() and (step <= np.maximum(widest / 127, 1e-6) * _ROUNDING).all())


def _fp16_recipe() -> Any:
    half = TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT)
    manager = RecipeManager()
    manager.add_quantization_config(
        regex=".*",
        operation_name="*",
        op_config=OpQuantizationConfig(weight_tensor_config=half, compute_precision=ComputePrecision.FLOAT),
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    return manager.get_quantization_recipe()
