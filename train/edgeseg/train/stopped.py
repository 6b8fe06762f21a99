"""A training that others end: SIGTERM, as a service manager sends it, and image workers that were killed.

Lightning ends after SIGTERM as if all were done, with exit code 0, and a killed worker shows as PyTorch's RuntimeError.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from edgeseg.runtime.errors import TrainingError

_SIGTERM_CODE = 128 + signal.SIGTERM  # what a shell sees of a program without a handler


@contextmanager
def stops_told(trainer: L.Trainer) -> Iterator[None]:
    """Around `trainer.fit` and `trainer.validate`.

    Raises:
        SystemExit: With 143, after SIGTERM.
        TrainingError: A process that loads images ended.
    """
    try:
        yield
        if trainer.received_sigterm:  # too late for Lightning to end anything by itself
            raise SystemExit(_SIGTERM_CODE)
    except SIGTERMException as stop:
        raise SystemExit(_SIGTERM_CODE) from stop
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        if trainer.received_sigterm:  # it was sent to the workers as well
            raise SystemExit(_SIGTERM_CODE) from error
        raise TrainingError(
            f"a process that loads images ended: {error}. Where memory ran out, lower train.workers (0 loads images "
            "in the training's own process) or train.batch_size; the same command goes on where it was"
        ) from error
