"""What a predict is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.errors import ConfigError


@dataclass(frozen=True)
class PredictOrder:
    """What to segment, and what to write.

    Attributes:
        inputs: Image files, film files, and folders, which are gone through with everything in them.
        out: Folder of the masks, made if missing.
        decision: Also decide good or reject by the bundle's thresholds.
        overlay: Also draw the masks over the frames, in `out`/overlays.
        overwrite: Replace files that edgeseg did not write; inputs are never replaced.
        camera: Number of a camera instead of inputs.
        every: Of films and cameras, segment each such frame.
        frames: Of films and cameras, segment at most so many frames; None for all.

    Raises:
        ConfigError: If there is no input or several kinds, or a number is too small.
    """

    inputs: tuple[Path, ...]
    out: Path
    decision: bool = False
    overlay: bool = False
    overwrite: bool = False
    camera: int | None = None
    every: int = 1
    frames: int | None = None

    def __post_init__(self) -> None:
        if bool(self.inputs) == (self.camera is not None):
            found = "inputs and --camera" if self.inputs else "neither an input nor --camera"
            raise ConfigError(f"{found} given: name images, films or folders, or a camera such as --camera 0")
        if self.every < 1:
            raise ConfigError(f"--every is {self.every}; use 1 for each frame, 2 for each second one")
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"--frames is {self.frames}; use 1 or more, or leave it out for all")
        if self.camera is not None and self.camera < 0:
            raise ConfigError(f"--camera is {self.camera}; cameras are numbered from 0")
