"""Which operators of a TFLite file a delegate would refuse, by what the delegates' own documents say they take.

What a delegate refuses runs on the interpreter's built-in kernels, with a copy on either side; a device's driver may
refuse more. Nothing is run here.

Reference:
    XNNPACK: google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md, "Limitations and supported operators".
    GPU: tensorflow/tensorflow, tensorflow/lite/g3doc/performance/gpu_advanced.md, "Supported ops".
    NNAPI: tensorflow/tensorflow, tensorflow/lite/delegates/nnapi/nnapi_delegate.cc, `NNAPIDelegateKernel::Validate`,
    as of API level 30 (Android 11), the first that takes signed INT8 with a zero point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert.schema_py_generated import TensorType

from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError

_ANY = 1 << 30
_BIASED = {"CONV_2D", "DEPTHWISE_CONV_2D"}


@dataclass(frozen=True)
class Delegate:
    """What a delegate takes.

    Attributes:
        name: Of the delegate.
        source: Document that says so.
        floats: Operators in FP32, each with the newest version that is taken.
        integers: Operators in INT8, likewise.
        hybrid: Why INT8 kernels of FP32 activations (dynamic range) are refused; None where they are taken.
        most_parts: Most inputs of a concatenation.
        needs_bias: Whether a convolution without one is refused.
    """

    name: str
    source: str
    floats: Mapping[str, int]
    integers: Mapping[str, int]
    hybrid: str | None = None
    most_parts: int = _ANY
    needs_bias: bool = False


def _versions(names: str, newest: int = _ANY, **others: int) -> dict[str, int]:
    return dict.fromkeys(names.split(), newest) | others


_XNNPACK_BOTH = """ADD CONCATENATION CONV_2D DEPTH_TO_SPACE DEPTHWISE_CONV_2D ELU FULLY_CONNECTED LEAKY_RELU LOGISTIC
    MAX_POOL_2D MEAN MUL PAD RESHAPE RESIZE_BILINEAR SLICE SPACE_TO_DEPTH SPLIT SUB TANH TRANSPOSE TRANSPOSE_CONV"""
_GPU = """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXP FULLY_CONNECTED LOGISTIC MAX_POOL_2D MAXIMUM
    MINIMUM MUL PAD PRELU RELU RELU6 RESHAPE RESIZE_BILINEAR SOFTMAX STRIDED_SLICE SUB TRANSPOSE_CONV"""
_NNAPI = _versions(
    """ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D CONCATENATION DEQUANTIZE LOGISTIC MAX_POOL_2D MEAN MUL PAD PADV2 RELU RELU6
    RELU_N1_TO_1 SLICE SOFTMAX SPACE_TO_DEPTH STRIDED_SLICE TANH TRANSPOSE""",
    2,
    **_versions("CAST LEAKY_RELU PRELU RESHAPE SQUEEZE", 1),
    **_versions("DEPTHWISE_CONV_2D MAXIMUM MINIMUM RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SUB TRANSPOSE_CONV", 3),
    **_versions("CONV_2D FULLY_CONNECTED", 5),
    **_versions("HARD_SWISH QUANTIZE"),
)

DELEGATES = (
    Delegate(
        "XNNPACK",
        "google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md",
        _versions(
            f"""{_XNNPACK_BOTH} ABS AVERAGE_POOL_2D CEIL DIV FLOOR HARD_SWISH MAXIMUM MINIMUM NEG PRELU RELU RELU6
            RELU_N1_TO_1 ROUND SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE"""
        ),
        _versions(f"{_XNNPACK_BOTH} DEQUANTIZE QUANTIZE"),
        hybrid="dynamic range quantization is not supported",
        most_parts=4,
        needs_bias=True,
    ),
    Delegate(
        "GPU",
        "tensorflow/tensorflow, tensorflow/lite/g3doc/performance/gpu_advanced.md",
        _versions(_GPU, 1, DEPTHWISE_CONV_2D=2, RESIZE_BILINEAR=3),
        _versions(_GPU),  # where quantized models are allowed; they are computed in floating point
    ),
    Delegate(
        "NNAPI",
        "tensorflow/tensorflow, tensorflow/lite/delegates/nnapi/nnapi_delegate.cc, API level 30",
        _NNAPI | _versions("ABS DIV EXP FLOOR LOG POW RSQRT SIN SQRT", 1),
        _NNAPI,
        needs_bias=True,
    ),
)


@dataclass(frozen=True)
class Refusal:
    """Operators of one kind that are refused for one reason."""

    operator: str
    count: int
    reason: str


@dataclass(frozen=True)
class Taken:
    """What a delegate would do with a file.

    Attributes:
        delegate: Its name.
        source: Document that says so.
        n_operators: Operators of the file; the unpacking of FP16 constants, done once when it is opened, is none.
        refusals: Those that are refused.
    """

    delegate: str
    source: str
    n_operators: int
    refusals: tuple[Refusal, ...]

    @property
    def n_refused(self) -> int:
        """Operators that are refused."""
        return sum(one.count for one in self.refusals)


def taken_by_delegates(content: bytes, name: str) -> tuple[Taken, ...]:
    """Hold a file against each of `DELEGATES`.

    Args:
        content: Of the file.
        name: Of the file, for messages.

    Raises:
        ExportError: If it is no TFLite file.
    """
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("it does not begin with TFL3")
        model = flatbuffer.read(content)
        operators = [one for one in model.subgraphs[0].operators if not _is_unpacking(model, one)]
        found = [(one, [_refused(model, operator, one) for operator in operators]) for one in DELEGATES]
    except Exception as err:  # whatever decoding foreign bytes runs into
        raise ExportError(f"{name} is no TFLite file that can be read: {condensed(err)}") from err
    return tuple(Taken(one.name, one.source, len(operators), tuple(_counted(its))) for one, its in found)


def read_tflite(path: Path) -> bytes:
    """Content of a file.

    Raises:
        ExportError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as err:
        raise ExportError(f"cannot read {path} ({err.strerror}); name a .tflite file or a bundle") from err


