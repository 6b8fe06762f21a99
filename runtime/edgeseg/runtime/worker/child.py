"""The process of a Worker: opens the model, then turns frames into masks until nobody is there to ask.

It ends with the process that started it, however that one ended. It does not heed SIGTERM, which a service manager
sends to both: who asked decides, and gets the mask of the frame in hand.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.runtime.errors import BackendError, EdgesegError

if TYPE_CHECKING:
    from edgeseg.runtime.segmenter import Segmenter
    from edgeseg.runtime.worker.shared import SharedMemory
    from edgeseg.runtime.worker.wire import Line, Message

_GRACE_S = 2.0  # for the frame in hand, once nobody waits for it
_LOOK_S = 1.0


@dataclass(frozen=True)
class Order:
    """What the process is started with, as JSON.

    Attributes:
        parent: Number of the process that asks.
        connection: Descriptor of the socket to it.
        frames: Descriptor of the memory that frames come in.
        answers: Descriptor of the memory that masks go out in.
        model: Path of the bundle or of the step's folder.
        shown: What it is called in messages.
        variant: As for `Segmenter.open`.
        threads: As for `Segmenter.open`.
        memory_mib: See `WorkerConfig`.
        policy: The object of a policy's file; None takes the one of the device.
    """

    parent: int
    connection: int
    frames: int
    answers: int
    model: str
    shown: str
    variant: str | None
    threads: int | None
    memory_mib: int | None
    policy: Mapping[str, Any] | None = None


def main(arguments: Sequence[str]) -> int:
    """Serve until the other end hangs up."""
    order = Order(**json.loads(arguments[0]))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(2, 1)  # what an engine prints must not stand among the results that the user's process prints
    connection = socket.socket(fileno=order.connection)
    threading.Thread(target=_end_with, args=(connection, order.parent), daemon=True).start()
    if order.memory_mib is not None:
        _limit_memory(order.memory_mib)

    from edgeseg.runtime.worker.shared import SharedMemory
    from edgeseg.runtime.worker.wire import Line

    line = Line(connection)
    try:
        segmenter = _open(order, line)
        if segmenter is not None:
            _serve(segmenter, line, (SharedMemory(order.frames), SharedMemory(order.answers)))
    except (EOFError, OSError):
        pass  # nobody is there any more
    # Not by way of the interpreter's end: an engine that is freed there may wait for its threads for ever.
    sys.stderr.flush()
    os._exit(0)


def _open(order: Order, line: Line) -> Segmenter | None:
    from edgeseg.runtime.segmenter import Segmenter
    from edgeseg.runtime.trust.policy import Policy
    from edgeseg.runtime.worker.wire import put_error

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            policy = None if order.policy is None else Policy.from_json(order.policy, "policy")
            segmenter = Segmenter.open(Path(order.model), order.variant, order.threads, policy)
        except Exception as error:  # all that an engine may raise: the other end says it
            plain = error if isinstance(error, EdgesegError) else _as_ours(error)
            message = put_error(plain, suspect=False)
            line.send({**message, "opening": True, "message": message["message"].replace(order.model, order.shown)})
            return None
    told = [str(one.message).replace(order.model, order.shown) for one in said if one.category is RuntimeWarning]
    line.send({"model": segmenter.describe(), "warnings": told})
    return segmenter


def _serve(segmenter: Segmenter, line: Line, memory: tuple[SharedMemory, SharedMemory]) -> None:
    from edgeseg.runtime.worker.wire import put_error

    while True:
        request = line.receive(None)
        assert request is not None
        try:
            answer = _segment(segmenter, request, memory)
        except EdgesegError as error:
            answer = put_error(error, suspect=_suspect(error))
        except Exception as error:  # a fault of ours or of the engine: said, and the engine is started again
            answer = put_error(_as_ours(error), suspect=True)
        line.send(answer)


def _segment(segmenter: Segmenter, request: Message, memory: tuple[SharedMemory, SharedMemory]) -> Message:
    from edgeseg.runtime.worker.wire import put_result

    frames, answers = memory
    frame = frames.array(tuple(request["shape"]), request["dtype"])
    result = segmenter(frame, probability=request["probability"], regions=request["regions"])
    return put_result(result, answers)


def _suspect(error: EdgesegError) -> bool:
    """Whether the engine failed, or memory ran out, which it may have lost bit by bit."""
    from edgeseg.runtime.out_of_memory import is_out_of_memory

    return isinstance(error, BackendError) or (error.__cause__ is not None and is_out_of_memory(error.__cause__))


def _as_ours(error: Exception) -> BackendError:
    from edgeseg.runtime.engine_message import condensed

    return BackendError(f"The engine failed: {type(error).__name__}: {condensed(error)}. Export the model again.")


def _limit_memory(memory_mib: int) -> None:
    """Data of its own alone: RLIMIT_AS would count what engines reserve and never touch, several times as much."""
    import resource

    size = memory_mib << 20
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (size if most == resource.RLIM_INFINITY else min(size, most), most))


def _end_with(connection: socket.socket, parent: int) -> None:
    """End when the other end has hung up or is gone, also while the engine hangs."""
    poll = select.poll()
    poll.register(connection, 0)  # of nothing but its end
    # A forked process of the parent's may keep the connection open.
    while not poll.poll(_LOOK_S * 1000) and os.getppid() == parent:
        pass
    time.sleep(_GRACE_S)
    os._exit(1)
