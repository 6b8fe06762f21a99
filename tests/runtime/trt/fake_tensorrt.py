"""A stand-in for TensorRT's Python module: the tiny model of ../conftest.py, run on the memory of `cuda_stub.c`.

It has recorded names of the real modules only, which test_trt.py checks. An "engine" is JSON: smallest and largest
input, its output's type, a shift of class 1's scores, and what its inspector says of its layers.
"""

from __future__ import annotations

import ctypes
import enum
import json
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

DataType = enum.Enum("DataType", "FLOAT HALF UINT8 INT8")
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
LayerInformationFormat = enum.Enum("LayerInformationFormat", "ONELINE JSON")
_TYPES = {"FLOAT": np.float32, "UINT8": np.uint8}
_HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class IExecutionContext:
    def __init__(self, about: dict[str, Any], driver: ctypes.CDLL) -> None:
        self._about, self._driver = about, driver
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self._kept: list[object] = []

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, high = self._about["min"], self._about["max"]
        fits = name == "image" and all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        self._shape = shape if fits else self._shape
        return fits

    def get_tensor_shape(self, name: str) -> list[int]:
        n, height, width, channels = self._shape
        return [n, height, width, channels] if name == "image" else [n, 3, height // 2, width // 2]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        shape, addresses = self._shape, dict(self._addresses)
        kind = _TYPES[self._about["output"]]

        def work(_: object) -> None:
            image = _at(addresses["image"], shape, np.uint8)[..., 0].astype(np.float32)
            n, height, width = image.shape
            pooled = image.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))
            planes = np.stack([4.25 - 0.05 * pooled, 0 * pooled + self._about.get("shift", 0), 0.05 * pooled - 8.5], 1)
            _at(addresses["scores"], planes.shape, kind)[...] = planes

        function = _HOST_FUNCTION(work)
        self._kept.append(function)
        self._driver.cuLaunchHostFunc.argtypes = (ctypes.c_void_p, _HOST_FUNCTION, ctypes.c_void_p)
        return self._driver.cuLaunchHostFunc(stream_handle, function, None) == 0


class EngineInspector:
    def __init__(self, about: dict[str, Any]) -> None:
        self._about = about

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        assert format is LayerInformationFormat.JSON
        return json.dumps({"Layers": self._about["layers"]})


class ICudaEngine:
    num_io_tensors = 2

    def __init__(self, about: dict[str, Any], driver: ctypes.CDLL) -> None:
        self._about, self._driver = about, driver

    def get_tensor_name(self, index: int) -> str:
        return ("scores", "image")[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "image" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.UINT8 if name == "image" else DataType[self._about["output"]]

    def get_tensor_shape(self, name: str) -> list[int]:
        pairs = zip(self._about["min"], self._about["max"], strict=True)
        return [low if low == high else -1 for low, high in pairs]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert (name, profile_index) == ("image", 0)
        return [self._about["min"], self._about["min"], self._about["max"]]

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self._about)

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self._about, self._driver)


def fake_tensorrt(driver: ctypes.CDLL, version: str = "10.3.0") -> ModuleType:
    """The module, on this driver."""

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            try:
                about = json.loads(serialized_engine)
            except ValueError:
                self._logger.log(ILogger.ERROR, "Error Code 1: Serialization (magic tag does not match)")
                return None
            if "warning" in about:
                self._logger.log(ILogger.WARNING, about["warning"])
            return ICudaEngine(about, driver)

    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    members = (Runtime, ICudaEngine, IExecutionContext, EngineInspector, ILogger, DataType, TensorIOMode)
    members += (LayerInformationFormat,)
    vars(module).update({one.__name__: one for one in members}, __version__=version)
    return module


def _at(address: int, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    n_bytes = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_uint8 * n_bytes).from_address(address), kind).reshape(shape)
