"""NVIDIA's library by its C interface, against a stub of it: no GPU is at hand."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from edgeseg.benchmarks.meters import nvml, open_meter
from edgeseg.runtime.errors import MeasureError

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture
def library(tmp_path, monkeypatch):
    file = tmp_path / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("nvml_stub.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(file), str(source)], check=True)
    monkeypatch.setattr(nvml, "LIBRARY", str(file))


def test_the_counter_of_energy(library):
    meter = open_meter("nvml")
    assert (meter.sensor.quantity, meter.sensor.sensor, meter.sensor.rails) == (
        "energy_j",
        "NVML, NVIDIA Stub",
        ("GPU 0",),
    )
    before, start = meter.read(), time.perf_counter()
    time.sleep(0.3)
    assert meter.read() - before == pytest.approx(70 * (time.perf_counter() - start), rel=0.05)
    meter.close()


def test_an_old_gpu_has_its_power_alone(library, monkeypatch):
    monkeypatch.setenv("STUB_NO_COUNTER", "1")
    meter = open_meter("nvml:0")
    assert meter.sensor.quantity == "power_w" and meter.read() == 70.0


@pytest.mark.parametrize(
    ("spec", "reason"), [("nvml:1", "answered .* with 6"), ("nvml:first", "give the GPU's number")]
)
def test_faults_are_named(library, spec, reason):
    with pytest.raises(MeasureError, match=reason):
        open_meter(spec)


def test_without_the_library_there_is_none(monkeypatch):
    monkeypatch.setattr(nvml, "LIBRARY", "libnvidia-none.so.1")
    with pytest.raises(MeasureError, match="no nvml"):
        open_meter("nvml")
