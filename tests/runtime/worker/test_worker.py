"""A Worker with a real engine: the masks of a Segmenter, also when the engine's process is killed, crashes or hangs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.runtime import Segmenter, Worker, WorkerConfig
from edgeseg.runtime.errors import (
    BackendError,
    BundleError,
    ConfigError,
    EdgesegError,
    FrameError,
    LateError,
    WorkerError,
)
from edgeseg.runtime.worker import child, shared
from edgeseg.runtime.worker.answer import Answer

VARIANT = "onnx-fp32"
PATIENT_S = 600.0  # a machine that holds everything still for a while must not look like an engine that hangs
PATIENT = WorkerConfig(hang_s=PATIENT_S)
REJECT = WorkerConfig(hang_s=PATIENT_S, on_late="reject", on_error="reject")
FRAMES = [np.full((40 + n, 50, *channels), 20 + 40 * n, np.uint8) for n in range(6) for channels in ((), (3,))]


@pytest.fixture(scope="module")
def worker(tiny_bundle: Path) -> Iterator[Worker]:
    with Worker.open(tiny_bundle, VARIANT, 1, PATIENT) as opened:
        yield opened


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Iterator[Segmenter]:
    with Segmenter.open(tiny_bundle, VARIANT, 1) as opened:
        yield opened


def mask_of(answer: Answer) -> np.ndarray:
    assert answer.result is not None, answer.reason
    return answer.result.mask


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int, within_s: float = 20) -> bool:
    end = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


def in_the_middle(worker: Worker, frame: np.ndarray, strike: Callable[[int], None]) -> Answer:
    """Ask while the process is stopped, so that `strike(its number)` comes when it has the frame but no answer."""
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, strike, [pid])
    timer.start()
    try:
        return worker(frame)
    finally:
        timer.join()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def crash(pid: int) -> None:
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)


def nothing(pid: int) -> None:
    """It stays stopped, as an engine that hangs."""


def test_it_answers_as_a_segmenter(worker: Worker, segmenter: Segmenter) -> None:
    for frame in (*FRAMES, FRAMES[1][::2, ::-1], FRAMES[0][:, :, None]):
        answer, right = worker(frame, probability=True, regions=True), segmenter(frame, probability=True, regions=True)
        np.testing.assert_array_equal(mask_of(answer), right.mask)
        assert answer.result is not None and answer.result.regions == right.regions
        np.testing.assert_array_equal(answer.result.probability, right.probability)  # type: ignore[arg-type]
        assert (answer.status, answer.tries, answer.reason) == ("ok", 1, None)
        assert answer.decision == ("reject" if right.regions else "good")
        assert set(answer.result.timings_ms) == set(right.timings_ms)
    assert worker(FRAMES[0]).decision is None  # nobody asked for regions


def test_a_mask_is_the_caller_s_own(worker: Worker) -> None:
    dark, bright = FRAMES[0], FRAMES[-2]
    first = mask_of(worker(dark))
    kept = first.copy()
    worker(bright)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("strike", "hang_s"),
    [(kill, PATIENT_S), (crash, PATIENT_S), (nothing, 3)],
    ids=["SIGKILL", "SIGSEGV", "SIGSTOP"],
)
def test_a_crash_in_the_middle_of_a_thousand_frames_costs_none(
    tiny_bundle: Path, segmenter: Segmenter, strike: Callable[[int], None], hang_s: float
) -> None:
    right = [segmenter(frame).mask for frame in FRAMES]
    with Worker.open(tiny_bundle, VARIANT, 1, WorkerConfig(hang_s=hang_s)) as worker:
        tries = []
        for number in range(1000):
            index = number % len(FRAMES)
            frame = FRAMES[index]
            answer = in_the_middle(worker, frame, strike) if number == 500 else worker(frame)
            np.testing.assert_array_equal(mask_of(answer), right[index])
            tries.append(answer.tries)
    assert [number for number, n in enumerate(tries) if n != 1] == [500] and tries[500] == 2
    counts = worker.counts
    assert (counts.frames, counts.ok, counts.errors, counts.retried, counts.restarts) == (1000, 1000, 0, 1, 1)


def test_a_frame_that_crashes_the_engine_twice_is_reported_and_the_others_are_segmented(tiny_bundle: Path) -> None:
    with Worker.open(tiny_bundle, VARIANT, 1, REJECT) as worker:

        def twice(pid: int) -> None:
            kill(pid)
            while (other := worker.pid) in (None, pid):
                time.sleep(0.001)
            kill(other)  # type: ignore[arg-type]

        answers = [in_the_middle(worker, FRAMES[0], twice) if n == 500 else worker(FRAMES[0]) for n in range(1000)]
    wrong = [number for number, answer in enumerate(answers) if answer.status != "ok"]
    assert wrong == [500] and sum(answer.result is not None for answer in answers) == 999
    assert (answers[500].status, answers[500].decision, answers[500].tries) == ("error", "reject", 2)
    assert "2 times" in str(answers[500].reason) and "SIGKILL" in str(answers[500].reason)
    counts = answers[-1].counts
    assert (counts.ok, counts.errors, counts.restarts) == (999, 1, 2)


def test_a_frame_is_late_and_the_next_gets_its_own_mask(tiny_bundle: Path, segmenter: Segmenter) -> None:
    config = WorkerConfig(deadline_ms=300, hang_s=PATIENT_S, on_late="reject")
    with Worker.open(tiny_bundle, VARIANT, 1, config) as worker:
        late = in_the_middle(worker, FRAMES[0], nothing)
        assert (late.status, late.result, late.decision) == ("late", None, "reject")
        assert worker(FRAMES[4]).status == "late"  # it waits for the first one, and not for ever
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGCONT)
        # A machine that is busy elsewhere may be late again, but never with another frame's mask.
        answers = [worker(FRAMES[-2]) for _ in range(50)]
        in_time = [answer for answer in answers if answer.status == "ok"]
        assert in_time and answers[-1].counts.restarts == 0
        for answer in in_time:
            np.testing.assert_array_equal(mask_of(answer), segmenter(FRAMES[-2]).mask)
        assert answers[-1].counts.late == 2 + len(answers) - len(in_time)


def test_late_frames_can_be_errors(tiny_bundle: Path) -> None:
    with Worker.open(tiny_bundle, VARIANT, 1, WorkerConfig(deadline_ms=50, hang_s=PATIENT_S)) as worker:
        with pytest.raises(LateError, match="50 ms"):
            in_the_middle(worker, FRAMES[0], nothing)
        assert worker.counts.late == 1


def test_an_engine_that_hangs_is_started_again_though_each_frame_is_late(tiny_bundle: Path) -> None:
    config = WorkerConfig(deadline_ms=200, hang_s=1, on_late="reject")
    with Worker.open(tiny_bundle, VARIANT, 1, config) as worker:
        in_the_middle(worker, FRAMES[0], nothing)
        end = time.monotonic() + 60
        while worker(FRAMES[0]).status != "ok" and time.monotonic() < end:
            pass
        assert worker.counts.restarts >= 1 and worker.counts.ok == 1


def test_a_bad_frame_is_the_caller_s_fault_and_no_reason_to_start_again(tiny_bundle: Path, worker: Worker) -> None:
    bad = [None, np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
    for frame in bad:
        with pytest.raises(FrameError):
            worker(frame)  # type: ignore[arg-type]
    assert worker.counts.restarts == 0
    with Worker.open(tiny_bundle, VARIANT, 1, REJECT) as rejecting:
        answers = [rejecting(frame) for frame in bad]  # type: ignore[arg-type]
        assert {(one.status, one.decision, one.tries) for one in answers} == {("error", "reject", 1)}
        assert answers[-1].counts.errors == len(bad)


def test_it_opens_what_a_segmenter_opens_and_refuses_the_rest_likewise(tiny_bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.edgeseg"
    damaged.write_bytes(tiny_bundle.read_bytes()[:-100])
    for path, variant in ((damaged, None), (tmp_path / "none.edgeseg", None), (tiny_bundle, "onnx-fp3")):
        with pytest.raises(BundleError) as by_worker:
            Worker.open(path, variant)
        with pytest.raises(BundleError) as by_segmenter:
            Segmenter.open(path, variant)
        assert path.name in str(by_worker.value) and "/dev/fd" not in str(by_worker.value)
        assert str(by_worker.value).split(path.name)[-1] == str(by_segmenter.value).split(path.name)[-1]


@pytest.mark.parametrize(
    "changes",
    [{"deadline_ms": 0}, {"hang_s": -1}, {"on_late": "wait"}, {"memory_mib": True}, {"start_s": float("nan")}],
)
def test_a_config_that_means_nothing_is_refused(changes: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        WorkerConfig(**changes)


def test_more_memory_than_allowed_is_an_error_of_that_frame(tmp_path: Path, tiny_onnx) -> None:
    step = step_folder(tmp_path, tiny_onnx())
    with Worker.open(step, None, 1, WorkerConfig(hang_s=PATIENT_S, memory_mib=300, on_error="reject")) as worker:
        small, large = np.zeros((64, 64), np.uint8), np.zeros((4000, 4000), np.uint8)
        assert worker(small).status == "ok"
        answer = worker(large)  # its float copies take more than 64 MiB each, several at once
        assert answer.status == "error" and "emory" in str(answer.reason), answer
        assert answer.tries == 2  # it might have lost its memory bit by bit
        assert worker(small).status == "ok"
    with Worker.open(step, None, 1, PATIENT) as unlimited:
        assert unlimited(large).status == "ok"


def test_a_frame_larger_than_memory_is_refused_before_it_is_copied(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "available_mib", lambda: 100)
    with pytest.raises(FrameError, match="100 MiB are free"):
        worker(np.broadcast_to(np.zeros((1, 1), np.uint8), (100_000, 100_000)))  # 10 gigapixels in one byte
    assert worker(FRAMES[0]).status == "ok"


def test_a_call_that_is_interrupted_leaves_its_mask_to_nobody_else(tiny_bundle: Path, segmenter: Segmenter) -> None:
    class StopError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StopError

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with Worker.open(tiny_bundle, VARIANT, 1, PATIENT) as worker:
            assert worker.pid is not None
            for _ in range(5):
                with pytest.raises(StopError):
                    in_the_middle(worker, FRAMES[0], lambda pid: os.kill(os.getpid(), signal.SIGUSR1))
                os.kill(worker.pid, signal.SIGCONT)
                np.testing.assert_array_equal(mask_of(worker(FRAMES[-2])), segmenter(FRAMES[-2]).mask)
            assert worker.counts.restarts == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_bundle_that_is_replaced_is_served_as_it_was(tmp_path: Path, tiny_bundle: Path, tiny_onnx) -> None:
    path, other = tmp_path / "line.edgeseg", tmp_path / "new.edgeseg"
    shutil.copy(tiny_bundle, path)
    with Worker.open(path, VARIANT, 1, PATIENT) as worker, Segmenter.open(path, VARIANT, 1) as segmenter:
        before = segmenter(FRAMES[4]).mask
        other.write_bytes(b"another bundle")
        other.replace(path)
        np.testing.assert_array_equal(segmenter(FRAMES[4]).mask, before)
        answer = in_the_middle(worker, FRAMES[4], kill)
        assert answer.tries == 2
        np.testing.assert_array_equal(mask_of(answer), before)


def test_a_file_that_is_written_over_is_never_served_by_a_restart(tmp_path: Path, tiny_onnx) -> None:
    step = step_folder(tmp_path, tiny_onnx())
    with Worker.open(step, None, 1, REJECT) as worker:
        assert worker(FRAMES[0]).status == "ok"
        spec = json.loads((step / "spec.json").read_text())
        (step / "spec.json").write_text(json.dumps(spec | {"classes": ["a", "b", "c"]}))
        answer = in_the_middle(worker, FRAMES[0], kill)
        assert answer.status == "error" and "replaced" in str(answer.reason)


def test_a_bundle_that_is_copied_over_in_place_is_never_served_by_a_restart(
    tmp_path: Path, tiny_bundle: Path, segmenter: Segmenter
) -> None:
    """`cp new.edgeseg line.edgeseg` writes into the very file that is held open: every hash in it is right."""
    path = tmp_path / "line.edgeseg"
    shutil.copy(tiny_bundle, path)
    with Worker.open(path, VARIANT, 1, REJECT) as worker:
        path.write_bytes(tiny_bundle.read_bytes())  # it might be any other of the same spec
        np.testing.assert_array_equal(mask_of(worker(FRAMES[0])), segmenter(FRAMES[0]).mask)
        answer = in_the_middle(worker, FRAMES[0], kill)
        assert answer.status == "error" and "written over" in str(answer.reason)
        assert worker(FRAMES[0]).status == "error"


def test_a_core_count_that_changes_is_no_other_model(tiny_bundle: Path) -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("this process may run on one core only")
    with Worker.open(tiny_bundle, VARIANT, None, PATIENT) as worker:
        os.sched_setaffinity(0, {min(cores)})  # and of what is started from here
        try:
            assert in_the_middle(worker, FRAMES[0], kill).tries == 2
        finally:
            os.sched_setaffinity(0, cores)


def test_two_processes_and_two_threads_on_one_bundle(tiny_bundle: Path, segmenter: Segmenter) -> None:
    right = [segmenter(frame).mask for frame in FRAMES]
    with Worker.open(tiny_bundle, VARIANT, 1, PATIENT) as one, Worker.open(tiny_bundle, VARIANT, 1, PATIENT) as other:
        assert one.pid != other.pid

        def work(number: int) -> None:
            for step in range(60):
                index = (number + step) % len(FRAMES)
                np.testing.assert_array_equal(mask_of((one, other)[number % 2](FRAMES[index])), right[index])

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, number) for number in range(4)]:
                done.result()
        assert one.counts.ok + other.counts.ok == 240


def test_it_says_what_runs_and_warms_up(worker: Worker, segmenter: Segmenter) -> None:
    before = worker.counts
    worker.warm_up()
    worker.warm_up((30, 40))
    assert worker.counts == before  # no frame of anybody's
    told = json.loads(json.dumps(worker.describe()))
    assert {name: told[name] for name in ("variant", "engine", "threads", "spec")} == segmenter.describe()
    assert (told["variant"], told["threads"], told["pid"]) == (VARIANT, 1, worker.pid)
    assert told["config"]["deadline_ms"] is None and told["counts"]["restarts"] == 0


def test_nothing_is_left_behind(tiny_bundle: Path) -> None:
    def handles() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = handles()
    for _ in range(2):
        worker = Worker.open(tiny_bundle, VARIANT, 1)
        pid = worker.pid
        in_the_middle(worker, FRAMES[0], kill)
        worker.close()
        worker.close()
        assert worker.pid is None and pid is not None and not is_alive(pid)
        with pytest.raises(BackendError, match="closed"):
            worker(FRAMES[0])
        with pytest.raises(EdgesegError):
            Worker.open(tiny_bundle, "no-such-variant")
    assert handles() == before


def test_a_restart_is_logged_with_its_facts(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Worker.open(tiny_bundle, VARIANT, 1, PATIENT) as worker, caplog.at_level("INFO", "edgeseg.runtime"):
        pid = worker.pid
        in_the_middle(worker, FRAMES[0], kill)
    told = {record.event: record for record in caplog.records}  # type: ignore[attr-defined]
    restarted = told["engine_restarted"]
    assert (restarted.pid, restarted.restarts, restarted.levelname) == (pid, 1, "WARNING")  # type: ignore[attr-defined]
    assert "SIGKILL" in restarted.getMessage()
    assert told["engine_started"].variant == VARIANT  # type: ignore[attr-defined]


SCRIPT = """
import signal, sys, time
from pathlib import Path
import numpy as np
from edgeseg.runtime import Worker

