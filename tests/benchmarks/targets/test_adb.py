"""A real adb and a real adbd, the latter in a network of its own: it is a root shell for whoever reaches it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.benchmarks.accuracy.images import Images
from edgeseg.benchmarks.golden import GoldenFrame
from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.meters.trace import Stretch
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.subject import Subject
from edgeseg.benchmarks.targets.adb import client
from edgeseg.benchmarks.targets.adb.delegates import read_delegates
from edgeseg.benchmarks.targets.adb.facts import read_heat
from edgeseg.benchmarks.targets.adb.meter import PhoneMeter
from edgeseg.benchmarks.targets.adb.target import AdbTarget
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measured import measured
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.model_spec import ModelSpec

DATA = Path(__file__).resolve().parents[2] / "data" / "phone"
# Folder that Debian trixie's package adbd and what it depends on were unpacked into.
ROOT = os.environ.get("EDGESEG_ADBD")
SERIAL = "127.0.0.1:5555"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not ROOT or not shutil.which("adb") or os.getuid() != 0,
        reason="needs root, adb, and EDGESEG_ADBD: a folder with trixie's adbd and its libraries",
    ),
]

BOOT = """
set -e
ip link set lo up
mount -t tmpfs tmpfs $1
mkdir $1/up $1/work $1/root
mount -t overlay overlay -o lowerdir=/,upperdir=$1/up,workdir=$1/work $1/root
for one in proc dev tmp; do mount --rbind /$one $1/root/$one; done
mkdir -p $1/root/data/local/tmp
lib=$2/usr/lib/x86_64-linux-gnu
start="$2/lib64/ld-linux-x86-64.so.2 --library-path $lib:$lib/android"
exec chroot $1/root $start $2/usr/lib/android-sdk/platform-tools/adbd
"""


@dataclass
class Booted:
    """The phone: programs that Android has lie in `programs`, its disk in `disk`."""

    programs: Path
    disk: Path
    pid: int

    def write(self, **files) -> Path:
        """Files of its battery, which its sysfs then has."""
        folder = Path(f"/proc/{self.pid}/root/sys/class/power_supply/battery")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(f"{text}\n")
        return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phone")
    programs, host, disk = (folder / name for name in ("programs", "host", "disk"))
    for one in (programs, host, disk):
        one.mkdir()
    script(programs / "getprop", f"cat {DATA / 'getprop.txt'}")
    script(programs / "dumpsys", f"cat {DATA}/$1.txt")
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "EDGESEG_EVIDENCE": "replayed", "HOME": str(folder)}
    log = (folder / "adbd.log").open("w")
    phone = subprocess.Popen(
        ["unshare", "-n", "-m", "sh", "-c", BOOT, "boot", disk, ROOT], env=env, stdout=log, stderr=log
    )
    inside = f"nsenter --net=/proc/{phone.pid}/ns/net {shutil.which('adb')}"
    script(host / "adb", f'exec {inside} "$@"')
    time.sleep(1.0)
    server = subprocess.Popen(
        [*inside.split(), "-L", "tcp:5037", "nodaemon", "server"], env=env, stdout=log, stderr=log
    )
    try:
        for _ in range(50):
            said = subprocess.run([host / "adb", "connect", SERIAL], capture_output=True, text=True, check=False).stdout
            if "connected to" in said and "cannot" not in said:
                break
            time.sleep(0.2)
        else:
            pytest.skip(f"adbd does not start here: {(folder / 'adbd.log').read_text()[-300:]}")
        yield Booted(programs, disk, phone.pid)
    finally:
        for one in (server, phone):
            one.kill()
            one.wait()


@pytest.fixture
def phone(booted, monkeypatch, tmp_path):
    host = booted.programs.parent / "host"
    monkeypatch.setenv("PATH", f"{host}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "host-cache"))
    return booted


@pytest.fixture
def program(tmp_path):
    """`benchmark_model` as the user has it: a file that runs on the phone."""
    path = tmp_path / "benchmark_model"
    wrong = os.environ.get("PHONE_IS_WRONG", "")
    code = Path(__file__).with_name("phone_benchmark_model.py")
    script(path, f'PHONE_IS_WRONG="{wrong}" exec {sys.executable} {code} "$@"')
    return path


@pytest.fixture
def job(tiny_config):
    """Two TFLite files and one that is none, with the mask that each gives here."""
    frame, _ = probe_frame()
    specs = json.loads((FOLDER / "specs.json").read_text())
    subjects = [
        Subject(name, FOLDER / name, ModelSpec.from_json(specs[name]))
        for name in ("fp32.tflite", "int8.tflite", "fp32.onnx")
    ]
    masks = {}
    for one in subjects[:2]:
        with Segmenter.from_file(one.model, one.spec, threads=1) as segmenter:
            masks[one.name] = (segmenter(frame).mask, 0.0)
    return Measurement(tuple(subjects), frame, "probe", tiny_config, (GoldenFrame(frame, masks),))


def measure(job, program, *delegates):
    with AdbTarget(Address("s21", "adb", SERIAL), Wishes(benchmark_model=program, delegates=delegates)) as target:
        return target.run(job, lambda _done, _what: None)


def test_a_phone(phone, job, program):
    result = measure(job, program, "cpu", "gpu", "nnapi", "external=/vendor/npu.so")
    rows = {row.name: row for row in result.rows}
    assert list(rows) == [
        *(f"{file}.tflite@{name}" for file in ("fp32", "int8") for name in ("cpu", "gpu", "nnapi", "npu")),
        "fp32.onnx",
    ]
    for file in ("fp32", "int8"):
        for name in ("cpu", "gpu"):
            row = rows[f"{file}.tflite@{name}"]
            assert (row.status, row.told_ms, len(row.told)) == ("ok", 6.1, 2), row.reason
            assert row.accuracy == {
                "agreement": {"frames": 1, "worst_differing_share": 0.0, "max_differing_share": 0.0, "agrees": True}
            }
        assert rows[f"{file}.tflite@gpu"].told[0].placement.extent == "full"
        fallback, crashed = rows[f"{file}.tflite@nnapi"], rows[f"{file}.tflite@npu"]
        assert fallback.status == "unsupported" and "silent fallback: NNAPI" in fallback.reason and not fallback.told
        assert crashed.status == "unsupported" and "illegal instruction" in crashed.reason
    assert rows["fp32.onnx"].status == "unsupported" and "none" in rows["fp32.onnx"].reason
    assert result.evidence == "replayed"  # the phone says so
    assert (result.device["name"], result.device["soc"], result.device["os"]) == (
        "samsung SM-G991B", "exynos2100", "Android 14 (API 34)",
    )  # fmt: skip
    assert result.software["benchmark_model"].startswith("sha256:") and result.pipeline == "engine only"
    assert from_json(json.loads(json.dumps(to_json(result)))) == result
    assert not (phone.disk / "up/data/local/tmp/edgeseg").exists()


def test_a_phone_that_sees_otherwise_is_not_timed(phone, job, monkeypatch, tmp_path):
    program = tmp_path / "wrong"
    code = Path(__file__).with_name("phone_benchmark_model.py")
    script(program, f'PHONE_IS_WRONG=1 exec {sys.executable} {code} "$@"')
    rows = {row.name: row for row in measure(job, program).rows}
    assert rows["fp32.tflite@cpu"].status == "ok"
    wrong = rows["fp32.tflite@gpu"]
    assert wrong.status == "failed" and "masks differ from the accepted ones" in wrong.reason and not wrong.told


def test_accuracy_of_a_phone_is_that_of_the_runtime(phone, job, program, dataset):
    """The same interpreter stands on both sides, so every mask is the same."""
    (dataset / "dataset.yaml").write_text("name: parts\nclasses: [dark, bright]\ncolor: gray\n")
    for file in (dataset / "masks").iterdir():
        cv2.imwrite(str(file), np.minimum(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), 1))
    images = Images.of(dataset, None, job.subjects[:2])
    rows = measure(dataclasses.replace(metered(job), images=images), program, "cpu", "nnapi").rows
    (here,) = measured(dataclasses.replace(metered(job), images=images), lambda *_: None).rows
    assert rows[0].status == "ok" and 0 < rows[0].accuracy["dice_mean"] == here.accuracy["dice_mean"]
    assert rows[0].accuracy["agreement"]["agrees"] and rows[0].accuracy["split"] == "test"
    assert rows[1].status == "unsupported" and list(rows[1].accuracy) == ["agreement"]


def test_heat(phone):
    state = read_heat(client.Phone(SERIAL))
    # From the hardware and now; the zero, the absurd one and the percentage are no temperatures.
    assert state.temperatures_c == {"VIRTUAL-SKIN": 23.793081, "CPU0": 62.500004, "battery": 27.4}
    assert state.throttle_events == 0


def test_it_says_what_it_is(phone):
    with AdbTarget(Address("s21", "adb", SERIAL)) as target:
        told = target.describe()
    assert told["device"]["name"] == "samsung SM-G991B" and told["evidence"] == "replayed"
    assert SERIAL in client.connected()


def test_a_phone_that_is_not_there(phone, job, program):
    target, lost = (
        AdbTarget(Address("x", "adb", "nobody"), Wishes(benchmark_model=program)),
        "adb://nobody cannot be reached",
    )
    with target, pytest.raises(MeasureError, match=lost):
        target.run(job, lambda _done, _what: None)


def test_words_reach_the_phone_as_they_are(phone):
    said = client.Phone(SERIAL).shell("printf", "%s|", "a b", "it's", "$HOME", "; exit 3")
    assert (said.returncode, said.stdout) == (0, "a b|it's|$HOME|; exit 3|")


def test_without_the_program(job):
    with AdbTarget(Address("s21", "adb", SERIAL)) as target, pytest.raises(ConfigError, match="--benchmark-model"):
        target.run(job, lambda _done, _what: None)


def test_delegates():
    assert [one.name for one in read_delegates(())] == ["cpu", "gpu"]
    assert read_delegates(("external=/data/libQnn.so",))[0].flags == ("--external_delegate_path=/data/libQnn.so",)
    for wrong in ("npu", "external=relative.so", "external=/a b.so"):
        with pytest.raises(ConfigError, match="give cpu, gpu"):
            read_delegates((wrong,))


@pytest.fixture
def battery(phone):
    """A phone that discharges; behind its USB cable it would not."""
    folder = phone.write(type="Battery", status="Discharging", current_now=-300_000, voltage_now=3_900_000)
    yield folder
    shutil.rmtree(folder)


def metered(job, **changes):
    return dataclasses.replace(job, subjects=job.subjects[:1], config=dataclasses.replace(job.config, **changes))


def test_energy_by_the_battery_is_of_the_runs_alone(battery, job, program):
    """300 mA idle, 900 mA while the model runs, at 3.9 V: the stand-in draws them."""
    result = measure(metered(job, meter="battery", seconds=14.0, idle_s=1.0), program, "cpu")
    (row,) = result.rows
    energy = result.energy(row)
    assert isinstance(energy, Energy), energy
    assert energy.power_w == pytest.approx(0.9 * 3.9, rel=0.05) and energy.window_s == pytest.approx(14.0, rel=0.1)
    assert (energy.idle_before_w, energy.idle_after_w) == pytest.approx((0.3 * 3.9, 0.3 * 3.9))
    assert energy.gross_mj == pytest.approx(energy.power_w * 6.2, rel=0.1) and energy.n_readings >= 20
    assert energy.net_mj == pytest.approx(energy.gross_mj - 0.3 * 3.9 * energy.window_s * 1e3 / energy.n_inferences)
    sensor, trace = result.power.sensor, result.power
    assert sensor.settings == {"current_now": "-900000", "unit": "ua, by the size of the number"}
    assert 1.0 < trace.rate_hz <= 4.1 and trace.cpu_share is not None and not trace.failed
    assert from_json(json.loads(json.dumps(to_json(result)))) == result


def test_too_short_is_no_energy(battery, job, program):
    result = measure(metered(job, meter="battery", seconds=4.0, idle_s=0.1), program, "cpu")
    assert "10 s are needed" in result.energy(result.rows[0])


@pytest.mark.parametrize(
    ("meter", "message"),
    [
        ("odpm", "has no odpm: .*`adb root`"),
        ("charge", "the battery is full.*unplug it"),
        ("auto", "no odpm and no battery"),
    ],
)
def test_a_meter_that_cannot_be_read_says_what_helps(phone, job, program, meter, message):
    with pytest.raises(MeasureError, match=message):
        measure(metered(job, meter=meter), program, "cpu")
    assert not (phone.disk / "up/data/local/tmp/edgeseg").exists()


def test_no_phone_has_it(job, program):
    with pytest.raises(ConfigError, match="phones have auto, odpm, battery, charge"):
        measure(metered(job, meter="rapl"), program, "cpu")


def test_rails_and_charge_are_read_there(phone, monkeypatch):
    """Counters that rise while they are read; a charge of 1 mAh at 4 V is 14.4 J."""
    place = "/data/local/tmp/edgeseg"
    folder = Path(f"/proc/{phone.pid}/root/sys/bus/iio/devices/iio:device0")
    folder.mkdir(parents=True)
    link, text = client.Phone(SERIAL), "t=349894\nCH3(T=349894)[S2M_VDD_CPUCL2], {}\n"
    link.shell("mkdir", "-p", place)
    (folder / "energy_value").write_text(text.format(30_000_000))
    meter = PhoneMeter(link, place, "odpm")
    try:
        time.sleep(1.5)
        (folder / "energy_value").write_text(text.format(32_500_000))
        trace, reason = meter.end(Stretch(0, 1), Stretch(0, 1))
    finally:
        meter.stop()
        shutil.rmtree(folder)
        link.shell("rm", "-rf", place)
    assert not reason and trace.values[0] == 30.0 and trace.values[-1] == 32.5 and trace.sensor.meter == "odpm"

    level = phone.programs / "level"
    said = "  level: 100\n  status: 3\n  Charge counter: {}\n  voltage: 4000\n[EventLogBuffer]\n  status: 5\n"
    level.write_text(said.format(3_270_000))
    monkeypatch.setattr("edgeseg.benchmarks.meters.android._CHARGE_HZ", 4.0)
    script(phone.programs / "dumpsys", f"cat {level}")
    link.shell("mkdir", "-p", place)
    meter = PhoneMeter(link, place, "charge")
    try:
        time.sleep(1.0)
        level.write_text(said.format(3_269_000))
        trace, reason = meter.end(Stretch(0, 1), Stretch(0, 1))
    finally:
        meter.stop()
        script(phone.programs / "dumpsys", f"cat {DATA}/$1.txt")
        link.shell("rm", "-rf", place)
    assert not reason and trace.values[0] == 0.0 and trace.values[-1] == pytest.approx(14.4)
