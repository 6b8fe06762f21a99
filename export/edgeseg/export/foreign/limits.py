"""What the installed packages read: they are asked, since no table of ours would stay true."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

_OLD_IR, _OLD_OPSET = 8, 17


@dataclass(frozen=True)
class Limits:
    """The newest IR version and opset that a package reads."""

    package: str
    ir_version: int
    opset: int


@functools.cache
def engine_limits() -> Limits:
    """What ONNX Runtime opens, found by opening graphs of one node."""
    newest_ir, newest_opset = int(onnx.IR_VERSION), int(onnx.defs.onnx_opset_version())
    ir_version = next((ir for ir in range(newest_ir, _OLD_IR, -1) if _opens(ir, _OLD_OPSET)), _OLD_IR)
    opset = next((one for one in range(newest_opset, _OLD_OPSET, -1) if _opens(_OLD_IR, one)), _OLD_OPSET)
    return Limits(f"onnxruntime {ort.__version__}", ir_version, opset)


def onnx_limits() -> Limits:
    """What the package onnx checks and converts."""
    return Limits(f"onnx {onnx.__version__}", int(onnx.IR_VERSION), int(onnx.defs.onnx_opset_version()))


def released_with(opset: int) -> str:
    """Such as ` (opset 25 came with onnx 1.20.0)`, or "" where the installed onnx does not know."""
    rows = [row for row in helper.VERSION_TABLE if row[2] == opset]
    return f" (opset {opset} came with onnx {rows[0][0]})" if rows else ""


def _opens(ir_version: int, opset: int) -> bool:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True
