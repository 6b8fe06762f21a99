"""`trtexec://` over a real OpenSSH server; the board's trtexec replays recorded logs."""

import dataclasses
import fcntl
import json
import os
import sys
from pathlib import Path

import onnx
import pytest

from edgeseg.benchmarks.engine_only.files import engine_subjects
from edgeseg.benchmarks.engine_only.tensors import Sizes
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.trtexec.target import TrtexecTarget
from edgeseg.benchmarks.targets.trtexec.words import Input, build_words, run_words
from edgeseg.runtime.errors import ConfigError, MeasureError

pytestmark = pytest.mark.slow
NORMAL = {"data_transfers": False, "spin_wait": True, "cuda_graph": True, "batch": 1}


@pytest.fixture(autouse=True)
def few_pauses(monkeypatch):
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.patience._WAITS_S", (0.05,))
    monkeypatch.setattr("edgeseg.benchmarks.targets.trtexec.target._POLL_S", 0.05)


@pytest.fixture
def jetson(board):
    """Makes the board one with a trtexec of this version."""
    program = board.programs / "trtexec"

    def make(version):
        code = Path(__file__).with_name("board_trtexec.py")
        program.write_text(f'#!/bin/sh\nBOARD_TRTEXEC={version} exec {sys.executable} {code} "$@"\n')
        program.chmod(0o755)
        return board.address(scheme="trtexec", name="nano", evidence="replayed")

    yield make
    program.unlink(missing_ok=True)


@pytest.fixture
def foreign(make_model, tiny_config, tmp_path):
    """A measurement of ONNX files whose pixels are float32 and whose height and width are open."""

    def make(*names):
        paths = []
        for name in names:
            model = onnx.load(make_model(name))
            model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            paths.append(tmp_path / f"{name}.onnx")
            onnx.save(model, paths[-1])
        return Measurement(engine_subjects(paths, Sizes(size_px=(32, 48))), None, "", tiny_config)

    return make


def quiet(_done, _what):
    pass


@pytest.mark.parametrize(
    ("version", "shown", "p50"), [(8201, "8.2.1", 39.9982), (100300, "10.3.0", 7.14139), (110401, "11.4.1", 7.14139)]
)
def test_the_same_figure_of_every_version(jetson, foreign, board, version, shown, p50):
    told = []
    with TrtexecTarget(jetson(version)) as target:
        result = target.run(foreign("a", "b"), lambda done, what: told.append((done, what)))
    assert [row.status for row in result.rows] == ["ok", "ok"], result.rows[0].reason
    for row in result.rows:
        assert row.backend == f"trtexec of TensorRT {shown}" and row.told_ms == p50 and len(row.told) == 2
        assert {one.stage for one in row.told} == {"GPU compute time"}
        assert all({**one.settings, "latency_p50_ms": None} == NORMAL | {"latency_p50_ms": None} for one in row.told)
    assert not any(one.check == "resumed" for one in result.warnings)
    assert result.evidence == "replayed" and result.pipeline == "engine only"
    assert result.device["arch"] == os.uname().machine and result.software == {"tensorrt": shown}
    assert {what for _, what in told} <= {"a.onnx", "b.onnx"} and told[-1][0] == 1.0
    assert from_json(json.loads(json.dumps(to_json(result)))) == result
    assert not list((board.root / "runs").iterdir()) and not list((board.root / "files").iterdir())
    assert "few processes" in {one.check for one in result.warnings}  # of all benches
    assert any("bound by Enqueue" in one.message or "unstable" in one.message for one in result.warnings)


def test_bytes_are_told_from_numbers(jetson, make_job):
    """The bundle's own file: 8 does not read it, 10 does."""
    with TrtexecTarget(jetson(8201)) as target:
        (row,) = target.run(make_job("a"), quiet).rows
    assert row.status == "unsupported" and "edgeseg build BUNDLE --variant trt-fp32 --trtexec 8.2" in row.reason
    with TrtexecTarget(jetson(100300)) as target:
        (row,) = target.run(make_job("b"), quiet).rows
    assert row.status == "ok" and row.precision == "fp32"


def test_files_that_were_written_for_a_version(jetson, foreign):
    job = foreign("trt-int8", "other")
    model = job.subjects[0].model
    command = [
        "trtexec",
        "--onnx=trt-int8.onnx",
        "--saveEngine=trt-int8.engine",
        "--int8",
        "--calib=trt-int8.calibration",
    ]
    model.with_suffix(".json").write_text(json.dumps({"trtexec": {"version": "8.2", "command": command}}))
    model.with_suffix(".calibration").write_text("TRT-8201-EntropyCalibration2\n")
    with TrtexecTarget(jetson(8201)) as target:
        rows = target.run(job, quiet).rows
    assert [(row.status, row.precision) for row in rows] == [("ok", "int8"), ("ok", None)], rows[0].reason
    with TrtexecTarget(jetson(8502)) as target:
        rows = target.run(job, quiet).rows
    assert [row.status for row in rows] == ["unsupported", "ok"]
    assert "written for TensorRT 8.2, the board has 8.5.2" in rows[0].reason and "--trtexec 8.5" in rows[0].reason


def test_an_engine_that_is_not_built_is_a_row(jetson, foreign):
    job = foreign("a", "b")
    model = job.subjects[0].model
    words = ["trtexec", "--onnx=a.onnx", "--saveEngine=a.engine", "--stronglyTyped"]
    model.with_suffix(".json").write_text(json.dumps({"trtexec": {"version": "8.2", "command": words}}))
    with TrtexecTarget(jetson(8201)) as target:
        rows = target.run(job, quiet).rows
    assert [row.status for row in rows] == ["failed", "ok"] and rows[0].reason == "Unknown option: --stronglyTyped"
    assert not rows[0].told


