"""A foreign ONNX file read: whatever keeps it from being used is named by its cause."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from onnx import TensorProto, helper, version_converter

from edgeseg.export.foreign.limits import Limits, engine_limits, onnx_limits, released_with
from edgeseg.export.foreign.outputs import with_output
from edgeseg.export.foreign.zero_points import own_zero_points
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.files.onnx_header import OnnxHeader, read_onnx_header
from edgeseg.runtime.spec.model_spec import Precision

_OPSET = 17  # what older files are raised to
_OLDEST = 13  # Q/DQ per channel needs it
_RESIZE = 11  # the first opset whose Resize says how cells of both sizes lie over each other
_LARGEST_BYTES = 2**31 - 1  # of one protobuf message
_INTEGER_OPS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}
_ENGINE_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft", "com.microsoft.nchwc"}


def read_foreign(path: Path, output: str = "", *, float_only: bool = True) -> onnx.ModelProto:
    """Read an ONNX file of anybody's.

    Args:
        path: The file.
        output: The tensor that is wanted; "" for its only output.
        float_only: Refuse what is quantised or in 16-bit floats.

    Returns:
        What makes that output, with the weights in it, opset 13 or above, every node with a name of its own, every
        kernel in INT8 with a zero point of its own.

    Raises:
        ConfigError: Naming what the file is instead, what is missing, or what is too new or too old.
    """
    if (kind := kind_of(path)).key != "onnx":
        raise ConfigError(refusal(path, "a float ONNX file" if float_only else "an ONNX file", kind))
    header = read_onnx_header(path)
    assert header is not None
    _check_versions(path, header)
    _check_weights(path, header)
    model = with_output(_loaded(path), output, path.name)
    _check_operators(path, model)
    if float_only:
        _check_float(path, model)
    if header.opset < _OLDEST:
        model = _raised(path, model, header.opset)
    taken = Counter(node.name for node in model.graph.node)
    for index, node in enumerate(model.graph.node):
        if not node.name or taken[node.name] > 1:
            node.name = f"{node.op_type}_{index}"
    own_zero_points(model)
    return model


def read_as_written(path: Path, output: str = "") -> onnx.ModelProto | None:
    """The same of a file that `read_foreign` took, in its own opset; None where that needed no raising."""
    header = read_onnx_header(path)
    assert header is not None
    return with_output(_loaded(path), output, path.name) if header.opset < _OLDEST else None


def _check_versions(path: Path, header: OnnxHeader) -> None:
    if not header.opset:
        raise ConfigError(f"{path.name} does not say which opset it has; export it again, with opset_version={_OPSET}.")
    engine, package = engine_limits(), onnx_limits()
    newest = f"{_words(engine)}, {_words(package)}"
    if header.opset > min(engine.opset, package.opset):
        raise ConfigError(
            f"{path.name} has opset {header.opset}{released_with(header.opset)}, newer than what is installed reads "
            f"({newest}). Export it with opset_version={_OPSET}, or install a newer onnxruntime and onnx."
        )
    if header.ir_version > min(engine.ir_version, package.ir_version):
        raise ConfigError(
            f"{path.name} has IR version {header.ir_version}, newer than what is installed reads ({newest}). Save it "
            f"with model.ir_version = {engine.ir_version}, or install a newer onnxruntime and onnx."
        )


def _words(limits: Limits) -> str:
    return f"{limits.package}: opset up to {limits.opset}, IR version up to {limits.ir_version}"


def _check_weights(path: Path, header: OnnxHeader) -> None:
    """Files beside it are there, and all together fit into one message."""
    total = path.stat().st_size
    for name in header.external:
        file = path.parent / name
        kind = kind_of(file)
        if kind.key in ("missing", "folder", "special", "unreadable", "empty", "lfs"):
            raise ConfigError(
                f"{path.name} keeps its weights in {name}, which is {kind.words}: copy both files into one folder"
            )
        total += file.stat().st_size
    if total > _LARGEST_BYTES:
        raise ConfigError(
            f"{path.name} has {total / 1e9:.1f} GB; files of up to 2 GB are examined. Give a smaller network."
        )


def _loaded(path: Path) -> onnx.ModelProto:
    try:
        # Not held against onnx's checker: it refuses what the engine runs, such as an output without a shape.
        return onnx.load(path)
    except Exception as err:  # decoding foreign bytes fails in many ways
        raise ConfigError(f"{path} is no valid ONNX file ({condensed(err)}); export it again.") from err


def precision_of(model: onnx.ModelProto) -> Precision:
    """The precision of most of a graph's arithmetic."""
    if _integers(model):
        return "int8"
    return "fp16" if _halves(model) else "fp32"


def _check_operators(path: Path, model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    nodes = model.graph.node
    strange = Counter(f"{node.domain}:{node.op_type}" for node in nodes if node.domain not in _ENGINE_DOMAINS | own)
    if strange:
        found = ", ".join(f"{name} ({count} nodes)" for name, count in sorted(strange.items()))
        raise ConfigError(
            f"{path.name} uses operators that ONNX Runtime does not have: {found}. Export it with operators of ONNX "
            "alone, or cut them off at the end with --output TENSOR."
        )


def _check_float(path: Path, model: onnx.ModelProto) -> None:
    if integers := _integers(model):
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(integers.items()))
        raise ConfigError(f"{path.name} is quantised already ({found}); give the float file it was made from.")
    if halves := _halves(model):
        raise ConfigError(
            f"{path.name} has {halves} weights in 16-bit floats; quantising starts from float32. Give the float32 file "
            "it was made from."
        )


def _integers(model: onnx.ModelProto) -> Counter[str]:
    """Operators of quantised graphs."""
    kinds = (str(node.op_type) for node in model.graph.node)
    return Counter(kind for kind in kinds if kind in _INTEGER_OPS or kind.startswith(("QLinear", "QGemm")))


def _halves(model: onnx.ModelProto) -> int:
    return sum(one.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16) for one in model.graph.initializer)


def _raised(path: Path, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        raised = version_converter.convert_version(model, _OPSET)
    except Exception as err:
        raise ConfigError(
            f"{path.name} has opset {opset}, INT8 per channel needs {_OLDEST}, and raising it failed "
            f"({condensed(err)}). Export it with opset_version={_OPSET}."
        ) from err
    if opset < _RESIZE:
        _resize_as_before(raised)
    return raised


def _resize_as_before(model: onnx.ModelProto) -> None:
    """Upsample, and Resize of opset 10, know one way only; the converter (onnx 1.22) leaves it to today's default."""
    for node in model.graph.node:
        if node.op_type == "Resize":
            given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            wanted = {"coordinate_transformation_mode": "asymmetric"}
            if given.get("mode", b"nearest") == b"nearest":
                wanted["nearest_mode"] = "floor"
            node.attribute.extend(helper.make_attribute(*one) for one in wanted.items() if one[0] not in given)
