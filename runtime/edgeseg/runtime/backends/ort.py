"""ONNX Runtime on the CPU."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnxruntime as ort

from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.processor import VNNI, cpu_flags

_NUMPY_NAMES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


# Without VNNI the 16-bit sums of unsigned times signed bytes saturate on x86; with this they are computed exactly.
# Whether the processor needs it is not left to ONNX Runtime (1.31): with VNNI and no AMX it goes the exact way all the
# same, and the same answers take two and a half times as long.
_EXACT = "session.x64quantprecision"

_INEXACT = (
    "{file} is computed inexactly here: its kernels share a zero point or are shared themselves, so that ONNX Runtime "
    "cannot take the exact way that a processor without VNNI needs; sums of unsigned times signed bytes may saturate, "
    "and masks may differ. Give each kernel a zero point of its own, as edgeseg adopt does, or use the float file."
)

# Otherwise a file that is refused is opened a second time, and that is printed among the user's results.
_ONCE = {"enable_fallback": 0}


def session_options(threads: int) -> ort.SessionOptions:
    """Threads work inside one operator; warnings of the optimiser are not the user's to act on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return options


def open_session(model: bytes | str, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open a model on the CPU, so that an INT8 file has the same answers on every processor.

    A file whose weights share a zero point, as those of bundles packed before 2026-11-28, cannot be opened exactly
    where that needs other weights: it is opened as it is, with a RuntimeWarning; variants of such bundles say that they
    `need` VNNI.

    Args:
        model: The file's content, or its path so that weights beside it are found.
        options: Of the session.

    Raises:
        Exception: ONNX Runtime's own, which share no base class, where it refuses the file.
    """
    providers = ["CPUExecutionProvider"]
    options.add_session_config_entry(_EXACT, "0" if cpu_flags() & VNNI else "1")
    try:
        return ort.InferenceSession(model, options, providers=providers, **_ONCE)
    except Exception as err:
        if "AddInitializer" not in str(err):  # its words differ between versions, the place where it fails does not
            raise
    warnings.warn(_INEXACT.format(file=model if isinstance(model, str) else "The file"), RuntimeWarning, stacklevel=2)
    options.add_session_config_entry(_EXACT, "0")
    return ort.InferenceSession(model, options, providers=providers, **_ONCE)


class OrtBackend(Backend):
    """An ONNX file in an ONNX Runtime session, CPU execution provider; threads work inside one operator."""

    def _open(self, content: bytes) -> None:
        self.engine = f"onnxruntime {ort.__version__}"
        try:
            session = open_session(content, session_options(self.threads))
        except Exception as err:  # The runtime's exceptions share no base class but Exception.
            message = condensed(err)
            raise BackendError(f"{self.engine} refused the model: {message}. {_remedy(message)}") from err
        self._check_tensors(session)
        self._session: Any = session
        self._input_name = session.get_inputs()[0].name

    def _infer(self, tensor: np.ndarray) -> np.ndarray:
        try:
            output: np.ndarray = self._session.run(None, {self._input_name: tensor})[0]
        except Exception as err:  # See _open.
            raise BackendError(
                f"{self.engine} failed on an input of shape {tensor.shape}: {condensed(err)}. "
                "If memory ran out, use geometry 'tile' or a smaller frame."
            ) from err
        return output

    def _close(self) -> None:
        self._session = None

    def _check_tensors(self, session: ort.InferenceSession) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"The ONNX file has {len(inputs)} inputs and {len(outputs)} outputs, one of each is needed"
            raise BackendError(f"{found}. Export it with edgeseg.")
        for tensor, expected in ((inputs[0], self.spec.input_dtype), (outputs[0], self.spec.output.dtype)):
            if _NUMPY_NAMES.get(tensor.type) != expected:
                found = f"Tensor {tensor.name!r} of the ONNX file is {tensor.type}, its spec says {expected}"
                raise BackendError(f"{found}. The spec belongs to another file: export both again.")


def _remedy(message: str) -> str:
    if "IR version" in message or "opset" in message.lower():
        return f"The file is newer than onnxruntime {ort.__version__}: run pip install -U onnxruntime"
    return "Export it again."
