import dataclasses
import json
import os
import random
import subprocess
import sys
import threading
import time
import zipfile
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from edgeseg.benchmarks.accuracy.images import Images
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.targets.measured import measured
from edgeseg.benchmarks.targets.measurement import job_id
from edgeseg.benchmarks.targets.ssh import connection, on_device
from edgeseg.benchmarks.targets.ssh.connection import LinkError
from edgeseg.benchmarks.targets.ssh.target import SshTarget
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.errors import ConfigError, MeasureError

pytestmark = pytest.mark.slow
# EDGESEG_CUTS=50 for the figure of docs/devices.md; it takes minutes.
CUTS = int(os.environ.get("EDGESEG_CUTS", "5"))


def quiet(_done, _what):
    pass


@pytest.fixture(autouse=True)
def few_pauses(monkeypatch):
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.patience._WAITS_S", (0.05,))


def test_the_mark_is_one():
    from edgeseg.benchmarks.process.events import EVENT_MARK

    assert on_device.MARK == EVENT_MARK


def test_a_bench_on_a_board(board, make_job):
    job = make_job("a", "b")
    told = []
    with SshTarget(board.address()) as target:
        result = target.run(job, lambda done, what: told.append((done, what)))
    assert [row.status for row in result.rows] == ["ok", "ok"] and all(row.processes for row in result.rows)
    assert [row.model.sha256 for row in result.rows] == [one.sha256() for one in job.subjects]
    assert result.evidence == "emulated"  # the device says so: its environment, not the host's
    assert result.frame is not None and result.frame.name == "part.png"
    assert {what for _, what in told} == {"a", "b"} and told == sorted(told, key=lambda one: one[0])
    assert from_json(json.loads(json.dumps(to_json(result)))) == result
    # Away with it all but the environment, which serves the next bench.
    assert sorted(path.name for path in board.root.iterdir()) == ["environments", "files", "lock", "runs"]
    assert not list((board.root / "runs").iterdir()) and not list((board.root / "files").iterdir())


def test_accuracy_is_scored_on_the_board(board, make_job, dataset):
    job = make_job("a", "b")
    job = dataclasses.replace(job, images=Images.of(dataset, None, job.subjects))
    with SshTarget(board.address()) as target:
        there = target.run(job, quiet)
    here = measured(job, quiet)
    assert [row.accuracy["dice_mean"] for row in there.rows] == [row.accuracy["dice_mean"] for row in here.rows]
    assert all(row.accuracy["split"] == "test" and row.accuracy["n_images"] == 4 for row in there.rows)
    assert not list((board.root / "runs").iterdir()) and not list((board.root / "files").iterdir())


def test_nothing_stays_where_that_is_asked(board, make_job):
    with SshTarget(board.address(), Wishes(clean=True)) as target:
        target.run(make_job("a"), quiet)
    assert not board.root.exists()


def test_cuts_of_the_link_lose_nothing(board, make_job, monkeypatch):
    """Every kind of call is cut once on its way, and the link again and again while the job is followed."""
    plain, begun, cuts = connection.Connection.call, set(), []

    def call(self, do, values, file=None):
        if do not in begun:
            begun.add(do)
            threading.Timer(0.1, lambda: cuts.append(board.cut())).start()
        return plain(self, do, values, file)

    monkeypatch.setattr(connection.Connection, "call", call)
    with SshTarget(board.address(), patience_s=120) as target:
        result = target.run(make_job("a", "b", processes=2), lambda _done, _what: cuts.append(board.cut()))
    assert {"look", "have", "put", "start", "get", "clean"} <= begun and sum(map(bool, cuts)) >= 5
    assert all(len(row.processes) == 2 for row in result.rows)
    assert "resumed" not in {caution.check for caution in result.warnings}  # the device never noticed


def test_random_cuts_lose_no_finished_row(board, make_job, monkeypatch):
    """Jobs one after the other, until the link was cut so often at any moment of them."""
    # The first contact gives up soon where a name is wrong; here it is cut like the rest.
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.target.FIRST_S", 300.0)
    rng, hits, over, results = random.Random(21), [], threading.Event(), []

    def cut():
        while len(hits) < CUTS and not over.wait(rng.uniform(0.1, 3.0)):
            if board.cut():
                hits.append(True)

    thread, job = threading.Thread(target=cut), make_job("a", "b", processes=2, seconds=3.0)
    thread.start()
    try:
        while len(hits) < CUTS:
            with SshTarget(board.address(), patience_s=300) as target:
                results.append(target.run(job, quiet))
    finally:
        over.set()
        thread.join()
    assert len(hits) == CUTS and all([len(row.processes) for row in one.rows] == [2, 2] for one in results)
    assert not any(caution.check == "resumed" for one in results for caution in one.warnings)
    print(f"{CUTS} cuts over {len(results)} jobs of 2 rows")  # noqa: T201


