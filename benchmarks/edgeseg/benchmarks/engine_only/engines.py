"""A foreign file opened in its engine: the calls that the runtime's backends make, for any inputs and outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeseg.benchmarks.engine_only.tensors import Tensor
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError, MeasureError

# What numpy calls an element type of ONNX Runtime.
_NUMPY_NAMES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OpenFile(Protocol):
    """A file in an engine."""

    engine: str

    def inputs(self) -> tuple[Tensor, ...]:
        """What it takes, as it declares it."""

    def feed(self, values: Sequence[np.ndarray]) -> None:
        """Take values for all inputs, in their order."""

    def run(self) -> list[np.ndarray]:
        """One inference: values handed in, results handed out, as in the stage `infer` of a pipeline."""

    def close(self) -> None:
        """Give the engine back."""


def open_file(path: Path, backend: str, threads: int) -> OpenFile:
    """Open a file.

    Raises:
        BackendError: The engine is missing.
        MeasureError: The engine refuses the file.
    """
    return _OPENERS[backend](path, threads)


def results_hash(results: Sequence[np.ndarray]) -> str:
    """SHA-256 of all results, hexadecimal."""
    digest = hashlib.sha256()
    for result in results:
        digest.update(np.ascontiguousarray(result).tobytes())
    return digest.hexdigest()


class _OnnxFile:
    def __init__(self, path: Path, threads: int) -> None:
        try:
            import onnxruntime as ort

            from edgeseg.runtime.backends.ort import open_session, session_options
        except ImportError as error:
            raise BackendError(f"onnxruntime cannot be imported ({error}). Run: pip install 'edgeseg[ort]'") from error
        self.engine = f"onnxruntime {ort.__version__}"
        try:
            # By its path, so that weights beside it are found.
            self._session: Any = open_session(str(path), session_options(threads))
        except Exception as error:  # the engine's exceptions share no base class
            raise MeasureError(f"{self.engine} refused the file: {condensed(error)}") from error
        self._feed: dict[str, np.ndarray] = {}

    def inputs(self) -> tuple[Tensor, ...]:
        found = self._session.get_inputs()
        return tuple(Tensor(one.name, _NUMPY_NAMES.get(one.type, one.type), _dims(one.shape)) for one in found)

    def feed(self, values: Sequence[np.ndarray]) -> None:
        self._feed = {one.name: value for one, value in zip(self._session.get_inputs(), values, strict=True)}

    def run(self) -> list[np.ndarray]:
        try:
            results: list[np.ndarray] = self._session.run(None, self._feed)
        except Exception as error:
            raise MeasureError(f"{self.engine} failed: {condensed(error)}") from error
        return results

    def close(self) -> None:
        self._session = None


class _TfliteFile:
    def __init__(self, path: Path, threads: int) -> None:
        from edgeseg.runtime.backends.litert import import_interpreter

        interpreter_class, self.engine = import_interpreter()
        try:
            self._interpreter: Any = interpreter_class(model_path=str(path), num_threads=threads)
        except (ValueError, RuntimeError) as error:
            raise MeasureError(f"{self.engine} refused the file: {condensed(error)}") from error
        self._values: list[tuple[int, np.ndarray]] = []
        self._outputs: list[int] = []

    def inputs(self) -> tuple[Tensor, ...]:
        found = self._interpreter.get_input_details()
        return tuple(
            Tensor(str(one["name"]), np.dtype(one["dtype"]).name, _dims(one.get("shape_signature", one["shape"])))
            for one in found
        )

    def feed(self, values: Sequence[np.ndarray]) -> None:
        details = self._interpreter.get_input_details()
        try:
            for one, value in zip(details, values, strict=True):
                if tuple(one["shape"]) != value.shape:
                    self._interpreter.resize_tensor_input(one["index"], value.shape)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise MeasureError(f"{self.engine} cannot take these shapes: {condensed(error)}") from error
        self._values = [(int(one["index"]), value) for one, value in zip(details, values, strict=True)]
        self._outputs = [int(one["index"]) for one in self._interpreter.get_output_details()]

    def run(self) -> list[np.ndarray]:
        try:
            for index, value in self._values:
                self._interpreter.set_tensor(index, value)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._outputs]
        except (ValueError, RuntimeError) as error:
            raise MeasureError(f"{self.engine} failed: {condensed(error)}") from error

    def close(self) -> None:
        self._interpreter = None


_OPENERS: dict[str, Callable[[Path, int], OpenFile]] = {"onnxruntime": _OnnxFile, "litert": _TfliteFile}


def _dims(shape: Sequence[Any]) -> tuple[int | str, ...]:
    """Sizes; what is open keeps its name, or is `?`."""
    return tuple(str(size) if isinstance(size, str) else int(size) if (size or 0) > 0 else "?" for size in shape)