if sys.argv[2] == "clean":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
with Worker.open(Path(sys.argv[1]), "onnx-fp32", 1) as worker:
    print(worker.pid, flush=True)
    while True:
        worker(np.zeros((600, 600), np.uint8))
"""


@pytest.mark.parametrize(
    ("how", "sent", "code"),
    [("clean", signal.SIGTERM, 7), ("plain", signal.SIGTERM, -signal.SIGTERM), ("plain", signal.SIGKILL, -9)],
)
def test_the_engine_ends_with_who_started_it(tiny_bundle: Path, how: str, sent: signal.Signals, code: int) -> None:
    # Without `if __name__ == "__main__"`: the script is not run again in the engine's process.
    command = [sys.executable, "-c", SCRIPT, str(tiny_bundle), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        pid = int(script.stdout.readline())
        os.kill(pid, signal.SIGTERM)  # as a service manager does to both: who asks decides
        time.sleep(0.3)
        assert is_alive(pid)
        script.send_signal(sent)
        assert script.wait(60) == code
    assert gone(pid)


def test_a_process_that_ends_while_it_opens_is_an_error(tiny_bundle: Path) -> None:
    # As a hostile model file may end it; here for want of memory to load its libraries, which works with any engine.
    with pytest.raises(WorkerError, match=r"tiny\.edgeseg: opening it failed twice.*memory_mib \(1\)"):
        Worker.open(tiny_bundle, VARIANT, 1, WorkerConfig(memory_mib=1))


def step_folder(tmp_path: Path, model) -> Path:
    """A step's folder of a model that takes frames of any size."""
    path, spec = model
    folder = tmp_path / "step"
    folder.mkdir()
    shutil.copy(path, folder / "model.onnx")
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    return folder