def _refused(model: Any, operator: Any, by: Delegate) -> tuple[str, str] | None:
    """The operator and why it is refused, or None."""
    kind = flatbuffer.operator_name(model, operator)
    types = _activations(model, operator)
    known = by.integers if TensorType.INT8 in types else by.floats
    version = model.operatorCodes[operator.opcodeIndex].version
    inputs = [int(index) for index in operator.inputs if index >= 0]
    if types & {TensorType.INT16, TensorType.INT64}:
        reason = "16-bit activations"
    elif kind not in known:
        reason = "not among its operators"
    elif version > known[kind]:
        reason = f"version {version}, it takes up to {known[kind]}"
    elif by.hybrid and TensorType.INT8 not in types and _has_int8_kernel(model, operator, kind):
        reason = by.hybrid
    elif kind == "CONCATENATION" and len(inputs) > by.most_parts:
        reason = f"{len(inputs)} inputs, it takes up to {by.most_parts}"
    elif by.needs_bias and kind in _BIASED and len(inputs) < 3:
        reason = "no bias"
    else:
        return None
    return kind, reason


def _activations(model: Any, operator: Any) -> set[int]:
    """Types of what an operator computes and what it computes it from, constants aside."""
    tensors = model.subgraphs[0].tensors
    inputs = (int(index) for index in operator.inputs if index >= 0)
    computed = [index for index in inputs if not _is_constant(model, index)]
    return {int(tensors[index].type) for index in (*computed, *map(int, operator.outputs))}


def _has_int8_kernel(model: Any, operator: Any, kind: str) -> bool:
    if kind not in flatbuffer.KERNELS:
        return False
    index = int(operator.inputs[flatbuffer.KERNELS[kind][1]])
    return bool(model.subgraphs[0].tensors[index].type == TensorType.INT8)


def _is_constant(model: Any, index: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[index].buffer].data
    return data is not None and len(data) > 0


def _is_unpacking(model: Any, operator: Any) -> bool:
    is_dequantize = flatbuffer.operator_name(model, operator) == "DEQUANTIZE"
    return is_dequantize and _is_constant(model, int(operator.inputs[0]))


def _counted(refused: list[tuple[str, str] | None]) -> Iterator[Refusal]:
    for (operator, reason), count in Counter(one for one in refused if one is not None).items():
        yield Refusal(operator, count, reason)
