"""A Segmenter between threads and processes: every mask is right, or an error says what to do. Never a wrong mask."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime import Segmenter
from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import BackendError, FrameError
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

Make = Callable[..., tuple[Path, ModelSpec]]
Model = tuple[Path, ModelSpec]

VARIATIONS: dict[str, dict[str, Any]] = {
    "float": {},
    "uint8": {"dtype": "uint8", "scale": 0.1, "zero_point": 100},
    "int8": {"dtype": "int8", "scale": 0.1, "zero_point": -20, "layout": "NHWC"},
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid-uint8": {"activation": "sigmoid", "dtype": "uint8", "scale": 0.1, "zero_point": 100},
    "class-ids": {"kind": "class_ids", "dtype": "uint8"},
    "resize": {"geometry": Geometry("resize", 64, 96)},
    "tile": {"geometry": Geometry("tile", tile_px=64, overlap_px=16)},
    "openvino": {"backend": "openvino"},
    "openvino-uint8": {"backend": "openvino", "dtype": "uint8", "scale": 0.1, "zero_point": 100},
    "openvino-class-ids": {"backend": "openvino", "kind": "class_ids", "dtype": "uint8"},
}


@pytest.fixture(params=[*VARIATIONS, "litert"])
def model(request: pytest.FixtureRequest, tiny_onnx: Make) -> Model:
    """The tiny model, for every way from scores to a mask and every engine."""
    if request.param == "litert":
        return request.getfixturevalue("tiny_tflite")
    changes = VARIATIONS[request.param]
    pytest.importorskip(changes.get("backend", "onnxruntime"))
    return tiny_onnx(**changes)


@pytest.fixture(params=sorted(name for name, engine in ENGINES.items() if not engine.needs_gpu))
def engine_model(request: pytest.FixtureRequest, tiny_onnx: Make) -> Model:
    """The tiny model in every engine, as a file of 64x64."""
    if request.param == "litert":
        return request.getfixturevalue("tiny_tflite")
    pytest.importorskip(request.param)
    return tiny_onnx(geometry=Geometry("resize", 64, 64), backend=request.param)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads that take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def frames() -> list[np.ndarray]:
    """Frames of two sizes with blobs of every class, each with another mask."""
    rng = np.random.default_rng(3)
    coarse = [rng.integers(0, 256, (9 + index, 12), np.uint8) for index in range(6)]
    return [one.repeat(40 if index % 2 else 32, 0).repeat(40, 1) for index, one in enumerate(coarse)]


def in_threads(work: Callable[[int], None], n: int = 3) -> None:
    """Run `work(thread's number)` in threads at once; the first error of any is raised here."""
    barrier = threading.Barrier(n)

    def begin(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(n) as pool:
        for done in [pool.submit(begin, number) for number in range(n)]:
            done.result()


def same(one: Any, other: Any) -> None:
    """Whether two results say the same."""
    np.testing.assert_array_equal(one.mask, other.mask)
    assert one.regions == other.regions
    if one.probability is not None:
        np.testing.assert_array_equal(one.probability, other.probability)


@pytest.mark.usefixtures("switching")
def test_threads_get_the_masks_they_asked_for(model: Model) -> None:
    asked, extra = frames(), {"regions": True, "probability": model[1].output.kind == "scores"}
    with Segmenter.from_file(*model, threads=1) as segmenter:
        right = [segmenter(frame, **extra) for frame in asked]

        def work(number: int) -> None:
            for step in range(12):
                index = (number + step) % len(asked)
                same(segmenter(asked[index]) if step % 3 else segmenter(asked[index], **extra), right_of(index, step))

        def right_of(index: int, step: int) -> Any:
            return right[index] if step % 3 == 0 else plain[index]

        plain = [segmenter(frame) for frame in asked]
        in_threads(work)


@pytest.mark.usefixtures("switching")
def test_batches_and_stages_may_be_mixed_with_calls(model: Model) -> None:
    asked = frames()
    with Segmenter.from_file(*model, threads=1) as segmenter:
        right = [segmenter(frame).mask for frame in asked]

        def work(number: int) -> None:
            for _ in range(4):
                if number == 0:
                    found = [one.mask for one in segmenter.batch(asked)]
                elif number == 1:
                    prepared = [segmenter.prepare(frame) for frame in asked]
                    scores = [segmenter.infer(one) for one in prepared]
                    found = [segmenter.finish(*both) for both in zip(scores, prepared, strict=True)]
                else:
                    found = [segmenter(frame).mask for frame in asked]
                for mask, truth in zip(found, right, strict=True):
                    np.testing.assert_array_equal(mask, truth)

        in_threads(work)


@pytest.mark.usefixtures("switching")
def test_a_backend_may_be_shared_too(engine_model: Model) -> None:
    tensors = [np.full((1, 64, 64, 1), value, np.uint8) for value in range(0, 256, 25)]
    with open_backend(*engine_model, threads=1) as backend:
        right = [backend.infer(tensor) for tensor in tensors]

        def work(number: int) -> None:
            for step in range(200):
                index = (number + step) % len(tensors)
                np.testing.assert_array_equal(backend.infer(tensors[index]), right[index])

        in_threads(work, 4)


@pytest.mark.parametrize("how", ["call", "batch"])
def test_close_waits_for_the_call_in_progress(engine_model: Model, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frames()[0]
    segmenter = Segmenter.from_file(*engine_model)
    right = segmenter(frame).mask
    entered, go = threading.Event(), threading.Event()
    infer = segmenter._backend.infer

    def slow(tensor: np.ndarray) -> np.ndarray:
        entered.set()
        assert go.wait(20)
        return infer(tensor)

    monkeypatch.setattr(segmenter._backend, "infer", slow)
    with ThreadPoolExecutor(3) as pool:
        calling = pool.submit(lambda: segmenter.batch([frame] * 3)[2] if how == "batch" else segmenter(frame))
        assert entered.wait(20)
        closing = pool.submit(segmenter.close)
        late = pool.submit(segmenter, frame)
        with pytest.raises(StillRunning):
            closing.result(0.2)
        go.set()
        np.testing.assert_array_equal(calling.result(20).mask, right)
        closing.result(20)
        # Begun before or after the flag is set: it is right or refused, as its turn comes.
        with pytest.raises(BackendError, match="closed"):
            assert (late.result(20).mask == right).all()
            segmenter(frame)
    for call in (segmenter, lambda one: segmenter.batch([one]), lambda one: segmenter.infer(segmenter.prepare(one))):
        with pytest.raises(BackendError, match="closed"):
            call(frame)
    segmenter.close()


def test_threads_in_a_loop_do_not_keep_close_waiting(engine_model: Model) -> None:
    frame = frames()[0]
    segmenter = Segmenter.from_file(*engine_model, threads=1)
    started = threading.Barrier(4)

    def work() -> str:
        segmenter(frame)
        started.wait()
        try:
            while True:
                segmenter(frame)
        except BackendError as err:
            return str(err)

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work) for _ in range(3)]
        started.wait()
        segmenter.close()
        assert {"closed" in one.result(20) for one in working} == {True}


def test_an_error_leaves_the_turn_free(engine_model: Model) -> None:
    frame = frames()[0]
    with Segmenter.from_file(*engine_model) as segmenter:
        right = segmenter(frame).mask
        for wrong in (np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)):
            with pytest.raises(FrameError):
                segmenter(wrong)
            with pytest.raises(FrameError):
                segmenter.batch([frame, wrong])
        with pytest.raises(BackendError):
            segmenter.finish(np.zeros((1, 2, 3), np.float32), segmenter.prepare(frame))
        with ThreadPoolExecutor(1) as pool:
            np.testing.assert_array_equal(pool.submit(segmenter, frame).result(20).mask, right)


def test_frames_may_be_made_by_the_segmenter_that_takes_them(engine_model: Model) -> None:
    frame = frames()[0]
    with Segmenter.from_file(*engine_model) as segmenter:
        mask = segmenter(frame).mask
        found = segmenter.batch(segmenter(frame).mask * 100 for _ in range(2))  # type: ignore[arg-type]
        np.testing.assert_array_equal(found[1].mask, segmenter(mask * 100).mask)


def test_a_signal_handler_that_calls_does_not_change_the_mask(model: Model) -> None:
    """The handler runs in the middle of whatever the main thread is at: of the engine's calls, or of its own planes."""
    asked = frames()
    with Segmenter.from_file(*model, threads=1) as segmenter:
        right = [segmenter(frame).mask for frame in asked]
        seen: list[str] = []

        def handler(*_: object) -> None:
            try:
                same_as = segmenter(asked[1]).mask
                seen.append("right" if (same_as == right[1]).all() else "wrong")
            except BackendError as err:
                seen.append("refused" if "within its own inference" in str(err) else str(err))
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0.0013)  # only now, or it would interrupt itself

        signal.signal(signal.SIGVTALRM, handler)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)
        try:
            for step in range(6000):  # an engine that takes nearly all of the time is nearly always what is interrupted
                index = (0, 2, 4)[step % 3]
                np.testing.assert_array_equal(segmenter(asked[index]).mask, right[index])
                if step >= 60 and "right" in seen:
                    break
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, signal.SIG_IGN)  # one may still be on its way
    assert "right" in seen
    assert set(seen) <= {"right", "refused"}


