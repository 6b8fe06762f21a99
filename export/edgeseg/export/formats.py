"""The kinds of model files: one table of their suffix, their engine and what writes them.

What is made of an FP32 file is read back and held against its plan wherever it is written, so that none goes on that is
not the plan's.
What is heavy is imported by the writer that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.compress.search.probe import Layer
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.runtime.spec.model_spec import ModelSpec, Precision


class Origin(NamedTuple):
    """What a file of lower precision is made of.

    Attributes:
        model: The network.
        plan: Ranges of that network, which operations share one, and what stays in float.
        source: FP32 file that holds it.
        spec: What describes that file.
    """

    model: nn.Module
    plan: Plan
    source: Path
    spec: ModelSpec


FloatWriter = Callable[[nn.Module, Path, InputSpec, tuple[str, ...], bool], ModelSpec]
LayerWriter = Callable[[Layer, Literal["fp32", "int8"], int], tuple[bytes, bytes]]
# What describes the file that was written, and what was read back of it: a dataclass, of INT8 files `ReadBack`.
Written = tuple[ModelSpec, Any]
QuantisingWriter = Callable[[Origin, Path], Written]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffix: Of its files.
        engine: That runs them; others may, too.
        float_writer: Writes FP32 (see `write_float`).
        writers: What writes the other precisions and reads them back (see `write_quantised`).
        layer_writer: Writes the two files whose difference in time is that of so many further copies of a layer.
        depthwise_step: Multiple that its INT8 files widen depthwise convolutions to; 1 leaves them.
    """

    suffix: str
    engine: str
    float_writer: FloatWriter
    writers: Mapping[Precision, QuantisingWriter]
    layer_writer: LayerWriter
    depthwise_step: int = 1


def write_float(
    name: str, model: nn.Module, path: Path, input_spec: InputSpec, classes: tuple[str, ...], *, free: bool = False
) -> ModelSpec:
    """Write a network in FP32.

    Args:
        name: Of the format in `FORMATS`.
        model: A trained network of `train.models`.
        path: File to write, replaced in one step.
        input_spec: Colour and geometry; a file of fixed size takes it from there.
        classes: Class names by id.
        free: Leave N, H and W free, where the format can.

    Returns:
        What the file eats and returns.

    Raises:
        ExportError: If the network cannot be exported, or does not fit the spec.
    """
    return FORMATS[name].float_writer(model, path, input_spec, classes, free)


def write_quantised(name: str, origin: Origin, path: Path, precision: Precision = "int8") -> Written:
    """Write an exported file in a lower precision, and hold what was written against the plan.

    Args:
        name: Of the format in `FORMATS`.
        origin: What it is made of. INT8 takes what the plan says; what is not INT8 takes ranges that cut nothing off.
        path: File to write, replaced in one step.
        precision: One of the format's `writers`.

    Returns:
        What the file eats and returns, and what was read back and found equal.

    Raises:
        ExportError: If the FP32 file is not that network's, the plan lacks one of its operations, or the file differs
            from the plan.
    """
    return FORMATS[name].writers[precision](origin, path)


def _onnx(model: nn.Module, path: Path, input_spec: InputSpec, classes: tuple[str, ...], free: bool) -> ModelSpec:
    from edgeseg.export.onnx.export import export_onnx

    return export_onnx(model, path, input_spec, classes, dynamic=free)


def _tflite(
    model: nn.Module,
    path: Path,
    input_spec: InputSpec,
    classes: tuple[str, ...],
    free: bool,  # noqa: ARG001
) -> ModelSpec:
    from edgeseg.export.tflite.export import export_tflite

    return export_tflite(model, path, input_spec, classes)


def _onnx_u8s8(origin: Origin, path: Path) -> Written:
    from edgeseg.export.onnx.qdq import write_int8_onnx
    from edgeseg.export.onnx.read_back import check_int8_onnx

    written = write_int8_onnx(*origin, path)
    return written, check_int8_onnx(*origin, path)


