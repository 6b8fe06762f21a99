"""What every backend has in common: opening checks, the checks around one inference, closing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from edgeseg.runtime.cores import MOST_THREADS, default_threads
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import BackendError, FrameError
from edgeseg.runtime.files.onnx_header import weights_elsewhere
from edgeseg.runtime.ownership import Owned
from edgeseg.runtime.spec.manifest import ModelSpec


class Backend(Owned, ABC):
    """One model file in one engine, ready to run.

    A backend writes `_open`, `_infer` and `_close`. Shared between threads it runs one inference at a time; open one
    per thread to run several. It belongs to the process that opened it.

    Args:
        model: Path or content of the file.
        spec: Its description.
        threads: Threads the engine may use; None takes `default_threads()`.

    Raises:
        BackendError: If the engine refuses the file, its tensors are not those of the spec, or weights of it are in
            another file.

    Attributes:
        spec: Description of the file.
        threads: Threads the engine was given.
        engine: Name and version of what really runs, e.g. `onnxruntime 1.20.1`.
    """

    engine: str

    def __init__(self, model: Path | bytes, spec: ModelSpec, threads: int | None = None) -> None:
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            found = f"threads must be at least 1 and at most {MOST_THREADS}, found {threads}"
            raise BackendError(f"{found}. Pass None for the default.")
        super().__init__()
        self.spec = spec
        self.threads = threads or default_threads()
        self._running = False
        content = _read(model)
        if ".onnx" in ENGINES[spec.backend].suffixes and (outside := weights_elsewhere(content)):
            # An engine would take them from wherever it is started, whatever stands there.
            found = f"The model keeps weights in another file ({outside[0]}), which its own hash does not cover"
            raise BackendError(f"{found}. Save it as one file: onnx.save(onnx.load('model.onnx'), 'one.onnx').")
        try:
            self._open(content)
        except MemoryError as err:
            raise BackendError(f"Memory ran out while a model of {len(content)} bytes was opened.") from err

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Run the network once.

        Args:
            tensor: (N, H, W, C) of the spec's `input_dtype`, H and W multiples of the input stride.

        Returns:
            The engine's output in the spec's layout and dtype: an array of the caller's own.

        Raises:
            FrameError: If the tensor does not fit the spec.
            BackendError: If the engine fails or returns NaN, infinity or another type than the spec says, after
                `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            self._check_input(tensor)
            output = self._run(tensor)
        if output.dtype != self.spec.output.dtype:
            found = f"The model returned {output.dtype} where its spec says {self.spec.output.dtype}"
            raise BackendError(f"{found}. The spec belongs to another file: export both again.")
        if not _all_finite(output):
            # Infinity becomes NaN where it is enlarged, and every comparison with NaN is false, so that both would
            # read as background: as a part without a fault.
            found = f"The model returned NaN or infinity in {self.engine}, as an FP16 file does that overflows"
            raise BackendError(f"{found}. Use another variant, or export it again; nothing is known of this frame.")
        return output

    @abstractmethod
    def _open(self, content: bytes) -> None:
        """Load the file into the engine, check its tensors and set `engine`."""

    @abstractmethod
    def _infer(self, tensor: np.ndarray) -> np.ndarray:
        """Run the engine on a checked tensor."""

    @abstractmethod
    def _close(self) -> None:
        """Free the engine; a second call does nothing."""

    def _run(self, tensor: np.ndarray) -> np.ndarray:
        if self._running:  # the turn is re-entrant, the engine is not: its input would be another one's
            raise BackendError("Called again from within its own inference, as a signal handler may. Call it after.")
        self._running = True
        try:
            return self._infer(tensor)
        except MemoryError as err:
            raise BackendError(
                f"Memory ran out in {self.engine} on an input of shape {tensor.shape}. "
                "Use geometry 'tile' or a smaller frame."
            ) from err
        finally:
            self._running = False

    def _check_input(self, tensor: np.ndarray) -> None:
        spec = self.spec
        if tensor.dtype != spec.input_dtype:
            raise FrameError(f"The model takes {spec.input_dtype}, found {tensor.dtype}. Use Segmenter.prepare.")
        if tensor.ndim != 4 or tensor.shape[3] != spec.input.channels or tensor.size == 0:
            found = f"The model takes (N, H, W, {spec.input.channels}), found {tensor.shape}"
            raise FrameError(f"{found}. Use Segmenter.prepare.")
        stride = spec.input.stride_px
        if tensor.shape[1] % stride or tensor.shape[2] % stride:
            height, width = (-(-size // stride) * stride for size in tensor.shape[1:3])
            found = f"Height and width must be multiples of {stride} px, found {tensor.shape[1]}x{tensor.shape[2]}"
            raise FrameError(f"{found}. Pad to {height}x{width}, or use Segmenter.prepare.")


def _all_finite(output: np.ndarray) -> bool:
    """Least and greatest value tell, NaN being both where there is one; nothing of the array's size is made for it."""
    if output.dtype.kind != "f" or not output.size:
        return True
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(output.min()) and np.isfinite(output.max()))


def _read(model: Path | bytes) -> bytes:
    if isinstance(model, bytes):
        content, name = model, "model"
    else:
        name = f"model file {model}"
        try:
            content = model.read_bytes()
        except OSError as err:
            raise BackendError(f"Cannot read the {name}: {err.strerror}. Check the path.") from err
    if not content:
        raise BackendError(f"The {name} is empty (0 bytes). Copy or export it again.")
    return content