def test_a_device_that_loses_its_power_goes_on_where_it_stopped(board, make_job):
    runs, killed = board.root / "runs", []

    def progress(_done, _what):
        done = list(runs.glob("*/journal/*.json"))
        if len(done) >= 2 and not killed:
            killed.extend(done)
            board.power_cut()

    with SshTarget(board.address(), patience_s=60) as target:
        result = target.run(make_job("a", "b"), progress)
    assert killed and all(len(row.processes) == 1 for row in result.rows)
    (resumed,) = [caution for caution in result.warnings if caution.check == "resumed"]
    assert int(resumed.message.split()[0]) >= len(killed)


@pytest.mark.parametrize("stopped", [False, True])
def test_the_same_command_goes_on_with_its_bench(board, make_job, stopped):
    """A host that was lost leaves its bench at work; Ctrl-C ends it, and keeps what it has."""
    job, journal = make_job("a", "b"), []

    def leave(_done, _what):
        journal.extend(board.root.glob("runs/*/journal/*.json"))
        if journal:
            raise KeyboardInterrupt if stopped else RuntimeError

    with SshTarget(board.address()) as target, pytest.raises(KeyboardInterrupt if stopped else RuntimeError):
        target.run(job, leave)
    assert bool(board.at_work()) is not stopped
    with SshTarget(board.address()) as target:
        result = target.run(job, quiet)
    assert all(len(row.processes) == 1 for row in result.rows)
    assert ("resumed" in {caution.check for caution in result.warnings}) is stopped
    assert not list((board.root / "runs").iterdir())


def test_a_result_that_an_earlier_command_left_says_so(board, make_job, monkeypatch):
    job, result = make_job("a"), SshTarget._result

    def gone(_self, _start, _ended):
        raise MeasureError("the host is gone")

    monkeypatch.setattr(SshTarget, "_result", gone)
    with SshTarget(board.address()) as target, pytest.raises(MeasureError, match="the host is gone"):
        target.run(job, quiet)
    monkeypatch.setattr(SshTarget, "_result", result)
    for found in (True, False):  # once it was fetched, the same command measures
        with SshTarget(board.address()) as target:
            fetched = target.run(job, quiet)
        said = {one.check: one.message for one in fetched.warnings}
        assert ("found there" in said) is found
        assert not found or f"measured at {fetched.created} for an earlier command" in said["found there"]


def test_one_bench_at_a_time(board, make_job):
    long, short = make_job("a", seconds=4.0, processes=4), make_job("b")
    begun, first = threading.Event(), []

    def measure():
        with SshTarget(board.address()) as target:
            first.append(target.run(long, lambda _done, _what: begun.set()))

    thread = threading.Thread(target=measure)
    thread.start()
    assert begun.wait(60)
    with (
        SshTarget(board.address()) as target,
        pytest.raises(MeasureError, match=r"at another bench \(a bench of 1 files, begun"),
    ):
        target.run(short, quiet)
    with SshTarget(board.address()) as target, pytest.raises(MeasureError, match="followed by another command"):
        target.run(long, quiet)
    thread.join()
    assert first[0].rows[0].status == "ok"
    with SshTarget(board.address()) as target:  # and then it is free
        assert target.run(short, quiet).rows[0].status == "ok"


@pytest.fixture
def small_disk(board):
    board.root.mkdir(parents=True, exist_ok=True)

    def mount(size):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", board.root], check=False)
        if done.returncode:
            pytest.skip("needs the right to mount a small disk")

    yield mount
    board.power_cut()
    subprocess.run(["umount", "-l", board.root], check=False)


def test_a_full_disk_is_told_before_anything_is_measured(board, make_job, small_disk):
    small_disk("4m")
    with (
        SshTarget(board.address()) as target,
        pytest.raises(MeasureError, match=r"pi: the disk is full: 4 MB are free in .*bench"),
    ):
        target.run(make_job("a"), quiet)
    assert not list(board.root.glob("files/*"))


def test_a_disk_that_fills_up_meanwhile_costs_no_row(board, make_job, small_disk):
    small_disk("60m")
    filled = []

    def fill(_done, _what):
        if not filled:
            filled.append(True)
            with (board.root / "other").open("wb") as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(2**16))
                    file.flush()

    with SshTarget(board.address(), patience_s=60) as target:
        result = target.run(make_job("a", "b"), fill)
    assert filled and all(len(row.processes) == 1 for row in result.rows)


def test_what_crashes_is_a_row(board, make_job, tmp_path):
    job = make_job("a", "b")
    job.subjects[0].model.write_bytes(b"no model")
    with SshTarget(board.address()) as target:
        rows = target.run(job, quiet).rows
    assert [row.status for row in rows] == ["failed", "ok"] or [row.status for row in rows] == ["unsupported", "ok"]
    assert rows[0].reason and str(board.root) not in rows[0].reason