def _onnx_s8(origin: Origin, path: Path) -> Written:
    """The symmetric file, and beside it what builders of TensorRT 8 to 10 take instead.

    That is the text calibration cache, and the FP32 file that it is for, which is not the shipped one where equalized
    or corrected tensors are quantised:

        trtexec --onnx=fp32.onnx --int8 --calib=calibration.cache --shapes=image:1xHxWxC
    """
    from edgeseg.export.onnx.placement import s8_tensorrt
    from edgeseg.export.onnx.qdq import write_int8_onnx
    from edgeseg.export.onnx.read_back import check_int8_onnx
    from edgeseg.export.trt.cache import CACHE, CACHE_SOURCE, check_trt_cache, write_trt_cache

    written = write_int8_onnx(*origin, path, s8_tensorrt())
    read = check_int8_onnx(*origin, path, s8_tensorrt())
    write_trt_cache(*origin, path.with_name(CACHE))
    check_trt_cache(*origin, path.with_name(CACHE))
    write_bytes(path.with_name(CACHE_SOURCE), origin.source.read_bytes())
    return written, read


def _tflite_s8(origin: Origin, path: Path) -> Written:
    from edgeseg.export.tflite.int8 import write_int8_tflite
    from edgeseg.export.tflite.read_back import check_int8_tflite

    written = write_int8_tflite(*origin, path)
    return written, check_int8_tflite(*origin, path)


def _onnx_fp16(origin: Origin, path: Path) -> Written:
    from edgeseg.export.onnx.fp16 import write_fp16_onnx

    return write_fp16_onnx(*origin, path)


def _tflite_fp16(origin: Origin, path: Path) -> Written:
    from edgeseg.export.tflite.weights import write_fp16_tflite

    return write_fp16_tflite(origin.source, origin.spec, path)


def _tflite_dynamic(origin: Origin, path: Path) -> Written:
    from edgeseg.export.tflite.weights import write_dynamic_tflite

    return write_dynamic_tflite(*origin, path)


def _tflite_int16x8(origin: Origin, path: Path) -> Written:
    from edgeseg.export.tflite.int16x8 import write_int16x8_tflite

    return write_int16x8_tflite(*origin, path)


def _onnx_layers(layer: Layer, precision: Literal["fp32", "int8"], extra: int) -> tuple[bytes, bytes]:
    from edgeseg.export.layers.graph import layer_pair

    return layer_pair(layer, precision, extra)


def _tflite_layers(layer: Layer, precision: Literal["fp32", "int8"], extra: int) -> tuple[bytes, bytes]:
    from edgeseg.export.layers.flatbuffer import layer_tflite

    return layer_tflite(layer, precision), layer_tflite(layer, precision, 1 + extra)


_TFLITE_WRITERS: dict[Precision, QuantisingWriter] = {
    "int8": _tflite_s8,
    "fp16": _tflite_fp16,
    "dynamic": _tflite_dynamic,
    "int16x8": _tflite_int16x8,
}
FORMATS: dict[str, Format] = {
    # INT8 with u8 activations and s8 weights: fast on x86.
    "onnx": Format(
        ".onnx", "onnxruntime", _onnx, {"int8": _onnx_u8s8, "fp16": _onnx_fp16}, _onnx_layers, depthwise_step=16
    ),
    # INT8 symmetric: for Arm and TensorRT.
    "onnx-s8": Format(".onnx", "onnxruntime", _onnx, {"int8": _onnx_s8}, _onnx_layers),
    "tflite": Format(".tflite", "litert", _tflite, _TFLITE_WRITERS, _tflite_layers),
}


def format_of_engine(engine: str) -> str:
    """Name of the format whose files an engine is given: its own, or the first that it can read."""
    suffixes = ENGINES[engine].suffixes
    return next(name for name, its in FORMATS.items() if its.suffix in suffixes)
