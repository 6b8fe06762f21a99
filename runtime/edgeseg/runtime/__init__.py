"""The device's part of edgeseg: a bundle and a frame in, a mask out. Needs numpy, cv2 and one engine.

from pathlib import Path
from edgeseg.runtime import Segmenter

with Segmenter.open(Path("part.edgeseg")) as segmenter:
    mask = segmenter(frame).mask
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.runtime.telemetry import switch_off

if TYPE_CHECKING:
    from edgeseg.runtime.segmenter import Result, Segmenter

__all__ = ["Result", "Segmenter"]

switch_off()


def __getattr__(name: str) -> object:
    # Loaded on first use: whoever wants the errors or the metrics alone does not wait for the rest.
    if name in __all__:
        from edgeseg.runtime import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
