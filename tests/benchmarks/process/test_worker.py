import json
import subprocess
import sys

import numpy as np
import pytest

from edgeseg.benchmarks.machine.memory import peak_memory_mib
from edgeseg.benchmarks.process.events import failure, read_event, without_paths
from edgeseg.benchmarks.process.job import Job
from edgeseg.benchmarks.process.worker import run_job
from edgeseg.runtime.errors import BackendError, MeasureError


@pytest.fixture
def frame_file(tmp_path, frame):
    np.save(tmp_path / "frame.npy", frame)
    return tmp_path / "frame.npy"


def ask(job: Job) -> tuple[dict, str]:
    """The worker as the harness starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.benchmarks.process.worker"],
        input=json.dumps(job.to_json()),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_timing_of_two_real_models(make_subject, frame_file, tiny_config):
    reply, chatter = ask(Job("timing", (make_subject("a"), make_subject("b", 16)), frame_file, tiny_config))
    for name in "ab":
        values = reply[name]
        assert values["status"] == "ok" and len(values["blocks"]) == 2
        for block in values["blocks"]:
            assert len(block["pre_ns"]) == len(block["infer_ns"]) == len(block["post_ns"]) >= 2
            assert all(isinstance(ns, int) and ns > 0 for ns in block["infer_ns"])
    events = [subject for line in chatter.splitlines() if (subject := read_event(line))]
    assert events == ["a", "b"] + ["a", "b"] + ["a", "b"] * 2  # opening, warm-up, blocks


def test_cold_start_of_a_real_model(make_subject, frame_file, tiny_config):
    reply, _ = ask(Job("cold", (make_subject("a"),), frame_file, tiny_config))
    values = reply["a"]
    assert values["status"] == "ok" and values["engine"].startswith("onnxruntime ")
    assert values["load_ms"] > values["init_ms"] > 0 and values["first_inference_ms"] > 0
    if sys.platform == "linux":
        assert 10 < values["baseline_mib"] < values["init_mib"] <= values["peak_mib"] < 2000


def test_cold_and_timing_see_the_same_mask(make_subject, frame_file, tiny_config):
    subject = make_subject("a")
    cold, _ = ask(Job("cold", (subject,), frame_file, tiny_config))
    timing, _ = ask(Job("timing", (subject,), frame_file, tiny_config))
    assert cold["a"]["mask_sha256"] == timing["a"]["mask_sha256"]


def test_a_broken_model_is_a_reason_and_does_not_stop_the_other(make_subject, frame_file, tiny_config):
    broken, whole = make_subject("broken"), make_subject("whole")
    broken.model.write_bytes(b"no model at all")
    reply, _ = ask(Job("timing", (broken, whole), frame_file, tiny_config))
    assert reply["broken"]["status"] in ("unsupported", "failed") and reply["broken"]["reason"]
    assert str(broken.model.parent) not in reply["broken"]["reason"]
    assert reply["whole"]["status"] == "ok"


def test_what_an_engine_prints_is_not_in_the_answer(make_subject, frame_file, tiny_config):
    code = (
        "import os, sys\n"
        "from edgeseg.benchmarks.process import worker\n"
        "real = worker.open_segmenter\n"
        "def loud(subject, threads):\n"
        "    os.write(1, b'engine banner\\n'); print('and more'); return real(subject, threads)\n"
        "worker.open_segmenter = loud\n"
        "sys.exit(worker.main())\n"
    )
    job = json.dumps(Job("cold", (make_subject("a"),), frame_file, tiny_config).to_json())
    done = subprocess.run([sys.executable, "-c", code], input=job, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["a"]["status"] == "ok"
    assert "engine banner" in done.stderr


def test_fakes_give_exact_numbers(make_stages, make_subject, frame_file, tiny_config, clock):
    job = Job("cold", (make_subject("a"),), frame_file, tiny_config)
    opened = []

    def open_subject(subject, threads):
        clock.spend(5_000_000 if not opened else 1_000_000)
        opened.append(make_stages(infer_ns=[9_000_000, 1_000_000]))
        assert threads == tiny_config.threads
        return opened[-1]

    values = run_job(job, open_subject, clock, lambda name: None)["a"]
    assert (values["load_ms"], values["init_ms"], values["first_inference_ms"]) == (5.0, 1.0, 9.15)
    assert all(stages.closed for stages in opened) and len(opened) == 2


def test_a_missing_engine_is_unsupported_and_a_fault_is_failed(make_subject, frame_file, tiny_config, clock):
    def nothing(subject, threads):
        raise BackendError("litert is not installed: pip install edgeseg[litert]")

    reply = run_job(Job("cold", (make_subject("a"),), frame_file, tiny_config), nothing, clock, lambda name: None)
    assert reply["a"] == {"status": "unsupported", "reason": "litert is not installed: pip install edgeseg[litert]"}
    assert failure(ValueError("odd"))["reason"] == "ValueError: odd"
    assert failure(MeasureError("odd")) == {"status": "failed", "reason": "odd"}
    assert failure(MemoryError())["reason"] == "MemoryError: MemoryError"


def test_a_job_survives_the_way_through_json(make_subject, frame_file, tiny_config):
    job = Job("timing", (make_subject("a"),), frame_file, tiny_config)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


@pytest.mark.parametrize("broken", [None, {}, {"kind": "other", "subjects": [], "frame": "f", "config": {}}])
def test_a_job_that_is_none_is_refused(broken):
    with pytest.raises(MeasureError, match="cannot read"):
        Job.from_json(broken)


def test_paths_are_cut_down_to_their_last_part():
    assert without_paths("Load model from /tmp/x-1/a/model.onnx failed: no") == "Load model from model.onnx failed: no"
    assert without_paths("ratio 1/2, 30 m/s, and/or") == "ratio 1/2, 30 m/s, and/or"


def test_lines_that_are_no_events():
    assert read_event("warning: something") is None
    assert read_event("@edgeseg-worker {broken") is None


def test_peak_memory_is_read_from_the_status_file(tmp_path):
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n")
    assert peak_memory_mib(tmp_path / "status") == 2.0
    (tmp_path / "status").write_text("Name:\tx\n")
    assert peak_memory_mib(tmp_path / "status") is None
