"""TensorRT on an NVIDIA GPU: an engine file, built for this GPU, this TensorRT and this driver.

Never run on hardware by its makers: names are held against the API of TensorRT 10.3 to 11.4 and for RTX 1.7.
"""

from __future__ import annotations

from ctypes import c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.trt.built_engine import check_record
from edgeseg.runtime.trt.cuda import Buffer, Cuda
from edgeseg.runtime.trt.gpu import ABSENT, find_gpu
from edgeseg.runtime.trt.module import import_tensorrt, logger_of

_NUMPY_NAMES = {"FLOAT": "float32", "UINT8": "uint8", "INT8": "int8"}  # of `DataType`, whose numbers differ by version
# TensorRT opens an engine of another model of GPU with this warning alone.
_OTHER_MODEL = "across different models of devices"
_BUILD = "Build it on this machine: edgeseg build BUNDLE --variant trt-int8"


class TrtBackend(Backend):
    """An engine of `tensorrt` or TensorRT for RTX; `threads` has no meaning on a GPU.

    Buffers are made for a shape when it first comes. Where the engine has one shape, copies and kernels are one CUDA
    graph. A batch larger than the engine takes goes through it in parts.
    """

    def __init__(self, model: Path | bytes, spec: ModelSpec, threads: int | None = None) -> None:
        self._file = model if isinstance(model, Path) else None  # the builder's record lies beside it
        super().__init__(model, spec, threads)

    def _open(self, content: bytes) -> None:
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._cuda: Cuda | None = None
        self._shape: tuple[int, ...] | None = None  # that the buffers fit; None while they are being made
        self._buffers: list[Buffer] = []  # of the input and the output
        self._graph: c_void_p | None = None
        gpu = find_gpu()
        if gpu is None:
            raise BackendError(f"Cannot run an engine of {self.spec.backend}: {ABSENT}. Choose another variant.")
        module = import_tensorrt(self.spec.backend)
        self.engine = f"{self.spec.backend} {module.__version__}"
        if self._file is not None:
            check_record(self._file, content, self.spec.backend, str(module.__version__), gpu)
        _, self._said = logger_of(module)
        try:
            self._prepare(module, content)
        except BaseException:
            self._close()
            raise

    def _prepare(self, module: Any, content: bytes) -> None:
        self._cuda = Cuda()
        self._runtime, engine = deserialize(module, content)
        self._input, self._output = self._tensors(module, engine)
        shape = tuple(engine.get_tensor_shape(self._input))
        self._one_shape = -1 not in shape
        shapes = [shape] if self._one_shape else engine.get_tensor_profile_shape(self._input, 0)
        smallest, largest = tuple(shapes[0]), tuple(shapes[-1])
        self._one_shape = smallest == largest
        self._takes = f"{smallest} to {largest}"
        self._largest_batch = int(largest[0])
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise BackendError(f"{self.engine} cannot prepare the engine to run: {self._words()}. {_BUILD}")

    def _infer(self, tensor: np.ndarray) -> np.ndarray:
        step = self._largest_batch
        if len(tensor) <= step:
            return self._run_once(tensor)
        return np.concatenate([self._run_once(tensor[index : index + step]) for index in range(0, len(tensor), step)])

    def _close(self) -> None:
        if self._cuda is None:
            return
        self._cuda.use()
        self._free_buffers()
        # In this order: each lives in the one after it.
        self._context = self._engine = self._runtime = None
        self._cuda.close()
        self._cuda = None

    def _run_once(self, tensor: np.ndarray) -> np.ndarray:
        assert self._cuda is not None
        self._cuda.use()
        source, result = self._fitted(tensor.shape)
        np.copyto(source.host, tensor)
        if self._graph is not None:
            self._cuda.launch(self._graph)
        else:
            self._queue()
        self._cuda.wait()
        if self._graph is None and self._one_shape:
            # After a first run, as TensorRT asks for: it settles what depends on the shape there.
            self._capture()
        return result.host.copy()  # the next inference writes into this buffer

    def _capture(self) -> None:
        assert self._cuda is not None
        try:
            self._graph = self._cuda.capture(self._queue)
        except BackendError:  # not every engine can be captured; without, each call queues its kernels anew
            self._one_shape = False

    def _queue(self) -> None:
        """Put copies and kernels into the stream."""
        assert self._cuda is not None
        source, result = self._buffers
        source.to_device()
        if not self._context.execute_async_v3(self._cuda.stream.value):
            raise BackendError(f"{self.engine} failed on an input of shape {source.host.shape}: {self._words()}.")
        result.to_host()

    def _fitted(self, shape: tuple[int, ...]) -> list[Buffer]:
        """Buffers for an input of this shape; those of the last are kept."""
        assert self._cuda is not None
        if self._shape == shape:
            return self._buffers
        self._free_buffers()
        context = self._context
        if not context.set_input_shape(self._input, shape):
            found = f"The engine takes inputs of {self._takes}, found {shape}"
            raise BackendError(f"{found}. Build one with --size, or use geometry 'tile' or 'resize'.")
        self._buffers.append(Buffer(self._cuda, shape, self.spec.input_dtype))
        made = tuple(context.get_tensor_shape(self._output))
        self._buffers.append(Buffer(self._cuda, made, self.spec.output.dtype))
        for name, buffer in zip((self._input, self._output), self._buffers, strict=True):
            if not context.set_tensor_address(name, buffer.address):
                raise BackendError(f"{self.engine} refuses the memory for {name}: {self._words()}. {_BUILD}")
        self._shape = shape
        return self._buffers

    def _free_buffers(self) -> None:
        assert self._cuda is not None
        if self._graph is not None:
            self._cuda.free_graph(self._graph)
            self._graph = None
        self._shape = None
        while self._buffers:
            self._buffers.pop().free()

    def _tensors(self, module: Any, engine: Any) -> tuple[str, str]:
        """Names of the input and the output, held against the spec."""
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"The engine has {len(inputs)} inputs and {len(outputs)} outputs, one of each is needed"
            raise BackendError(f"{found}. {_BUILD}")
        for name, expected in ((inputs[0], self.spec.input_dtype), (outputs[0], self.spec.output.dtype)):
            kind = engine.get_tensor_dtype(name).name
            if _NUMPY_NAMES.get(kind) != expected:
                found = f"Tensor {name!r} of the engine is {kind}, its spec says {expected}"
                raise BackendError(f"{found}. The spec belongs to another file: build and export both again.")
        return inputs[0], outputs[0]

    def _words(self) -> str:
        said, self._said[:] = "; ".join(self._said), []
        return condensed(said)


def deserialize(module: Any, content: bytes) -> tuple[Any, Any]:
    """Open an engine.

    Args:
        module: A TensorRT.
        content: The engine file.

    Returns:
        Its runtime, which must outlive the engine, and the engine.

    Raises:
        BackendError: If it is no engine, or one for another GPU or another version, in TensorRT's own words.
    """
    name = f"{module.__name__} {module.__version__}"
    logger, said = logger_of(module)
    said.clear()
    try:
        runtime = module.Runtime(logger)
        engine = runtime.deserialize_cuda_engine(content)
    except (RuntimeError, TypeError) as err:  # without a CUDA driver even the runtime is refused
        raise BackendError(f"{name} refused the model: {condensed('; '.join(said) or err)}. {_BUILD}") from err
    other = next((message for message in said if _OTHER_MODEL in message), None)
    if engine is None or other is not None:
        raise BackendError(f"{name} refused the model: {condensed(other or '; '.join(said))}. {_BUILD}")
    return runtime, engine
