r"""What a Worker and its process say to one another: JSON, one object a line. Pixels go by shared memory.

Nothing is unpickled. What the process says is read as strictly as a file from outside: an engine that went astray may
have written anything.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeseg.runtime import errors
from edgeseg.runtime.errors import BackendError, EdgesegError
from edgeseg.runtime.frame.regions import Region
from edgeseg.runtime.result import Result
from edgeseg.runtime.worker.shared import SharedMemory

Message = Mapping[str, Any]

_LONGEST = 1 << 28  # bytes of one message: of a million regions
_ALIGN = 64


class Line:
    """One end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = bytearray()

    def send(self, message: Message) -> None:
        """Send one message; raises OSError where the other end is gone."""
        data = json.dumps(message).encode() + b"\n"
        self._connection.settimeout(None)
        self._connection.sendall(data, getattr(socket, "MSG_NOSIGNAL", 0))

    def receive(self, timeout_s: float | None) -> Message | None:
        """The next message, or None where it is not there in time; what came of it is kept for the next call.

        Raises:
            EOFError: If the other end is gone.
            ValueError: If what came is no message.
        """
        while b"\n" not in self._rest:
            self._connection.settimeout(timeout_s)
            try:
                came = self._connection.recv(1 << 16)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise EOFError from error
            if not came:
                raise EOFError
            if len(self._rest) > _LONGEST:
                raise ValueError("a message without an end")
            self._rest += came
        line, _, self._rest = self._rest.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("no JSON object")
        return message

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def put_result(result: Result, block: SharedMemory) -> Message:
    """Write a result's pixels into the block and return the rest as a message."""
    mask, planes = result.mask, result.probability
    block.array(mask.shape, "uint8")[...] = mask
    if planes is not None:
        block.array(planes.shape, "float32", _behind(mask.shape))[...] = planes
    found = result.regions
    return {
        "mask": mask.shape,
        "probability": None if planes is None else planes.shape,
        "regions": None if found is None else [[r.class_id, r.area_px, r.box, r.mean_score] for r in found],
        "timings_ms": dict(result.timings_ms),
    }


def take_result(message: Message, block: SharedMemory, frame_shape: tuple[int, ...]) -> Result:
    """Copy a result out of what `put_result` has written.

    Raises:
        ValueError: If the message is none, or of another frame.
    """
    try:
        mask, planes, found = tuple(message["mask"]), message["probability"], message["regions"]
        if mask != frame_shape[:2]:
            raise ValueError(f"a mask of {mask} for a frame of {frame_shape}")
        if planes is not None and (len(planes) != 3 or tuple(planes[1:]) != mask or not 0 < planes[0] <= 256):
            raise ValueError(f"probabilities of {planes} for a frame of {frame_shape}")
        return Result(
            block.array(mask, "uint8").copy(),
            None if planes is None else block.array(tuple(planes), "float32", _behind(mask)).copy(),
            None if found is None else tuple(_region(*one) for one in found),
            {str(name): float(value) for name, value in message["timings_ms"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no result ({error})") from error


def put_error(error: Exception, *, suspect: bool) -> Message:
    """An error as a message.

    Args:
        error: The error.
        suspect: Whether the engine is at fault, and may do better when started again.
    """
    kind = next((one.__name__ for one in type(error).__mro__ if one in _KINDS.values()), "BackendError")
    return {"error": kind, "message": str(error) or type(error).__name__, "suspect": suspect}


def take_error(message: Message) -> EdgesegError:
    """The error of a message, of the class it had."""
    return _KINDS.get(str(message.get("error")), BackendError)(str(message.get("message")))


def _region(class_id: int, area_px: int, box: list[int], mean_score: float | None) -> Region:
    x, y, width, height = box
    return Region(class_id, area_px, (x, y, width, height), mean_score)


def _behind(mask: tuple[int, ...]) -> int:
    return -(-int(np.prod(mask)) // _ALIGN) * _ALIGN


_KINDS: dict[str, type[EdgesegError]] = {
    name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, EdgesegError)
}
