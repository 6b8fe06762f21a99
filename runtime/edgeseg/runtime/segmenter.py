"""The facade: a model file or a bundle, and a call that turns a frame into a mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.manifest import ModelSpec
from edgeseg.runtime.postprocess import Scratch, to_mask
from edgeseg.runtime.postprocess import probability as to_probability
from edgeseg.runtime.preprocess import Prepared, prepare

if TYPE_CHECKING:
    from edgeseg.runtime.regions import Region

# Frames of one engine call in `Segmenter.batch`: beyond a few, a small CPU gains nothing and memory grows.
_FRAMES_PER_CALL = 8


@dataclass(frozen=True)
class Result:
    """What was seen in one frame.

    Attributes:
        mask: Class ids, uint8 (H, W) at the frame's size.
        probability: float32 (K, H, W) per class, summing to 1 over K; None unless asked for.
        regions: Connected regions of the mask, or None unless asked for.
        timings_ms: `pre` (colour, resize, pad), `infer`, `post` (up to the full-size mask) and their sum `total`
            [ms]. Probability and regions are outside, under `extras` where asked for. From `batch`, times of frames
            that shared an engine call are equal shares of it.
    """

    mask: np.ndarray
    probability: np.ndarray | None
    regions: tuple[Region, ...] | None
    timings_ms: Mapping[str, float]


class Segmenter:
    """A model ready to segment frames of any size its geometry takes. One per thread.

    Use as a context manager, or call `close`:

        with Segmenter.open(Path("part.edgeseg")) as segmenter:
            mask = segmenter(frame).mask

    Args:
        backend: An open backend; the segmenter closes it.
        name: What the model is called in messages and reports.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._scratch = Scratch()
        self.name = name

    @classmethod
    def open(cls, path: Path, variant: str | None = None, threads: int | None = None) -> Segmenter:
        """Open a bundle with the named variant, or the best one for this machine (see `selection.choose`).

        Args:
            path: The .edgeseg file.
            variant: Name of a variant, e.g. `onnx-fp32`; None chooses.
            threads: Threads of the engine; None takes the default.

        Raises:
            BundleError: If the file is damaged or has no such variant.
            BackendError: If no engine for it is installed, or the engine refuses it.
        """
        from edgeseg.runtime.bundle import Bundle
        from edgeseg.runtime.selection import choose

        with Bundle.open(path) as bundle:
            entry = bundle.variant(variant) if variant is not None else choose(bundle.manifest)
            content = bundle.read(entry.file)
        return cls(open_backend(content, entry.spec, threads), entry.name)

    @classmethod
    def from_file(cls, model: Path, spec: ModelSpec, threads: int | None = None) -> Segmenter:
        """Open an unpacked model file with its description.

        Raises:
            BackendError: If no engine for it is installed, or the engine refuses it.
        """
        return cls(open_backend(Path(model), spec, threads), Path(model).name)

    @property
    def spec(self) -> ModelSpec:
        """Description of the open model."""
        return self._backend.spec

    @property
    def engine(self) -> str:
        """Name and version of the engine that really runs it."""
        return self._backend.engine

    def prepare(self, frame: np.ndarray) -> Prepared:
        """Stage 1: bring a (H, W) or (H, W, 3) RGB frame, uint8 or as the spec's window says, into the network's shape.

        Raises:
            FrameError: If it is no such frame or does not fit.
        """
        try:
            return prepare(frame, self.spec.input)
        except MemoryError as err:
            raise _out_of_memory(frame) from err

    def infer(self, prepared: Prepared) -> np.ndarray:
        """Stage 2: run the network; tiles go through it one by one.

        Returns:
            The engine's output, (N, ...) as in the spec, N = 1 or the number of tiles.
        """
        tensor = self._as_input(prepared.tensor)
        if len(tensor) == 1:
            return self._backend.infer(tensor)
        first = self._backend.infer(tensor[:1])
        scores = np.empty((len(tensor), *first.shape[1:]), first.dtype)
        scores[0] = first[0]
        for index in range(1, len(tensor)):
            scores[index] = self._backend.infer(tensor[index : index + 1])[0]
        return scores

    def finish(self, scores: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Stage 3: turn the output of `infer` into the mask, uint8 (H, W) at the frame's size."""
        return to_mask(scores, self.spec, prepared, self._scratch)

    def __call__(self, frame: np.ndarray, *, probability: bool = False, regions: bool = False) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 (H, W) gray or (H, W, 3) RGB; uint16 where `spec.input.window` is given, and then only that.
            probability: Also return the class probabilities.
            regions: Also return the connected regions, with mean scores where the model gives scores.

        Raises:
            FrameError: If it is no such frame or does not fit.
            BackendError: If the engine fails.
        """
        start = perf_counter_ns()
        prepared = self.prepare(frame)
        ready = perf_counter_ns()
        scores = self.infer(prepared)
        inferred = perf_counter_ns()
        mask = self._finish(scores, prepared, frame)
        done = perf_counter_ns()
        times_ms = _times_ms(ready - start, inferred - ready, done - inferred)
        return self._result(mask, scores, prepared, times_ms, (probability, regions))

    def batch(self, frames: Sequence[np.ndarray], *, probability: bool = False, regions: bool = False) -> list[Result]:
        """Segment frames in order; those of equal size share an engine call where the model takes several.

        Args:
            frames: Each as for a call; their sizes may differ.
            probability: As for a call.
            regions: As for a call.

        Raises:
            FrameError: If one of them does not fit; none is returned then.
            BackendError: If the engine fails.
        """
        results: list[Result] = []
        for group in self._groups(frames):
            results.extend(self._run_group(group, (probability, regions)))
        return results

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        self._backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _as_input(self, tensor: np.ndarray) -> np.ndarray:
        # pixel - 128 as int8 is the pixel with its top bit flipped.
        return tensor if self.spec.input_dtype == "uint8" else (tensor ^ np.uint8(0x80)).view(np.int8)

    def _groups(self, frames: Sequence[np.ndarray]) -> Iterator[list[tuple[Prepared, int]]]:
        """Yield runs of frames that fit one engine call, each with the time its preparation took [ns]."""
        group: list[tuple[Prepared, int]] = []
        for frame in frames:
            start = perf_counter_ns()
            prepared = self.prepare(frame)
            item = (prepared, perf_counter_ns() - start)
            joins = self.spec.dynamic and prepared.grid is None and len(group) < _FRAMES_PER_CALL
            if group and not (joins and prepared.tensor.shape == group[0][0].tensor.shape):
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    def _run_group(self, group: list[tuple[Prepared, int]], extras: tuple[bool, bool]) -> list[Result]:
        start = perf_counter_ns()
        if len(group) == 1:
            scores = self.infer(group[0][0])
        else:
            scores = self._backend.infer(self._as_input(np.concatenate([prepared.tensor for prepared, _ in group])))
        share_ns = (perf_counter_ns() - start) // len(group)
        results: list[Result] = []
        for index, (prepared, pre_ns) in enumerate(group):
            own = scores if len(group) == 1 else scores[index : index + 1]
            start = perf_counter_ns()
            mask = self.finish(own, prepared)
            times_ms = _times_ms(pre_ns, share_ns, perf_counter_ns() - start)
            results.append(self._result(mask, own, prepared, times_ms, extras))
        return results

    def _finish(self, scores: np.ndarray, prepared: Prepared, frame: np.ndarray) -> np.ndarray:
        try:
            return self.finish(scores, prepared)
        except MemoryError as err:
            raise _out_of_memory(frame) from err

    def _result(
        self,
        mask: np.ndarray,
        scores: np.ndarray,
        prepared: Prepared,
        times_ms: dict[str, float],
        extras: tuple[bool, bool],
    ) -> Result:
        """Add what was asked for beyond the mask: `extras` = (probability, regions)."""
        if not any(extras):
            return Result(mask, None, None, times_ms)
        from edgeseg.runtime.regions import find_regions

        start = perf_counter_ns()
        wanted, with_regions = extras
        has_scores = self.spec.output.kind == "scores"
        planes = to_probability(scores, self.spec, prepared) if wanted or has_scores else None
        found = find_regions(mask, planes) if with_regions else None
        times_ms["extras"] = (perf_counter_ns() - start) / 1e6
        return Result(mask, planes if wanted else None, found, times_ms)


def _times_ms(pre_ns: int, infer_ns: int, post_ns: int) -> dict[str, float]:
    return {
        "pre": pre_ns / 1e6,
        "infer": infer_ns / 1e6,
        "post": post_ns / 1e6,
        "total": (pre_ns + infer_ns + post_ns) / 1e6,
    }


def _out_of_memory(frame: np.ndarray) -> FrameError:
    size = f"{frame.shape[1]}x{frame.shape[0]} px"
    return FrameError(f"Memory ran out on a frame of {size}. Use geometry 'tile' or 'resize', or a smaller frame.")