def test_it_says_what_it_is(board):
    with SshTarget(board.address()) as target:
        told = target.describe()
    assert told["evidence"] == "emulated" and told["device"]["arch"] and told["engines"]["onnxruntime"]["runs"]


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_thrown_away_before_it_is_used_is_sent_again(board, monkeypatch, times):
    """One that was asked before a link was lost ends late, and takes away what the next one needs."""
    sent = []
    put = SshTarget.put

    def gone(self, files) -> None:
        put(self, files)
        sent.extend(files)
        if len(sent) <= times:
            for one in (board.root / "files").iterdir():
                one.unlink()

    monkeypatch.setattr(SshTarget, "put", gone)
    with SshTarget(board.address()) as target:
        if times == 3:
            with pytest.raises(MeasureError, match="was removed there 3 times"):
                target.describe()
        else:
            assert target.describe()["device"]["arch"] and len(sent) == 2


def test_a_link_that_is_lost_while_it_says_what_it_is(board):
    cuts: list[int] = []

    def cut() -> None:
        end = time.monotonic() + 60
        while not cuts and time.monotonic() < end:
            if list((board.root / "look").glob("*")):
                cuts.append(board.cut())
            time.sleep(0.005)

    thread = threading.Thread(target=cut)
    thread.start()
    with SshTarget(board.address()) as target:
        told = target.describe()
    thread.join()
    assert cuts and cuts[0] >= 1 and told["engines"]["onnxruntime"]["runs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": "127.0.0.1", "port": 9}, "pi cannot be reached by ssh: .*(refused|denied)"),
        ({"python": "python2.6"}, "pi: python2.6 does not run"),
    ],
)
def test_what_cannot_be_reached_says_why(board, make_job, changes, message):
    with SshTarget(board.address(**changes)) as target, pytest.raises(MeasureError, match=message):
        target.run(make_job("a"), quiet)


def test_an_old_python_is_told_what_to_do(board, make_job, tmp_path):
    old = tmp_path / "python3.8"
    old.write_text("#!/bin/sh\necho 3 8 10\n")
    old.chmod(0o755)
    with (
        SshTarget(board.address(python=str(old))) as target,
        pytest.raises(MeasureError, match=r"its Python is 3\.8\.10.*trtexec"),
    ):
        target.run(make_job("a"), quiet)


def test_a_link_that_stays_away_ends_it(board, make_job, tmp_path):
    away = tmp_path / "away"
    away.write_text(f"#!/bin/sh\nexit {connection._FAILED}\n")
    away.chmod(0o755)

    def cut(_done, _what):
        board.cut()
        target._device._ssh[0] = str(away)

    with (
        SshTarget(board.address(), patience_s=0.3) as target,
        pytest.raises(LinkError, match="the same command finds it"),
    ):
        start = time.monotonic()
        target.run(make_job("a"), cut)
    assert time.monotonic() - start < 60


def test_the_same_job_has_the_same_name():
    assert job_id({"a": 1, "b": 2}) == job_id({"b": 2, "a": 1}) != job_id({"a": 1})


def wheel_of(name, folder):
    """An installed package as the wheel it came from; only what pip needs."""
    found = metadata.distribution(name)
    tag = [line.split(": ")[1] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")][-1]
    path = folder / f"{found.name.replace('-', '_').replace('.', '_')}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in found.files:
            if not str(file).startswith("..") and file.suffix != ".pyc" and file.locate().is_file():
                archive.write(file.locate(), str(file))


def needed_by(name, found):
    """A package and what it requires, without extras."""
    if name.lower() not in found:
        found.add(name.lower())
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed_by(requirement.name, found)
    return found


def test_an_environment_of_its_own_without_a_network(board, make_job, tmp_path):
    """The wheelhouse is carried; the device's Python brings nothing but itself."""
    house = tmp_path / "wheels"
    house.mkdir()
    for name in {*needed_by("opencv-python-headless", set()), *needed_by("onnxruntime", set())}:
        wheel_of(name, house)
    told = []
    address = board.address(python=sys._base_executable, venv=True)
    with SshTarget(address, Wishes(wheelhouse=house)) as target:
        result = target.run(make_job("a"), lambda _done, what: told.append(what))
    assert [row.status for row in result.rows] == ["ok"], (result.rows[0].reason, told)
    assert any("making an environment" in what for what in told)
    (place,) = (board.root / "environments").iterdir()
    assert (place / "venv/bin/python").exists() and (place / "ready").exists()
    with SshTarget(address, Wishes(wheelhouse=house)) as target:  # and it serves again
        again = []
        target.run(make_job("b"), lambda _done, what: again.append(what))
    assert not any("making an environment" in what for what in again)


def test_an_environment_that_cannot_be_made_says_why(board, make_job, tmp_path):
    house = tmp_path / "wheels"
    house.mkdir()
    wheel_of("packaging", house)
    address = board.address(python=sys._base_executable, venv=True)
    with (
        SshTarget(address, Wishes(wheelhouse=house)) as target,
        pytest.raises(MeasureError, match=r"pi: pip failed: ERROR.*numpy"),
    ):
        target.run(make_job("a"), quiet)
    (tmp_path / "empty").mkdir()
    with (
        SshTarget(address, Wishes(wheelhouse=tmp_path / "empty")) as target,
        pytest.raises(ConfigError, match="holds no wheels"),
    ):
        target.run(make_job("b"), quiet)
