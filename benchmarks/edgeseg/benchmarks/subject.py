"""What can be measured: one model file with the spec that says how to feed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.spec.manifest import ModelSpec
from edgeseg.runtime.trt.built_engine import RECORD_SUFFIX, SUFFIX

Frame = npt.NDArray[Any]  # uint8, or uint16 for a model with a window


@dataclass(frozen=True)
class Subject:
    """One row to be: a runnable file under the name it has in the table.

    Attributes:
        name: Unique within one measurement, such as `onnx-int8-x86`.
        model: The file that is loaded, hashed and timed.
        spec: Its input, output and backend.
        accuracy: What the manifest says of this very file, copied into the row.
        params: Number of weights, where known.
        macs: Multiply-accumulates of one inference, where known.
    """

    name: str
    model: Path
    spec: ModelSpec
    accuracy: Mapping[str, object] | None = None
    params: int | None = None
    macs: int | None = None

    @property
    def beside(self) -> tuple[Path, ...]:
        """The builder's record of a TensorRT engine, without which it is not opened."""
        record = self.model.with_suffix(RECORD_SUFFIX)
        return (record,) if self.model.suffix == SUFFIX and record.is_file() else ()

    def sha256(self) -> str:
        """The hash of the file's bytes, hexadecimal."""
        return sha256_file(self.model)

    def n_bytes(self) -> int:
        """Size of the file."""
        return self.model.stat().st_size


class Stages(Protocol):
    """The three timed stages of a `Segmenter`, and nothing else of it.

    What `prepare` hands to the other two is the segmenter's own affair, hence `Any`.
    """

    @property
    def engine(self) -> str:
        """Name and version of the engine that really runs the model."""

    def prepare(self, frame: Frame, /) -> Any:
        """Colour, geometry and padding."""

    def infer(self, prepared: Any, /) -> Any:
        """The engine's work."""

    def finish(self, scores: Any, prepared: Any, /) -> npt.NDArray[np.uint8]:
        """Up to the mask, uint8, shape (H, W) of the frame."""

    def close(self) -> None:
        """Give the engine back."""
