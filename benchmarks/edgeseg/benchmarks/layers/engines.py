"""Layer files opened in an engine as bare calls: any number of tensors, nothing copied in or out.

The runtime's backends copy their one result out of the engine, as a user needs it; between two layers of a network
nothing is copied, so a layer is not timed through them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.errors import BackendError

Call = Callable[[], None]
_NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(float)": np.float32,
}


def open_engine(backend: str, threads: int) -> Callable[[Path], Call]:
    """Prepares an engine.

    Args:
        backend: Name of the engine.
        threads: Threads of one call.

    Returns:
        Opens a file, and returns what computes it once.

    Raises:
        BackendError: The engine is missing, or there is no such one.
    """
    if backend not in _OPENERS:
        raise BackendError(f"layers are timed in {', '.join(_OPENERS)}, found backend {backend!r}.")
    return _OPENERS[backend](threads)


def _onnxruntime(threads: int) -> Callable[[Path], Call]:
    try:
        import onnxruntime as ort

        from edgeseg.runtime.backends.ort import open_session
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported ({error}). Run: pip install 'edgeseg[ort]'") from error
    if not hasattr(ort, "set_global_thread_pool_sizes"):
        found = f"Layers are timed in onnxruntime 1.23 or newer, found {ort.__version__}"
        raise BackendError(f"{found}. Run: pip install -U onnxruntime")
    # One pool for all files. Each session's own would go on spinning into the next one's turn.
    ort.set_global_thread_pool_sizes(threads, 1)

    def open_file(path: Path) -> Call:
        options = ort.SessionOptions()
        options.use_per_session_threads = False
        options.log_severity_level = 3
        session = open_session(str(path), options)
        binding = session.io_binding()
        for put, tensors in (
            (binding.bind_ortvalue_input, session.get_inputs()),
            (binding.bind_ortvalue_output, session.get_outputs()),
        ):
            for tensor in tensors:
                array = np.ones(tensor.shape, _NUMPY_TYPES[tensor.type])
                put(tensor.name, ort.OrtValue.ortvalue_from_numpy(array))
        return lambda: session.run_with_iobinding(binding)

    return open_file


def _litert(threads: int) -> Callable[[Path], Call]:
    from edgeseg.runtime.backends.litert import import_interpreter

    interpreter_class, _engine = import_interpreter()

    def open_file(path: Path) -> Call:
        interpreter: Any = interpreter_class(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], np.ones(tensor["shape"], tensor["dtype"]))
        call: Call = interpreter.invoke
        return call

    return open_file


def _openvino(threads: int) -> Callable[[Path], Call]:
    try:
        import openvino as ov
    except ImportError as error:
        raise BackendError(f"openvino cannot be imported ({error}). Run: pip install 'edgeseg[openvino]'") from error
    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    settings |= {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}  # as the runtime's backend
    core = ov.Core()

    def open_file(path: Path) -> Call:
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
        request = compiled.create_infer_request()
        for index, port in enumerate(compiled.inputs):
            array = np.ones(tuple(port.shape), port.get_element_type().to_dtype())
            request.set_input_tensor(index, ov.Tensor(array))
        return lambda: request.infer(share_outputs=True)

    return open_file


_OPENERS = {"onnxruntime": _onnxruntime, "litert": _litert, "openvino": _openvino}