def test_a_program_with_all_its_files_open_is_told_and_loses_none(tiny_bundle: Path, monkeypatch) -> None:
    made = iter([os.memfd_create("one")])

    def memory(name: str) -> int:
        try:
            return next(made)
        except StopIteration:
            raise OSError(errno.EMFILE, "Too many open files") from None

    monkeypatch.setattr(shared.os, "memfd_create", memory)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(WorkerError, match="Too many open files"):
        Worker.open(tiny_bundle, VARIANT, 1, PATIENT)
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1  # the one block that was had


def test_an_engine_that_cannot_read_is_no_caller_that_is_gone() -> None:
    said: list[dict[str, Any]] = []

    class Once:
        requests = iter([{"shape": [2, 2], "dtype": "uint8", "probability": False, "regions": False}])

        def receive(self, timeout_s: float | None) -> dict[str, Any]:
            try:
                return next(self.requests)
            except StopIteration:
                raise EOFError from None

        def send(self, message: dict[str, Any]) -> None:
            said.append(message)

    def engine(frame: np.ndarray, **_: bool) -> None:
        raise OSError(errno.EIO, "Input/output error")

    memory = shared.SharedMemory(), shared.SharedMemory()
    with pytest.raises(EOFError):
        child._serve(engine, Once(), memory)
    assert len(said) == 1 and "Input/output error" in json.dumps(said[0])
    for one in memory:
        one.close()