def test_cuts_of_the_link_and_of_the_power_lose_nothing(jetson, foreign, board):
    job, cuts, killed = foreign("a", "b"), [], []

    def progress(_done, _what):
        cuts.append(board.cut())
        ended = list((board.root / "runs").glob("*/*.rc"))
        if len(ended) >= 3 and not killed:
            killed.extend(one.stat().st_mtime_ns for one in ended)
            board.power_cut()

    with TrtexecTarget(jetson(8201), patience_s=60) as target:
        result = target.run(job, progress)
    rows = result.rows
    resumed = [caution for caution in result.warnings if caution.check == "resumed"]
    if len(killed) < 5:  # on a busy machine the cut comes when all six steps have ended, and there is no break
        assert int(resumed[0].message.split()[0]) >= len(killed)
    assert killed and sum(map(bool, cuts)) >= 3 and [len(row.told) for row in rows] == [2, 2], rows[0].reason


def test_two_kinds_of_bench_exclude_each_other(jetson, foreign, board):
    board.root.mkdir(parents=True, exist_ok=True)
    with (board.root / "lock").open("w") as held:
        held.write("a bench of 3 files, begun then")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            TrtexecTarget(jetson(8201)) as target,
            pytest.raises(MeasureError, match=r"nano is at another bench \(a bench of 3 files, begun then\)"),
        ):
            target.run(foreign("a"), quiet)


def test_logs_of_an_earlier_command_keep_their_date_and_their_board(jetson, foreign, board, monkeypatch):
    """The host was away when the job came to its end; then the board got another power mode and TensorRT."""
    job, fetch = foreign("a"), TrtexecTarget._shell

    def gone(self, script):
        if "for f in *.rc" in script:
            raise MeasureError("the host is gone")
        return fetch(self, script)

    monkeypatch.setattr(TrtexecTarget, "_shell", gone)
    with TrtexecTarget(jetson(8201)) as target, pytest.raises(MeasureError, match="the host is gone"):
        target.run(job, quiet)
    monkeypatch.setattr(TrtexecTarget, "_shell", fetch)
    (about,) = (board.root / "runs").glob("*/about")
    old = json.loads(about.read_text()) | {"created": "2026-01-02T03:04:05+00:00"}
    old["device"] |= {"power_mode": "5W"}
    about.write_text(json.dumps(old))
    with TrtexecTarget(jetson(8202)) as target:
        result = target.run(job, quiet)
    assert (result.created, result.device, result.before) == (old["created"], old["device"], old["before"])
    assert result.software == {"tensorrt": "8.2.1"} and result.rows[0].backend == "trtexec of TensorRT 8.2.1"
    assert not result.after and result.rows[0].told_ms == 39.9982
    said = {one.check: one.message for one in result.warnings}
    assert "begun at 2026-01-02T03:04:05+00:00 by an earlier command" in said["found there"]
    assert "TensorRT: 8.2.1, now 8.2.2; power_mode: 5W, now none" in said["changed board"]
    with TrtexecTarget(jetson(8202)) as target:
        again = target.run(job, quiet)
    assert again.software == {"tensorrt": "8.2.2"} and again.after and again.created > old["created"]
    assert not {"found there", "changed board"} & {one.check for one in again.warnings}


def test_ctrl_c_ends_it_there(jetson, foreign, board):
    job = foreign("a", "b")

    def leave(done, _what):
        if done > 0:
            raise KeyboardInterrupt

    with TrtexecTarget(jetson(8201)) as target, pytest.raises(KeyboardInterrupt):
        target.run(job, leave)
    assert not board.at_work() and list((board.root / "runs").glob("*/*.rc"))
    with TrtexecTarget(jetson(8201)) as target:
        assert [row.status for row in target.run(job, quiet).rows] == ["ok", "ok"]


def test_a_board_without_it_says_so(board, foreign):
    with (
        TrtexecTarget(board.address(scheme="trtexec", name="nano")) as target,
        pytest.raises(MeasureError, match="nano: no trtexec is on its PATH"),
    ):
        target.run(foreign("a"), quiet)


def test_it_says_what_it_is(jetson):
    with TrtexecTarget(jetson(8201)) as target:
        told = target.describe()
    assert told["engines"]["tensorrt"]["version"] == "trtexec of TensorRT 8.2.1" and told["device"]["memory_mib"]
    assert told["evidence"] == "replayed"


def test_no_meter_is_read_there(jetson, foreign):
    job = foreign("a")
    job = dataclasses.replace(job, config=dataclasses.replace(job.config, meter="auto"))
    with TrtexecTarget(jetson(8201)) as target, pytest.raises(ConfigError, match="none is read beside trtexec"):
        target.run(job, quiet)


def test_words():
    pixels = [Input("image", "float32", (1, 32, 48, 1), fixed=False)]
    model = Path("net.onnx")
    assert build_words("8.2.1", model, pixels, "fp16") == (
        "--onnx=net.onnx", "--saveEngine=net.engine", "--shapes=image:1x32x48x1", "--noTF32", "--fp16",
    )  # fmt: skip
    assert build_words("10.3.0", model, pixels, "fp16")[-1] == "--stronglyTyped"
    assert build_words("11.4.1", model, pixels, "fp16")[-1] == "--noTF32"
    fixed = [Input("image", "float32", (1, 32, 48, 1), fixed=True)]
    assert run_words("11.4.1", model, fixed, 2.5, 100) == (
        "--loadEngine=net.engine", "--warmUp=500", "--duration=3", "--iterations=100",
    )  # fmt: skip
    assert run_words("8.5.2", model, fixed, 2.5, 100)[-3:] == ("--noDataTransfers", "--useSpinWait", "--useCudaGraph")
