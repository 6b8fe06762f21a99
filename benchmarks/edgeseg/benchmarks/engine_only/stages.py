"""A foreign file as the harness sees it: only `infer` does anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.engine_only.engines import OpenFile, open_file, results_hash
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.engine_only.tensors import Tensor, Values, made_up
from edgeseg.benchmarks.subject import Frame
from edgeseg.runtime.errors import MeasureError

_NOTHING: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)


class EngineStages:
    """Implements `subject.Stages`; `prepare` and `finish` are empty, and their time is not kept.

    Args:
        file: An opened file, not fed yet.
        spec: What it is fed.
    """

    def __init__(self, file: OpenFile, spec: EngineSpec) -> None:
        self._file, self.engine = file, file.engine
        file.feed([_values(tensor, spec.values) for tensor in spec.inputs])

    def prepare(self, frame: Frame, /) -> Any:  # noqa: ARG002
        """Nothing."""
        return None

    def infer(self, prepared: Any, /) -> Any:  # noqa: ARG002
        """The engine's work."""
        return self._file.run()

    def finish(self, scores: Any, prepared: Any, /) -> npt.NDArray[np.uint8]:  # noqa: ARG002
        """Nothing."""
        return _NOTHING

    def results_hash(self) -> str:
        """SHA-256 of all results."""
        return results_hash(self._file.run())

    def close(self) -> None:
        """Give the engine back."""
        self._file.close()


def open_engine_only(subject: EngineSubject, threads: int) -> EngineStages:
    """Open and feed a foreign file.

    Raises:
        BackendError, MeasureError: From the engine.
    """
    return EngineStages(open_file(subject.model, subject.spec.backend, threads), subject.spec)


def _values(tensor: Tensor, values: Values) -> np.ndarray:
    try:
        return made_up(tensor, values)
    except TypeError as error:  # numpy knows no such type
        raise MeasureError(f"the input {tensor.words}: values of this type cannot be made up") from error
