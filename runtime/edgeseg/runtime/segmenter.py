"""The facade: a model file or a bundle, and a call that turns a frame into a mask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.frame.blank import blank_frame
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import Prepared, in_dtype, prepare
from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tiling import tiles_per_call
from edgeseg.runtime.out_of_memory import FrameMemory
from edgeseg.runtime.ownership import Owned
from edgeseg.runtime.result import Result, times_ms
from edgeseg.runtime.spec.manifest import ModelSpec

if TYPE_CHECKING:
    from edgeseg.runtime.trust.policy import Policy

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
    def open(
        cls, path: Path, variant: str | None = None, threads: int | None = None, policy: Policy | None = None
    ) -> Segmenter:
        """Open a bundle with the named variant, or the best one for this machine (see `selection.rank`).

        Without a name, a variant that its engine refuses is passed over for the next best, with a RuntimeWarning.
        A named one that this processor computes otherwise is opened, with a RuntimeWarning.

        Args:
            path: The .edgeseg file, or a step's folder (model file and spec.json), which is one variant.
            variant: Name of a variant, e.g. `onnx-fp32`, or of an engine built on this machine from one of them, e.g.
                `trt-int8`; None chooses among the variants; `fastest` measures them on this machine, the first time
                that it is asked for, and remembers the answer in the user's cache.
            threads: Threads of the engine; None takes the default.
            policy: What is asked of its version and signatures; None is this device's policy.

        Raises:
            BundleError: If the file is damaged or has no such variant.
            RefusedError: If the policy does not take it.
            BackendError: If no engine for it is installed, or the engine refuses it.
        """
        from edgeseg.runtime.opening.open_model import open_model

        return cls(*open_model(path, variant, threads, policy))

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
        """Stage 2: run the network. The scores of all tiles are held then, which a call does not do.

        Returns:
            The engine's output, (N, ...) as in the spec, N = 1 or the number of tiles.

        Raises:
            FrameError: If memory runs out.
            BackendError: If the engine fails, after `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            with self._lent() as scratch:
                return self._infer(prepared, scratch)

    def finish(self, scores: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Stage 3: turn the output of `infer` into the mask, uint8 (H, W) at the frame's size.

        Raises:
            FrameError: If memory runs out.
            BackendError: If the scores are not what the spec promises, after `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            with self._lent() as scratch:
                return self._finish(scores, prepared, scratch)

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
            return self._segment(frame, (probability, regions))

    def batch(self, frames: Iterable[np.ndarray], *, probability: bool = False, regions: bool = False) -> list[Result]:
        """Segment frames in order; those of equal size share an engine call where the model takes several.

        Args:
            frames: Each as for a call; their sizes may differ. An iterator may write each over the one before.
            probability: As for a call.
            regions: As for a call.

        Raises:
            FrameError: If one of them does not fit, or memory runs out; none is returned then.
            BackendError: As for a call.
        """
        results: list[Result] = []
        with self._turn():
            self._check_open()
            if self.spec.input.geometry.mode == "tile":
                return [self._segment(frame, (probability, regions)) for frame in frames]
            for group in self._groups(frames):
                results.extend(self._run_group(group, (probability, regions)))
        return results

    def _close(self) -> None:
        self._backend.close()
        self._scratch.clear()

    @contextmanager
    def _lent(self) -> Iterator[Scratch]:
        # Whoever calls in the middle of this, as a signal handler may, gets memory of its own.
        scratch, self._scratch = self._scratch, Scratch()
        try:
            yield scratch
        finally:
            self._scratch = scratch

    def _segment(self, frame: np.ndarray, extras: tuple[bool, bool]) -> Result:
        """One frame, with `extras` = (probability, regions)."""
        with self._lent() as scratch:
            if self.spec.input.geometry.mode == "tile" and not extras[0]:
                from edgeseg.runtime.tiled import segment_tiles

                with FrameMemory(np.shape(frame)):
                    return segment_tiles(frame, self.spec, partial(self._run, scratch=scratch), scratch, extras[1])
            start = perf_counter_ns()
            with FrameMemory(np.shape(frame)):
                prepared = prepare(frame, self.spec.input, scratch)
            ready = perf_counter_ns()
            scores = self._infer(prepared, scratch)
            inferred = perf_counter_ns()
            mask = self._finish(scores, prepared, scratch)
            times = times_ms(ready - start, inferred - ready, perf_counter_ns() - inferred)
            return self._result(mask, scores, prepared, times, extras)

    def _run(self, tensor: np.ndarray, scratch: Scratch) -> np.ndarray:
        return self._backend.infer(in_dtype(tensor, self.spec.input_dtype, scratch))

    def _infer(self, prepared: Prepared, scratch: Scratch) -> np.ndarray:
        tensor = prepared.tensor
        with FrameMemory(prepared.frame_shape):
            per_call = tiles_per_call(prepared.grid.tile_px, self.spec) if prepared.grid else 1
            first = self._run(tensor[:per_call], scratch)
            if len(tensor) <= per_call:
                return first
            scores = np.empty((len(tensor), *first.shape[1:]), first.dtype)
            scores[:per_call] = first
            for index in range(per_call, len(tensor), per_call):
                scores[index : index + per_call] = self._run(tensor[index : index + per_call], scratch)
            return scores

    def _finish(self, scores: np.ndarray, prepared: Prepared, scratch: Scratch) -> np.ndarray:
        with FrameMemory(prepared.frame_shape):
            return to_mask(scores, self.spec, prepared, scratch)

    def _groups(self, frames: Iterable[np.ndarray]) -> Iterator[list[tuple[Prepared, int]]]:
        """Yield runs of frames that fit one engine call, each with the time its preparation took [ns]."""
        group: list[tuple[Prepared, int]] = []
        stay = isinstance(frames, Sequence | np.ndarray)
        for frame in frames:
            start = perf_counter_ns()
            prepared = self.prepare(frame)
            if not stay and np.may_share_memory(prepared.tensor, frame):
                with FrameMemory(prepared.frame_shape):
                    prepared = replace(prepared, tensor=prepared.tensor.copy())
            item = (prepared, perf_counter_ns() - start)
            joins = self.spec.dynamic and len(group) < _FRAMES_PER_CALL
            if group and not (joins and prepared.tensor.shape == group[0][0].tensor.shape):
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    def _run_group(self, group: list[tuple[Prepared, int]], extras: tuple[bool, bool]) -> list[Result]:
        with self._lent() as scratch:
            start = perf_counter_ns()
            with FrameMemory(group[0][0].frame_shape):
                tensors = [prepared.tensor for prepared, _ in group]
                scores = self._run(tensors[0] if len(group) == 1 else np.concatenate(tensors), scratch)
            share_ns = (perf_counter_ns() - start) // len(group)
            results: list[Result] = []
            for index, (prepared, pre_ns) in enumerate(group):
                own = scores[index : index + 1]
                start = perf_counter_ns()
                mask = self._finish(own, prepared, scratch)
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
        from edgeseg.runtime.frame.extras import extras_of

        start = perf_counter_ns()
        with FrameMemory(prepared.frame_shape):
            planes, found = extras_of(mask, scores, self.spec, prepared, extras)
        times["extras"] = (perf_counter_ns() - start) / 1e6
        return Result(mask, planes, found, times)
