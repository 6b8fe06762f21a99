"""What a phone is asked, and what a row says of it, without a phone: a stand-in that answers as adb does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.golden import GoldenFrame
from edgeseg.benchmarks.results.table import to_text
from edgeseg.benchmarks.subject import Subject
from edgeseg.benchmarks.targets.adb.delegates import read_delegates
from edgeseg.benchmarks.targets.adb.model_run import ModelRun
from edgeseg.benchmarks.targets.adb.target import AdbTarget
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.one_tile import one_tile_each
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.spec.manifest import Geometry
from edgeseg.runtime.spec.model_spec import ModelSpec

DATA = Path(__file__).resolve().parents[2] / "data"
PHONE = DATA / "phone"
SAID = (DATA / "tools/benchmark_model_cpu.txt").read_text()


class Phone:
    """Its disk, and a `benchmark_model` that knows no `--output_filepath`."""

    def __init__(self, *hot: int) -> None:
        self.disk: dict[str, bytes] = {}
        self.hot = list(reversed(hot))  # Android's status, asked before and after

    def push(self, file, target):
        self.disk[target] = file.read_bytes()

    def pull(self, source, file):
        if source not in self.disk:
            raise MeasureError(f"{source} cannot be pulled")
        file.write_bytes(self.disk[source])

    def shell(self, *words):
        if words[:2] == ("rm", "-f"):
            self.disk.pop(words[2], None)

    def text(self, *words):
        name = words[1] if words[0] == "dumpsys" else words[0]
        said = (PHONE / f"{name}.txt").read_text() if (PHONE / f"{name}.txt").is_file() else ""
        if words == ("cat", "/proc/loadavg"):
            return "3.50 2.00 1.00 1/500 1000"
        return (
            said.replace("Thermal Status: 0", f"Thermal Status: {self.hot.pop()}") if "Thermal Status" in said else said
        )

    def stamped(self, *_words, timeout_s):
        return 0, [(None, line) for line in SAID.splitlines()]


@pytest.fixture
def subject():
    pytest.importorskip("ai_edge_litert")
    specs = json.loads((FOLDER / "specs.json").read_text())
    return Subject("fp32.tflite", FOLDER / "fp32.tflite", ModelSpec.from_json(specs["fp32.tflite"]))


def run_of(phone, subject, golden=()):
    frame = probe_frame()[0]
    job = Measurement((subject,), frame, "probe", HarnessConfig(threads=1, timeout_s=60), golden)
    return ModelRun(phone, "/at", "program", subject, read_delegates(("cpu",))[0], job)


def test_scores_of_an_earlier_file_are_not_taken_for_this_one_s(subject, tmp_path):
    phone, frame = Phone(), probe_frame()[0]
    phone.disk["/at/out"] = b"scores of another"
    golden = (GoldenFrame(frame, {subject.name: (np.zeros(frame.shape[:2], np.uint8), 1.0)}),)
    run = run_of(phone, subject, golden)
    run.look(tmp_path)
    run.time(0.1, 1)
    assert run.row().accuracy == {"agreement": {"frames": 0, "reason": "/at/out cannot be pulled"}}


def test_a_row_says_that_its_masks_were_not_compared_and_why(subject, make_result):
    run = run_of(Phone(), subject)
    run.time(0.1, 1)
    text = to_text(make_result(run.row(), frame=None))
    assert "fp32.tflite@cpu: masks were not compared: only a bundle brings frames with accepted masks" in text


def test_what_weakens_every_measurement_is_said_of_a_phone_s(subject, tmp_path, monkeypatch):
    """A busy phone with a governor, in two processes, that begins to brake for its heat."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = HarnessConfig(threads=64, processes=2, timeout_s=60)
    job = Measurement((subject,), probe_frame()[0], "probe", config)
    program = tmp_path / "benchmark_model"
    program.touch()
    with AdbTarget(Address("s21", "adb", "any"), Wishes(benchmark_model=program)) as target:
        target.phone = Phone(0, 2)
        result = target.run(job, lambda _done, _what: None)
    said = {one.check: one.message for one in result.warnings}
    assert {"few processes", "busy machine"} <= set(said) and "throttling" not in said
    assert said["throttled"] == "the phone brakes for its heat (thermal status 2)"


def test_a_time_of_one_tile_says_so(make_subject, spec):
    frame = np.zeros((48, 64), np.uint8)
    tiled = dataclasses.replace(spec.input, geometry=Geometry("tile", tile_px=32, overlap_px=8))
    whole = make_subject("whole")
    cut = dataclasses.replace(whole, spec=dataclasses.replace(spec, input=tiled))
    (found,) = one_tile_each([("whole", whole), ("cut@cpu", cut)], frame)
    assert (found.subject, found.message) == (
        "cut@cpu",
        "its time is of one tile of 32x32 px: a frame of 48x64 px has 6",
    )
    assert not list(one_tile_each([("cut@cpu", cut)], frame[:32, :32]))
