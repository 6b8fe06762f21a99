import json
import re
import sys

import numpy as np
import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.process.launch import WorkerDied
from edgeseg.benchmarks.results.result_file import read_result, to_json, write_result
from edgeseg.runtime.errors import FrameError, MeasureError

COLD = {
    "status": "ok",
    "load_ms": 4.0,
    "init_ms": 1.0,
    "first_inference_ms": 2.0,
    "baseline_mib": 50.0,
    "init_mib": 60.0,
    "peak_mib": 70.0,
    "mask_sha256": "0" * 64,
    "engine": "fake 1.0",
}


def run_of(job) -> dict:
    block = {"start_ns": 0, "pre_ns": [1000], "infer_ns": [2000], "post_ns": [3000]}
    values = {"warmup_runs": 3, "warmup_s": 0.1, "warmed_up": True, "unsettled": 0, "mask_sha256": "0" * 64}
    return {"status": "ok", **values, "blocks": [block] * job.config.blocks}


class FakeRunner:
    """Answers jobs without a process; ``faults`` maps (kind, subject) to what happens to it."""

    def __init__(self, faults=None) -> None:
        self.jobs, self.faults = [], faults or {}

    def __call__(self, job, on_subject):
        self.jobs.append(job)
        reply = {}
        for subject in job.subjects:
            on_subject(subject.name)
            fault = self.faults.get((job.kind, subject.name))
            if isinstance(fault, Exception):
                raise fault
            reply[subject.name] = fault or (COLD if job.kind == "cold" else run_of(job))
        return reply


CONFIG = HarnessConfig(processes=3, blocks=2)


def test_every_subject_alone_first_then_all_in_turns(make_subject, frame):
    runner = FakeRunner()
    result = measure([make_subject(n) for n in "abc"], frame, CONFIG, frame_name="part.png", runner=runner)
    assert [job.kind for job in runner.jobs] == ["cold"] * 3 + ["timing"] * 3
    # Each process begins its turns with another subject.
    assert ["".join(s.name for s in job.subjects) for job in runner.jobs[3:]] == ["abc", "bca", "cab"]
    row = result.row("b")
    assert row.status == "ok" and len(row.processes) == 3 and row.cold.engine == "fake 1.0"
    assert list(row.samples_ms()) == pytest.approx([0.006] * 6)
    assert row.step_values()["latency_ms"]["infer"] == {
        "p50": pytest.approx(0.002),
        "p90": pytest.approx(0.002),
        "n": 6,
    }
    assert (result.frame.name, result.frame.shape) == ("part.png", (48, 64))


def test_rows_say_what_file_was_measured(make_subject, frame):
    subject = make_subject("a", params=1234, macs=99, accuracy={"test": {"dice_mean": 0.7}})
    row = measure([subject], frame, CONFIG, runner=FakeRunner()).row("a")
    assert row.model.sha256 == subject.sha256() and row.model.bytes == subject.model.stat().st_size
    assert (row.model.params, row.model.macs, row.accuracy["test"]["dice_mean"]) == (1234, 99, 0.7)


def test_what_cannot_run_is_a_row_and_is_not_asked_again(make_subject, frame):
    faults = {("cold", "b"): {"status": "unsupported", "reason": "litert is not installed"}}
    runner = FakeRunner(faults)
    result = measure([make_subject(n) for n in "ab"], frame, CONFIG, runner=runner)
    assert (result.row("b").status, result.row("b").reason) == ("unsupported", "litert is not installed")
    assert result.row("b").step_values()["latency_ms"] is None
    assert result.row("a").status == "ok"
    assert all([s.name for s in job.subjects] == ["a"] for job in runner.jobs[2:])


@pytest.mark.parametrize("kind", ["cold", "timing"])
def test_a_subject_that_kills_its_worker_is_failed_and_the_others_go_on(kind, make_subject, frame):
    runner = FakeRunner({(kind, "b"): WorkerDied("b", "signal 11")})
    result = measure([make_subject(n) for n in "ab"], frame, CONFIG, runner=runner)
    assert (result.row("b").status, result.row("b").reason, result.row("b").processes) == ("failed", "signal 11", ())
    assert result.row("a").status == "ok" and len(result.row("a").processes) == 3


def test_nothing_can_run(make_subject, frame):
    result = measure(
        [make_subject("a")], frame, CONFIG, runner=FakeRunner({("cold", "a"): WorkerDied(None, "exit code 1")})
    )
    assert result.row("a").reason == "exit code 1" and len(result.rows) == 1


def test_a_worker_that_cannot_start_at_all(make_subject, frame):
    runner = FakeRunner({("timing", "a"): WorkerDied(None, "no memory")})
    with pytest.raises(MeasureError, match="could not start: no memory"):
        measure([make_subject(n) for n in "ab"], frame, CONFIG, runner=runner)


def test_progress_rises_from_0_to_nearly_1(make_subject, frame):
    told: list[float] = []

    def runner(job, on_subject):
        for subject in job.subjects * (1 if job.kind == "cold" else 2 + job.config.blocks):
            on_subject(subject.name)
        return FakeRunner()(job, lambda name: None)

    measure([make_subject(n) for n in "ab"], frame, CONFIG, progress=lambda d, _: told.append(d), runner=runner)
    assert told == sorted(told) and told[0] == 0 and 0.9 < told[-1] < 1


def test_nonsense_is_refused(make_subject, frame):
    subject = make_subject("a")
    for wrong in ([], [subject, subject]):
        with pytest.raises(MeasureError, match="names of their own"):
            measure(wrong, frame, CONFIG, runner=FakeRunner())
    with pytest.raises(FrameError, match="float"):
        measure([subject], frame.astype(np.float32), CONFIG, runner=FakeRunner())
    subject.model.unlink()
    with pytest.raises(MeasureError, match="not there"):
        measure([subject], frame, CONFIG, runner=FakeRunner())


def test_two_real_models_in_real_processes(make_subject, frame, tiny_config, tmp_path):
    result = measure([make_subject("a"), make_subject("b", 32)], frame, tiny_config)
    for row in result.rows:
        assert row.status == "ok", row.reason
        assert len(row.processes) == 2 and row.distribution().n >= 8
        assert len({p.mask_sha256 for p in row.processes} | {row.cold.mask_sha256}) == 1
    assert "few processes" in {caution.check for caution in result.warnings}
    write_result(result, tmp_path / "r.json")
    assert to_json(read_result(tmp_path / "r.json")) == to_json(result)


def test_a_result_names_no_host_no_user_and_no_folder(make_subject, frame, tiny_config, tmp_path):
    broken = make_subject("broken")
    broken.model.write_bytes(b"nothing")
    text = json.dumps(to_json(measure([make_subject("a"), broken], frame, tiny_config)))
    import getpass
    import socket

    assert socket.gethostname() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert str(tmp_path) not in text and sys.prefix not in text
    assert not re.search(r'"/(home|tmp|root|usr|work)/', text)
