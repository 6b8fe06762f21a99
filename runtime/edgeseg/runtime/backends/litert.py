"""LiteRT (TensorFlow Lite) on the CPU, by whichever of its interpreters is installed."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.frame.blank import usual_size
from edgeseg.runtime.frame.padding import round_up
from edgeseg.runtime.out_of_memory import available_mib
from edgeseg.runtime.spec.input_spec import InputSpec

# (module with the class Interpreter, distribution it comes in), the preferred first.
_INTERPRETERS = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),  # `tensorflow.lite` has it only once tensorflow is imported
)


class LiteRtBackend(Backend):
    """A .tflite file in a LiteRT interpreter, with its XNNPACK delegate where the build has one."""

    def _open(self, content: bytes) -> None:
        interpreter_class, self.engine = import_interpreter()
        # Of the input the interpreter is set up for; None while it is being set up for another.
        self._shape: tuple[int, ...] | None = None
        try:
            interpreter = interpreter_class(model_content=content, num_threads=self.threads)
            self._check_tensors(interpreter)
            _check_memory(interpreter)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            message = condensed(err)
            raise BackendError(f"{self.engine} refused the model: {message}. {self._remedy(message)}") from err
        self._interpreter: Any = interpreter
        self._input_index = interpreter.get_input_details()[0]["index"]
        self._output_index = interpreter.get_output_details()[0]["index"]
        self._shape = tuple(int(size) for size in interpreter.get_input_details()[0]["shape"])

    def _infer(self, tensor: np.ndarray) -> np.ndarray:
        interpreter = self._interpreter
        try:
            self._fit(interpreter, tensor.shape)
            interpreter.set_tensor(self._input_index, np.ascontiguousarray(tensor))
            interpreter.invoke()
            # get_tensor copies, so the caller owns the array; tensor() would hand out the engine's buffer.
            output: np.ndarray = interpreter.get_tensor(self._output_index)
        except (ValueError, RuntimeError) as err:
            raise BackendError(
                f"{self.engine} failed on an input of shape {tensor.shape}: {condensed(err)}. "
                "If memory ran out, use geometry 'tile' or a smaller frame."
            ) from err
        return output

    def _close(self) -> None:
        self._interpreter = None

    def _fit(self, interpreter: Any, shape: tuple[int, ...]) -> None:
        if shape == self._shape:
            return
        if not self.spec.dynamic:
            found = f"This model takes the shape {self._shape} only, found {shape}"
            raise BackendError(f"{found}. Use geometry 'resize' or 'tile', or a variant with a free size.")
        self._shape = None
        interpreter.resize_tensor_input(self._input_index, shape)
        interpreter.allocate_tensors()
        self._shape = shape

    def _remedy(self, message: str) -> str:
        if "newer model" in message or "schema version" in message:
            package = self.engine.partition(" ")[0]
            return f"The file is newer than this {package}: run pip install -U {package}, or choose another variant."
        return "Export it again."

    def _check_tensors(self, interpreter: Any) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"The .tflite file has {len(inputs)} inputs and {len(outputs)} outputs, one of each is needed"
            raise BackendError(f"{found}. Export it with edgeseg.")
        for tensor, expected in ((inputs[0], self.spec.input_dtype), (outputs[0], self.spec.output.dtype)):
            dtype = np.dtype(tensor["dtype"]).name
            if dtype != expected:
                found = f"Tensor {tensor['name']!r} of the .tflite file is {dtype}, its spec says {expected}"
                raise BackendError(f"{found}. The spec belongs to another file: export both again.")
        taken, wanted = tuple(int(size) for size in inputs[0]["shape"]), _fixed_shape(self.spec.input)
        if not self.spec.dynamic and taken != wanted:
            found = f"The .tflite file takes the shape {taken}, its spec says {wanted}"
            raise BackendError(f"{found}. The spec belongs to another file: export both again.")


def _check_memory(interpreter: Any) -> None:
    """A few damaged bytes may ask for a tensor of any size: nobody is to be ended by the kernel for that."""
    sizes = {
        tensor["name"]: math.prod(int(side) for side in tensor["shape"]) * np.dtype(tensor["dtype"]).itemsize
        for tensor in interpreter.get_tensor_details()
    }
    name = max(sizes, key=sizes.__getitem__, default="")
    needed_mib, free_mib = sizes.get(name, 0) >> 20, available_mib()
    if free_mib is not None and needed_mib > free_mib:
        found = f"Tensor {name!r} of the .tflite file takes {needed_mib} MiB, and {free_mib} MiB are free"
        raise BackendError(f"{found}. Export it again if it is damaged, or free memory.")


def _fixed_shape(spec: InputSpec) -> tuple[int, int, int, int]:
    """The input (N, H, W, C) of a file of fixed size."""
    height, width = (round_up(side, spec.stride_px) for side in usual_size(spec))
    return 1, height, width, spec.channels


def import_interpreter() -> tuple[Any, str]:
    """Return the interpreter class of the best LiteRT that is installed, and its name and version.

    Raises:
        BackendError: If there is none.
    """
    failures: list[str] = []
    for module, distribution in _INTERPRETERS:
        try:
            interpreter_class = importlib.import_module(module).Interpreter
        except (ImportError, AttributeError) as err:
            failures.append(f"{distribution}: {err}")
            continue
        return interpreter_class, f"{distribution} {_version(distribution)}"
    reasons = "; ".join(failures)
    raise BackendError(f"No LiteRT interpreter can be imported ({reasons}). Run: pip install 'edgeseg[litert]'")


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # brings much that nothing else here needs

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(version unknown)"
