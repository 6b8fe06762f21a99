"""The facade: a model file or a bundle, and a call that turns a frame into a mask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.frame.blank import blank_frame
from edgeseg.runtime.frame.postprocess import Scratch, to_mask
from edgeseg.runtime.frame.postprocess import probability as to_probability
from edgeseg.runtime.frame.preprocess import Prepared, in_dtype, prepare
from edgeseg.runtime.manifest import ModelSpec
from edgeseg.runtime.out_of_memory import FrameMemory
from edgeseg.runtime.ownership import Owned
from edgeseg.runtime.result import Result, times_ms

__all__ = ["Result", "Segmenter"]

# Frames of one engine call in `Segmenter.batch`: beyond a few, a small CPU gains nothing and memory grows.
_FRAMES_PER_CALL = 8


class Segmenter(Owned):
    """A model ready to segment frames of any size its geometry takes.

    Use as a context manager, or call `close`:

        with Segmenter.open(Path("part.edgeseg")) as segmenter:
            mask = segmenter(frame).mask

    Threads may share one: every mask is right, but each call waits for the one before. To run in parallel, open one per
    thread, each with few `threads`. It belongs to the process that opened it: a forked process gets a BackendError, and
    so does whoever pickles or copies it. Open one in each process, too.

    Args:
        backend: An open backend; the segmenter closes it.
        name: What the model is called in messages and reports.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        super().__init__()
        self._backend = backend
        self._scratch = Scratch()
        self.name = name

    @classmethod
    def open(cls, path: Path, variant: str | None = None, threads: int | None = None) -> Segmenter:
        """Open a bundle with the named variant, or the best one for this machine (see `selection.rank`).

        Without a name, a variant that its engine refuses is passed over for the next best, with a RuntimeWarning.
        A named one that this processor computes otherwise is opened, with a RuntimeWarning.

        Args:
            path: The .edgeseg file, or a step's folder (model file and spec.json), which is one variant.
            variant: Name of a variant, e.g. `onnx-fp32`, or of an engine built on this machine from one of them, e.g.
                `trt-int8`; None chooses among the variants.
            threads: Threads of the engine; None takes the default.

        Raises:
            BundleError: If the file is damaged or has no such variant.
            BackendError: If no engine for it is installed, or the engine refuses it.
        """
        from edgeseg.runtime.bundle import Bundle
        from edgeseg.runtime.selection import open_best, wrong_here
        from edgeseg.runtime.step_folder import open_step
        from edgeseg.runtime.trt.built_engine import find_built

        if path.is_dir():
            model, spec = open_step(path)
            if variant not in (None, path.name):
                raise BundleError(f"{path} is one model, no bundle: it has no variant {variant!r}. Leave it out.")
            return cls(open_backend(model, spec, threads), path.name)
        with Bundle.open(path) as bundle:
            if variant is None:
                entry, backend = open_best(bundle, threads)
            elif variant not in {one.name for one in bundle.variants} and (
                built := find_built(bundle.manifest, variant)
            ):
                return cls(open_backend(*built, threads), variant)
            else:
                entry = bundle.variant(variant)
                backend = open_backend(bundle.read(entry.file), entry.spec, threads)
                wrong = wrong_here(entry)
                if wrong is not None:
                    said = f"{path}: masks of {variant} may differ from those it was accepted for: {wrong}"
                    warnings.warn(said, RuntimeWarning, stacklevel=2)
        return cls(backend, entry.name)

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

    def describe(self) -> dict[str, Any]:
        """What runs, in JSON's types: `variant`, `engine`, `threads` and `spec`."""
        facts = {"variant": self.name, "engine": self.engine, "threads": self._backend.threads}
        return facts | {"spec": self.spec.to_json()}

    def warm_up(self, shape: tuple[int, int] | None = None) -> None:
        """Segment a black frame of `blank_frame`, so that the first real one is not slowed by what happens but once."""
        self(blank_frame(self.spec.input, shape))

    def prepare(self, frame: np.ndarray) -> Prepared:
        """Stage 1: bring a (H, W) or (H, W, 3) RGB frame, uint8 or as the spec's window says, into the network's shape.

        Raises:
            FrameError: If it is no such frame, does not fit, or memory runs out.
            BackendError: In a forked process.
        """
        self._check_process()
        with FrameMemory(np.shape(frame)):
            return prepare(frame, self.spec.input)

    def infer(self, prepared: Prepared) -> np.ndarray:
        """Stage 2: run the network; tiles go through it one by one.

        Returns:
            The engine's output, (N, ...) as in the spec, N = 1 or the number of tiles.

        Raises:
            FrameError: If memory runs out.
            BackendError: If the engine fails, after `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            return self._infer(prepared)

    def finish(self, scores: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Stage 3: turn the output of `infer` into the mask, uint8 (H, W) at the frame's size.

        Raises:
            FrameError: If memory runs out.
            BackendError: If the scores are not what the spec promises, after `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            return self._finish(scores, prepared)

    def __call__(self, frame: np.ndarray, *, probability: bool = False, regions: bool = False) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 (H, W) gray or (H, W, 3) RGB; uint16 where `spec.input.window` is given, and then only that.
            probability: Also return the class probabilities.
            regions: Also return the connected regions, with mean scores where the model gives scores.

        Raises:
            FrameError: If it is no such frame, does not fit, or memory runs out.
            BackendError: If the engine fails, after `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            start = perf_counter_ns()
            prepared = self.prepare(frame)
            ready = perf_counter_ns()
            scores = self._infer(prepared)
            inferred = perf_counter_ns()
            mask = self._finish(scores, prepared)
            done = perf_counter_ns()
            times = times_ms(ready - start, inferred - ready, done - inferred)
            return self._result(mask, scores, prepared, times, (probability, regions))

    def batch(self, frames: Sequence[np.ndarray], *, probability: bool = False, regions: bool = False) -> list[Result]:
        """Segment frames in order; those of equal size share an engine call where the model takes several.

        Args:
            frames: Each as for a call; their sizes may differ.
            probability: As for a call.
            regions: As for a call.

        Raises:
            FrameError: If one of them does not fit, or memory runs out; none is returned then.
            BackendError: As for a call.
        """
        results: list[Result] = []
        with self._turn():
            self._check_open()
            for group in self._groups(frames):
                results.extend(self._run_group(group, (probability, regions)))
        return results

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close(self) -> None:
        self._backend.close()

    def _infer(self, prepared: Prepared) -> np.ndarray:
        with FrameMemory(prepared.frame_shape):
            tensor = in_dtype(prepared.tensor, self.spec.input_dtype)
            if len(tensor) == 1:
                return self._backend.infer(tensor)
            first = self._backend.infer(tensor[:1])
            scores = np.empty((len(tensor), *first.shape[1:]), first.dtype)
            scores[0] = first[0]
            for index in range(1, len(tensor)):
                scores[index] = self._backend.infer(tensor[index : index + 1])[0]
            return scores

    def _finish(self, scores: np.ndarray, prepared: Prepared) -> np.ndarray:
        # Whoever calls in the middle of this, as a signal handler may, gets planes of its own.
        scratch, self._scratch = self._scratch, Scratch()
        try:
            with FrameMemory(prepared.frame_shape):
                return to_mask(scores, self.spec, prepared, scratch)
        finally:
            self._scratch = scratch

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
            scores = self._infer(group[0][0])
        else:
            with FrameMemory(group[0][0].frame_shape):
                tensor = np.concatenate([prepared.tensor for prepared, _ in group])
                scores = self._backend.infer(in_dtype(tensor, self.spec.input_dtype))
        share_ns = (perf_counter_ns() - start) // len(group)
        results: list[Result] = []
        for index, (prepared, pre_ns) in enumerate(group):
            own = scores if len(group) == 1 else scores[index : index + 1]
            start = perf_counter_ns()
            mask = self._finish(own, prepared)
            times = times_ms(pre_ns, share_ns, perf_counter_ns() - start)
            results.append(self._result(mask, own, prepared, times, extras))
        return results

    def _result(
        self,
        mask: np.ndarray,
        scores: np.ndarray,
        prepared: Prepared,
        times: dict[str, float],
        extras: tuple[bool, bool],
    ) -> Result:
        """Add what was asked for beyond the mask: `extras` = (probability, regions)."""
        if not any(extras):
            return Result(mask, None, None, times)
        from edgeseg.runtime.frame.regions import find_regions
        from edgeseg.runtime.frame.row_probability import RowProbability

        has_scores = self.spec.output.kind == "scores"
        start = perf_counter_ns()
        wanted, with_regions = extras
        with FrameMemory(prepared.frame_shape):
            planes = to_probability(scores, self.spec, prepared) if wanted else None
            found = None
            if with_regions:
                by_rows = RowProbability(scores, self.spec, prepared) if has_scores and planes is None else None
                found = find_regions(mask, by_rows if planes is None else planes)
        times["extras"] = (perf_counter_ns() - start) / 1e6
        return Result(mask, planes, found, times)
