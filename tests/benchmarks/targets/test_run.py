import ast
import dataclasses
import json
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.commands.results import Output
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.process.launch import ILLEGAL, how_it_ended
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.targets import TARGETS, describe, open_target
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.device import do_job
from edgeseg.benchmarks.targets.parcel import check_wheel, make_wheel
from edgeseg.benchmarks.targets.run import run_on
from edgeseg.benchmarks.targets.ssh import connection, on_device
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.errors import ConfigError, MeasureError

QUICK = [
    "--threads",
    "1",
    "--processes",
    "1",
    "--blocks",
    "1",
    "--seconds",
    "0.02",
    "--min-samples",
    "4",
    "--warmup-cap",
    "0.1",
]


def bench(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_target_is_there():
    for scheme, (module, name) in TARGETS.items():
        kind = getattr(__import__(module, fromlist=[name]), name)
        assert all(callable(getattr(kind, method)) for method in ("put", "run", "describe", "__enter__", "__exit__")), (
            scheme
        )


def test_local_is_todays_code(make_job):
    job, told = make_job("a"), []
    found = run_on([Address("local", "local")], job, Wishes(), lambda done, what: told.append((done, what)))
    result = found["local"]
    assert not isinstance(result, Exception)
    assert [row.status for row in result.rows] == ["ok"] and result.evidence == "device" and told[0] == (0.0, "a")


def test_a_target_that_is_lost_costs_its_own_results(make_job, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.target.FIRST_S", 0.0)
    found = run_on(
        [Address("away", "ssh", "127.0.0.1", port=9), Address("local", "local")],
        make_job("a"),
        Wishes(),
        lambda *_: None,
    )
    assert isinstance(found["away"], MeasureError) and "cannot be reached" in str(found["away"])
    assert list(found) == ["away", "local"] and not isinstance(found["local"], Exception)


def test_results_of_several_targets_go_to_a_folder(make_model, spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.target.FIRST_S", 0.0)
    (tmp_path / "devices.yaml").write_text("away: ssh://127.0.0.1:9\n")
    folder = make_model("student").parent
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    done = bench("run", folder, *QUICK, "--on", "local", "--on", "away", "--out", tmp_path / "results")
    assert done.exit_code == 1 and "error: away cannot be reached by ssh" in done.stderr
    assert (
        done.stdout.startswith("local\nvariant") and read_result(tmp_path / "results/local.json").rows[0].status == "ok"
    )
    (tmp_path / "file").write_text("")
    done = bench("run", folder, *QUICK, "--on", "local", "--on", "away", "--out", tmp_path / "file")
    assert done.exit_code == 2 and "results go to a folder" in done.stderr


def test_the_wheel_is_the_code_that_runs_here(tmp_path):
    first = make_wheel(tmp_path)
    data = first.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert "Requires-Dist: numpy" in archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert make_wheel(tmp_path).read_bytes() == data  # the same environment serves again
    assert "edgeseg/runtime/probes/int8.tflite" in names and not any("__pycache__" in name for name in names)
    assert not any(name.startswith(("edgeseg/train", "edgeseg/pipeline")) for name in names)
    assert check_wheel(first) == first
    (tmp_path / "other.whl").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="cannot be read as a wheel"):
        check_wheel(tmp_path / "other.whl")


def test_the_wheel_describes_a_machine_without_numpy(tmp_path):
    """A board that has nothing but Python says what it is, and can begin to make its environment."""
    with zipfile.ZipFile(make_wheel(tmp_path)) as archive:
        archive.extractall(tmp_path / "code")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "edgeseg.benchmarks.targets.describe"],
        env={"PYTHONPATH": str(tmp_path / "code"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.partition(" ")[2])
    work = [sys.executable, "-S", "-c", "import edgeseg.benchmarks.targets.ssh.work"]
    subprocess.run(work, env={"PYTHONPATH": str(tmp_path / "code")}, check=True)
    assert told["device"]["arch"] and told["engines"] == {} and told["evidence"] == "device"


def test_devices_shows_this_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "devices.yaml").write_text("away: ssh://127.0.0.1:9\n")
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.target.FIRST_S", 0.0)
    done = bench("devices")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("local\n") and "onnxruntime" in done.stdout and "away\n  not reached: " in done.stdout
    assert bench("devices", "--on", "away").exit_code == 1
    assert json.loads(bench("devices", "--on", "local", "--json").stdout)["local"]["engines"]["onnxruntime"]["runs"]


@pytest.mark.parametrize(
    ("declared", "variable", "level"),
    [
        (None, None, "device"),
        (None, "emulated", "emulated"),
        ("replayed", None, "replayed"),
        ("emulated", "device", "emulated"),
    ],
)
def test_evidence(monkeypatch, declared, variable, level):
    monkeypatch.delenv("EDGESEG_EVIDENCE", raising=False)
    if variable:
        monkeypatch.setenv("EDGESEG_EVIDENCE", variable)
    assert evidence_here(declared) == level


def test_an_emulator_of_user_mode_is_noticed(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGESEG_EVIDENCE", raising=False)
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    for kernel, told, level in (
        ("x86_64", "aarch64", "emulated"),
        ("aarch64", "aarch64", "device"),
        ("x86_64", "i686", "device"),
    ):
        (tmp_path / "proc/sys/kernel/arch").write_text(f"{kernel}\n")
        monkeypatch.setattr("platform.machine", lambda told=told: told)
        assert evidence_here(root=tmp_path) == level
    monkeypatch.setenv("EDGESEG_EVIDENCE", "measured")
    with pytest.raises(ConfigError, match="'measured'"):
        evidence_here()


@pytest.mark.parametrize("code", [-4, 132])
def test_an_engine_for_another_processor_is_told_apart(code):
    assert how_it_ended(code, "Illegal instruction") == ILLEGAL
    crash = (sys.executable, "-c", "import os; os.kill(os.getpid(), 4)")
    row = describe.try_engine("onnxruntime", crash)
    assert row["runs"] == [] and row["reason"] == ILLEGAL


def test_power_sensors(tmp_path):
    chip = tmp_path / "sys/class/hwmon/hwmon1"
    chip.mkdir(parents=True)
    for name, text in (
        ("name", "ina3221\n"),
        ("in1_label", "VDD_IN\n"),
        ("in2_label", "VDD_SOC\n"),
        ("curr1_input", "1\n"),
    ):
        (chip / name).write_text(text)
    (tmp_path / "sys/class/hwmon/hwmon0").mkdir()
    (tmp_path / "sys/class/hwmon/hwmon0/name").write_text("fan\n")
    assert describe.power_sensors(tmp_path) == ["ina3221: VDD_IN VDD_SOC"]


def test_open_target_reaches_nothing(tmp_path):
    with open_target(Address("away", "ssh", "192.0.2.1")) as target:
        assert target.__class__.__name__ == "SshTarget"


def test_what_is_sent_to_a_device_is_read_by_an_old_python():
    source = Path(on_device.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 8))
    imported = {
        word
        for line in source.splitlines()
        if (words := line.split()) and words[0] in ("import", "from")
        for word in words[1:2]
    }
    assert imported <= set(sys.stdlib_module_names)
    assert "'" not in connection._REMOTE.removeprefix("exec python3 -c '").removesuffix("'")  # any shell takes it


class Simulated:
    """A device that answers after a while, or not."""

    def __init__(self, address, _wishes):
        self.address = address

    def run(self, job, progress):
        for step in range(5):
            time.sleep(random.Random(f"{self.address.name} {step}").uniform(0, 0.02))
            progress(step / 5, "a")
        if self.address.name in ("7", "13"):
            raise MeasureError(f"{self.address.name} is away")
        return job[self.address.name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_twenty_devices_side_by_side(monkeypatch, make_result, make_row):
    monkeypatch.setattr("edgeseg.benchmarks.targets.run.open_target", Simulated)
    names, told = [str(n) for n in range(20)], []
    results = {name: make_result(make_row(name, [[[1.0]]])) for name in names}
    found = run_on(
        [Address(name, "ssh") for name in names], results, Wishes(), lambda done, what: told.append((done, what))
    )
    assert list(found) == names and isinstance(found["7"], MeasureError) and isinstance(found["13"], MeasureError)
    assert all(found[name] == results[name] for name in names if name not in ("7", "13"))
    assert told[-1][0] == pytest.approx(0.8) and [done for done, _ in told] == sorted(done for done, _ in told)
    assert {what.partition(":")[0] for _, what in told} == set(names)


def test_ctrl_c_ends_all_of_them(monkeypatch, make_result):
    ended = []

    class Endless(Simulated):
        def run(self, _job, progress):
            try:
                while True:
                    progress(0.5, "a")
                    time.sleep(0.01)
            except KeyboardInterrupt:
                ended.append(self.address.name)
                raise

    monkeypatch.setattr("edgeseg.benchmarks.targets.run.open_target", Endless)
    monkeypatch.setattr("concurrent.futures.Future.result", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_on([Address(name, "ssh") for name in "ab"], {}, Wishes(), lambda *_: None)
    assert sorted(ended) == ["a", "b"]


def test_two_targets_never_share_a_file(tmp_path):
    with pytest.raises(ConfigError, match="results of pi 5, pi-5 would all be"):
        Output(tmp_path / "results").check((), ("pi 5", "local", "pi-5"))


def test_a_full_disk_here_costs_one_targets_results(make_job, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeseg.benchmarks.targets.adb.target.AdbTarget.run", full)
    found = run_on([Address("a", "adb", "x"), Address("local", "local")], make_job("a"), Wishes(), lambda *_: None)
    assert "No space left" in str(found["a"]) and not isinstance(found["local"], Exception)


def test_no_energy_of_a_job_that_was_broken_off(make_job, tmp_path, monkeypatch):
    """What was measured before the break was never metered, though a clock that began anew may say so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "power.csv").write_text("t_s,power_w\n0,4\n1,4\n")
    job = make_job("a")
    job = dataclasses.replace(job, config=dataclasses.replace(job.config, meter="replay:power.csv", idle_s=0.0))
    files = tmp_path / "files"
    for name, path in job.files(tmp_path).items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(path.read_bytes())
    (tmp_path / "journal").mkdir()
    (tmp_path / "order.json").write_text(json.dumps({"job": job.to_json(), "evidence": None}))
    assert do_job(tmp_path).power is not None
    again = do_job(tmp_path)  # everything is in the journal
    assert again.power is None and again.energy(again.rows[0]) == "the meter was read after a break, not before it"
