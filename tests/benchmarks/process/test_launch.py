import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.process.events import EVENT_MARK
from edgeseg.benchmarks.process.job import Job
from edgeseg.benchmarks.process.launch import WorkerDied, run_worker


@pytest.fixture
def job(make_subject, tmp_path):
    return Job("cold", (make_subject("a"),), tmp_path / "frame.npy", HarnessConfig(timeout_s=30))


PRELUDE = f"""
import json, os, sys, time
def say(name):
    print({EVENT_MARK!r} + json.dumps({{"subject": name}}), file=sys.stderr, flush=True)
"""


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", PRELUDE + code)


def test_an_answer_and_what_was_said_on_the_way(job):
    heard: list[str] = []
    code = "sys.stdin.read(); print('chatter', file=sys.stderr); say('a'); say('b'); print(json.dumps({'a': 1}))"
    assert run_worker(job, heard.append, script(code)) == {"a": 1}
    assert heard == ["a", "b"]


def test_a_crash_names_its_subject_and_the_last_line(job):
    code = "sys.stdin.read(); say('a'); raise SystemExit('out of arena at /home/jo/x/model.onnx')"
    with pytest.raises(WorkerDied, match=r"exit code 1: out of arena at model\.onnx") as death:
        run_worker(job, lambda name: None, script(code))
    assert death.value.subject == "a"


def test_a_signal_is_named(job):
    with pytest.raises(WorkerDied, match="signal 11") as death:
        run_worker(job, lambda name: None, script("say('b'); os.kill(os.getpid(), 11)"))
    assert death.value.subject == "b"


def test_a_worker_that_dies_before_its_first_word(job):
    with pytest.raises(WorkerDied, match="exit code 7: no message") as death:
        run_worker(job, lambda name: None, script("os._exit(7)"))
    assert death.value.subject is None


def test_a_silent_worker_is_ended(job):
    quick = Job(job.kind, job.subjects, job.frame, HarnessConfig(timeout_s=3))
    began = time.monotonic()
    with pytest.raises(WorkerDied, match=r"no sign of life for 3 s.*--timeout") as death:
        run_worker(quick, lambda name: None, script("say('a'); time.sleep(60)"))
    assert death.value.subject == "a" and time.monotonic() - began < 55


def test_an_answer_that_is_no_json(job):
    with pytest.raises(WorkerDied, match="no JSON"):
        run_worker(job, lambda name: None, script("sys.stdin.read(); print('hello')"))


def test_much_chatter_does_not_block(job):
    code = "sys.stdin.read(); [print('y' * 200, file=sys.stderr) for _ in range(5000)]; print('{}')"
    assert run_worker(job, lambda name: None, script(code)) == {}


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_ends_with_the_parent_that_is_terminated():
    worker = (sys.executable, "-c", PRELUDE + "say(str(os.getpid())); time.sleep(60)")
    parent = f"""
from edgeseg.benchmarks.process.launch import run_worker

class Task:
    timeout_s = 60.0
    def to_json(self):
        return {{}}

run_worker(Task(), lambda name: print(name, flush=True), {worker!r})
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        number = int(process.stdout.readline())
        assert _is_running(number)
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    end = time.monotonic() + 30
    while _is_running(number) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _is_running(number)