def test_a_call_from_within_the_engine_is_refused(engine_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = np.zeros((1, 64, 64, 1), np.uint8)
    with open_backend(*engine_model) as backend:
        infer = backend._infer
        monkeypatch.setattr(backend, "_infer", lambda one: backend.infer(one) if one is tensor else infer(one))
        with pytest.raises(BackendError, match="within its own inference"):
            backend.infer(tensor)
        backend.infer(tensor.copy())


@pytest.mark.parametrize("copies", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_neither_copied_nor_pickled(engine_model: Model, copies: Callable[[object], object]) -> None:
    with Segmenter.from_file(*engine_model) as segmenter:
        for one in (segmenter, segmenter._backend, {"held by": [segmenter]}):
            if copies is copy.copy and isinstance(one, dict):
                continue
            with pytest.raises(BackendError, match="open it in each process"):
                copies(one)


def _use(segmenter: Segmenter, frame: np.ndarray) -> int:
    return int(segmenter(frame).mask.sum())


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_a_process_that_is_not_forked_gets_the_error_too(engine_model: Model, start: str) -> None:
    context = multiprocessing.get_context(start)
    with Segmenter.from_file(*engine_model) as segmenter:
        with pytest.raises(BackendError, match="open it in each process"):
            context.Process(target=_use, args=(segmenter, frames()[0])).start()
        with ProcessPoolExecutor(1, context) as pool, pytest.raises(BackendError, match="open it in each process"):
            pool.submit(_use, segmenter, frames()[0]).result(60)


def forked(work: Callable[[], str]) -> str:
    """What `work` returns in a forked process, which ends without a word to this one's pytest."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = work()
        except BaseException as err:
            text = f"{type(err).__name__}: {err}"
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_is_told_to_open_its_own(engine_model: Model) -> None:
    frame = frames()[0]
    with Segmenter.from_file(*engine_model) as segmenter:
        right = segmenter(frame).mask
        prepared = segmenter.prepare(frame)
        scores = segmenter.infer(prepared)
        calls: dict[str, Callable[[], object]] = {
            "call": lambda: segmenter(frame),
            "batch": lambda: segmenter.batch([frame]),
            "no batch": lambda: segmenter.batch([]),
            "prepare": lambda: segmenter.prepare(frame),
            "infer": lambda: segmenter.infer(prepared),
            "finish": lambda: segmenter.finish(scores, prepared),
            "backend": lambda: segmenter._backend.infer(prepared.tensor),
        }
        with segmenter._lock:  # as a thread of the parent may hold it at that moment
            for name, call in calls.items():
                assert "Open it in the process that uses it" in forked(lambda call=call: str(call())), name
            assert forked(lambda: str(segmenter.close())) == "None"

        def own() -> str:
            with Segmenter.from_file(*engine_model, threads=1) as mine:
                return str((mine(frame).mask == right).all())

        # OpenVINO's threads do not come along, and what they hold is one for the whole process.
        says = "open the first model after the fork" if engine_model[1].backend == "openvino" else "True"
        assert says in forked(own)
        np.testing.assert_array_equal(segmenter(frame).mask, right)


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_may_drop_it_and_end(engine_model: Model) -> None:
    held = [Segmenter.from_file(*engine_model, threads=4)]
    held[0](frames()[0])

    def drop() -> str:
        held.clear()
        gc.collect()
        return "still there"

    assert forked(drop) == "still there"  # an engine that is freed without its threads ends the process
    held[0].close()


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_process_forked_in_the_middle_of_a_call_does_not_hang(engine_model: Model) -> None:
    frame = frames()[0]
    stop = threading.Event()
    with Segmenter.from_file(*engine_model, threads=1) as segmenter, ThreadPoolExecutor(1) as pool:

        def work() -> None:
            while not stop.is_set():
                segmenter(frame)

        working = pool.submit(work)
        try:
            for _ in range(10):
                assert "Open it in the process" in forked(lambda: str(segmenter(frame)))
        finally:
            stop.set()
        working.result(20)
