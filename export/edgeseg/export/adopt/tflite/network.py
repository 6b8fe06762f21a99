"""A foreign TensorFlow Lite file, opened: its graph in ONNX's words, and its tensors for an image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from edgeseg.export.adopt.tflite.edit import Edit
from edgeseg.export.adopt.tflite.words import graph_of, scale_of
from edgeseg.export.muted import muted
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.backends.litert import import_interpreter
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.spec.model_spec import Precision

_INTEGERS = {schema.TensorType.INT8, schema.TensorType.UINT8}


class TfliteNetwork:
    """A file whose tensors have names of their own.

    Args:
        path: The file.

    Raises:
        ConfigError: If it cannot be read.

    Attributes:
        model: Its object tree (`ModelT`).
        graph: Its main graph in ONNX's words.
    """

    def __init__(self, path: Path) -> None:
        if (kind := kind_of(path)).key != "tflite":
            raise ConfigError(refusal(path, "a TensorFlow Lite file", kind))
        try:
            self.model = flatbuffer.read(path.read_bytes())
            tensors = self.model.subgraphs[0].tensors
            named = [tensor.name.decode("utf-8", "replace") if tensor.name else "" for tensor in tensors]
            taken = Counter(named)
            self.names = [name if name and taken[name] == 1 else f"{name}#{i}" for i, name in enumerate(named)]
            self.graph: onnx.ModelProto = graph_of(self.model, self.names)
        except Exception as err:  # decoding foreign bytes fails in many ways
            raise ConfigError(f"{path} is no valid TensorFlow Lite file ({condensed(err)}); convert it again.") from err
        self._opened: dict[tuple[Any, ...], Any] = {}

    def index(self, name: str) -> int:
        """Number of a tensor."""
        return self.names.index(name)

    def tensor(self, name: str) -> Any:
        """A tensor (`TensorT`)."""
        return self.model.subgraphs[0].tensors[self.index(name)]

    @property
    def precision(self) -> Precision:
        """The precision of its kernels, and of what they are multiplied with."""
        graph = self.model.subgraphs[0]
        kinds = set()  # (type of the activation, of the kernel)
        for operator in graph.operators:
            its = flatbuffer.KERNELS.get(flatbuffer.operator_name(self.model, operator))
            if its is not None:
                kinds.add(tuple(graph.tensors[int(operator.inputs[slot])].type for slot in its[:2]))
        activations = {activation for activation, kernel in kinds if kernel in _INTEGERS}
        if activations & _INTEGERS:
            return "int8"
        if activations:
            return "int16x8" if schema.TensorType.INT16 in activations else "dynamic"
        halves = any(tensor.type == schema.TensorType.FLOAT16 for tensor in graph.tensors)
        return "fp16" if halves else "fp32"

    def run(self, feed: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
        """Tensors by name for an image; integers that stand for real values come and go as those.

        Raises:
            Exception: The engine's own, where it refuses the file or the shape.
        """
        ((name, image),) = feed.items()
        interpreter = self._open(name, image.shape, tuple(names))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], self._stored(name, image))
        interpreter.invoke()
        found = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
        return {one: self._real(one, value) for one, value in zip(names, found, strict=True)}

    def _open(self, name: str, shape: tuple[int, ...], names: tuple[str, ...]) -> Any:
        key = (name, shape, names)
        if key not in self._opened:
            shown, outputs = Edit.of(self.model), [self.index(one) for one in names]
            shown.keep(*outputs)
            shown.graph.outputs = outputs
            interpreter_class, _ = import_interpreter()
            with muted():
                interpreter = interpreter_class(model_content=flatbuffer.write(shown.model), num_threads=1)
                found = interpreter.get_input_details()[0]
                if tuple(found["shape"]) != shape:
                    interpreter.resize_tensor_input(found["index"], shape)
                interpreter.allocate_tensors()
            self._opened = {key: interpreter}  # the last one: graphs in full take memory
        return self._opened[key]

    def _stored(self, name: str, image: np.ndarray) -> np.ndarray:
        tensor = self.tensor(name)
        affine = scale_of(tensor)
        if affine is None or tensor.type not in _INTEGERS:
            return image
        dtype = np.int8 if tensor.type == schema.TensorType.INT8 else np.uint8
        return quantised(image, affine, dtype)

    def _real(self, name: str, values: np.ndarray) -> np.ndarray:
        affine = scale_of(self.tensor(name))
        if affine is None or values.dtype.kind not in "iu":
            return values
        return ((values.astype(np.float32) - affine[1]) * np.float32(affine[0])).astype(np.float32)


def strange_operators(model: Any) -> tuple[str, ...]:
    """Operators of a graph (`ModelT`) that are not TensorFlow Lite's own."""
    codes = (model.operatorCodes[operator.opcodeIndex].customCode for operator in model.subgraphs[0].operators)
    return tuple(sorted({code.decode() for code in codes if code}))


def quantised(values: np.ndarray, affine: tuple[float, int], dtype: Any) -> np.ndarray:
    """Real values as integers: nearest, at the ends of the range where they lie beyond; `dtype` is numpy's."""
    scale, zero = affine
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.round(values / np.float32(scale)) + zero, limits.min, limits.max), dtype)
