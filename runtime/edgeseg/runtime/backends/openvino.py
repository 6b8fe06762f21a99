"""OpenVINO on the CPU."""

from __future__ import annotations

import functools
import io
import os
from typing import Any

import numpy as np
import openvino as ov

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.frame.padding import round_up


@functools.cache
def _core() -> tuple[Any, int]:
    """The one engine of the process, kept to its end, and the process that has made it.

    With the last engine its CPU plugin would go, and with it the signal stack that it has set up for the thread that
    opened it. Where another thread closes, that one is left with a stack that is gone: its next signal, such as
    Ctrl-C, would end the process.
    """
    return ov.Core(), os.getpid()


def _engine() -> Any:
    """The engine of this process; one that was made before a fork has lost its threads, and would wait for ever."""
    core, pid = _core()
    if pid != os.getpid():
        raise BackendError(
            f"OpenVINO has run in process {pid}, of which this one is a fork without its threads. Start processes with "
            "multiprocessing's 'spawn', open the first model after the fork, or use another variant."
        )
    return core


class OpenVinoBackend(Backend):
    """An ONNX file compiled for the CPU: one stream, so that threads work inside one inference.

    A file of free size is compiled for the one size that its geometry makes of every frame (7 % faster in FP32, 19 % in
    INT8, where it was measured); for any other shape it is compiled as it is, when the first such tensor comes.
    """

    def _open(self, content: bytes) -> None:
        self.engine = f"openvino {ov.__version__.partition('-')[0]}"
        try:
            # As a stream: bytes alone would do as the name of a file, too.
            model = _engine().read_model(io.BytesIO(content))
            self._check_tensors(model)
            self._model, self._free = model, None
            self._usual_shape = self._shape_of_every_frame() if model.inputs[0].partial_shape.is_dynamic else None
            if self._usual_shape is not None:
                model = model.clone()
                model.reshape(list(self._usual_shape))
            self._usual: Any = self._compiled(model)
        except RuntimeError as err:
            raise BackendError(f"{self.engine} refused the model: {condensed(err)}. Export it again.") from err

    def _shape_of_every_frame(self) -> tuple[int, ...] | None:
        """(1, H, W, C) where the geometry says it, else None."""
        spec, geometry = self.spec.input, self.spec.input.geometry
        size = (geometry.tile_px,) * 2 if geometry.mode == "tile" else (geometry.height_px, geometry.width_px)
        sides = [round_up(side, spec.stride_px) for side in size if side is not None]
        return (1, *sides, spec.channels) if len(sides) == 2 else None

    def _compiled(self, model: Any) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.threads,
            # Else float layers run in bfloat16 where the processor has it: other masks than the file was accepted for.
            "INFERENCE_PRECISION_HINT": "f32",
            # Several models in one process would be bound to the same cores, and the caller's thread with them.
            "ENABLE_CPU_PINNING": False,
        }
        return _engine().compile_model(model, "CPU", settings).create_infer_request()

    def _request(self, shape: tuple[int, ...]) -> Any:
        if self._usual_shape in (None, shape):
            return self._usual
        self._free = self._free or self._compiled(self._model)
        return self._free

    def _infer(self, tensor: np.ndarray) -> np.ndarray:
        try:
            # The input is read where it lies; the output is copied, so the caller owns the array.
            output: np.ndarray = self._request(tensor.shape).infer([np.ascontiguousarray(tensor)], share_inputs=True)[0]
        except RuntimeError as err:
            raise BackendError(
                f"{self.engine} failed on an input of shape {tensor.shape}: {condensed(err)}. "
                "If memory ran out, use geometry 'tile' or a smaller frame."
            ) from err
        return output

    def _close(self) -> None:
        self._usual = self._free = self._model = None

    def _check_tensors(self, model: Any) -> None:
        if not model.outputs:  # what the engine before 2025 makes of bytes that are no model
            raise BackendError(f"{self.engine} refused the model: there is no network in it. Export it again.")
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            found = f"The ONNX file has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
            raise BackendError(f"{found}, one of each is needed. Export it with edgeseg.")
        for port, expected in ((model.inputs[0], self.spec.input_dtype), (model.outputs[0], self.spec.output.dtype)):
            found = np.dtype(port.get_element_type().to_dtype()).name
            if found != expected:
                raise BackendError(
                    f"Tensor {port.any_name!r} of the ONNX file is {found}, its spec says {expected}. "
                    "The spec belongs to another file: export both again."
                )
