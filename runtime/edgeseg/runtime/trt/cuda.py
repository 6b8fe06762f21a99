"""The little of CUDA that an inference needs: memory, one stream, one graph. Calls the driver's library by ctypes.

The driver's own interface and not the toolkit's runtime library: it is there wherever a GPU works, under one name.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p

import numpy as np

from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.trt.gpu import ABSENT, LIBRARY

_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may use CUDA meanwhile
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING

# A device address is CUdeviceptr, 64 bits; handles are pointers. Without these ctypes would cut both to 32 bits.
_SIGNATURES: dict[str, tuple[object, ...]] = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_uint64),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
}


class Buffer:
    """Memory on the device and its pinned twin on the host.

    Attributes:
        address: On the device.
        host: The twin, an array of the given shape and type. It is gone once the buffer is freed.
    """

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: str) -> None:
        self._cuda = cuda
        self.n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        device, pinned = c_uint64(), c_void_p()
        cuda.call("cuMemAlloc_v2", ctypes.byref(device), self.n_bytes)
        try:
            cuda.call("cuMemHostAlloc", ctypes.byref(pinned), self.n_bytes, 0)
        except BaseException:
            cuda.call("cuMemFree_v2", device)
            raise
        self.address = device.value
        self._pinned = pinned
        content = (ctypes.c_uint8 * self.n_bytes).from_address(pinned.value or 0)
        self.host: np.ndarray = np.frombuffer(memoryview(content), dtype).reshape(shape)

    def to_device(self) -> None:
        """Queue the copy from host to device."""
        self._cuda.call("cuMemcpyHtoDAsync_v2", self.address, self._pinned, self.n_bytes, self._cuda.stream)

    def to_host(self) -> None:
        """Queue the copy from device to host."""
        self._cuda.call("cuMemcpyDtoHAsync_v2", self._pinned, self.address, self.n_bytes, self._cuda.stream)

    def free(self) -> None:
        """Give both back."""
        self._cuda.call("cuMemFree_v2", self.address)
        self._cuda.call("cuMemFreeHost", self._pinned)


class Cuda:
    """The first GPU's context, which an engine shares, and a stream of our own.

    Raises:
        BackendError: If there is no GPU or no driver; from every method, if CUDA fails.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as err:
            raise BackendError(f"{ABSENT.capitalize()}. Choose a variant of another engine.") from err
        for name, arguments in _SIGNATURES.items():
            try:
                function = getattr(self._library, name)
            except AttributeError as err:
                raise BackendError(f"The NVIDIA driver has no {name}: it is older than CUDA 11.4. Update it.") from err
            function.argtypes, function.restype = arguments, c_int
        self._device, self._context, self.stream = c_int(), c_void_p(), c_void_p()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(self._device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self.use()
        self.call("cuStreamCreate", ctypes.byref(self.stream), _NON_BLOCKING)

    def use(self) -> None:
        """Make the context the calling thread's; each thread has its own."""
        self.call("cuCtxSetCurrent", self._context)

    def call(self, name: str, *arguments: object) -> None:
        """Call the driver; MemoryError where the device has no more, BackendError for every other failure."""
        code = getattr(self._library, name)(*arguments)
        if code == 0:
            return
        words = c_char_p()
        self._library.cuGetErrorString(code, ctypes.byref(words))
        said = (words.value or b"no message").decode(errors="replace")
        if code == _OUT_OF_MEMORY:
            raise MemoryError(f"{name}: {said}")
        raise BackendError(
            f"CUDA failed in {name}: {said} (error {code}). Run the command again; if it stays, restart."
        )

    def wait(self) -> None:
        """Wait until the stream is done; what failed in it is raised here."""
        self.call("cuStreamSynchronize", self.stream)

    def capture(self, work: Callable[[], object]) -> c_void_p:
        """Record what `work` queues, without running it, as a graph for `launch`."""
        graph, executable = c_void_p(), c_void_p()
        self.call("cuStreamBeginCapture_v2", self.stream, _CAPTURE_THREAD_LOCAL)
        try:
            work()
        finally:
            self.call("cuStreamEndCapture", self.stream, ctypes.byref(graph))
        try:
            self.call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            self.call("cuGraphDestroy", graph)
        return executable

    def launch(self, graph: c_void_p) -> None:
        """Queue a captured graph."""
        self.call("cuGraphLaunch", graph, self.stream)

    def free_graph(self, graph: c_void_p) -> None:
        """Give a captured graph back."""
        self.call("cuGraphExecDestroy", graph)

    def close(self) -> None:
        """Give stream and context back."""
        self.call("cuStreamDestroy_v2", self.stream)
        self.call("cuDevicePrimaryCtxRelease_v2", self._device)
