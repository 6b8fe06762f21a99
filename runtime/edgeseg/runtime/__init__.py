"""The device's part of edgeseg: a bundle and a frame in, a mask out. Needs numpy, cv2 and one engine.

from pathlib import Path
from edgeseg.runtime import Segmenter

with Segmenter.open(Path("part.edgeseg")) as segmenter:
    mask = segmenter(frame).mask
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.runtime.telemetry import switch_off

if TYPE_CHECKING:
    from edgeseg.runtime.segmenter import Result, Segmenter
    from edgeseg.runtime.stream.stream import Stream
    from edgeseg.runtime.worker.worker import Answer, Worker, WorkerConfig

__all__ = ["Answer", "Result", "Segmenter", "Stream", "Worker", "WorkerConfig"]

_MODULES = {
    "Answer": "worker.worker",
    "Result": "segmenter",
    "Segmenter": "segmenter",
    "Stream": "stream.stream",
    "Worker": "worker.worker",
    "WorkerConfig": "worker.worker",
}

switch_off()


def __getattr__(name: str) -> object:
    # Loaded on first use: whoever wants the errors or the metrics alone does not wait for the rest.
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
