"""Each meter on the boards of `tests/data/boards`: the right rails, the right total, the right words."""

import os
from pathlib import Path

import pytest

from edgeseg.benchmarks.meters import METERS, open_meter, pi_pmic
from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.pi_pmic import rails_of as pmic_rails
from edgeseg.benchmarks.meters.tegrastats import rails_of
from edgeseg.runtime.errors import ConfigError, MeasureError

BOARDS = Path(__file__).parents[2] / "data/boards"


@pytest.mark.parametrize(
    ("tree", "meter", "rails", "watts"),
    [
        ("nano_jp4", "jetson-iio", ("POM_5V_IN",), 1.022),
        ("orin_nx_jp5", "jetson-ina3221", ("VDD_IN",), 5.3),
        (
            "agx_orin_jp6",
            "jetson-ina3221",
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"),
            3.205 + 4.405 + 4.767 + 0.301,
        ),
        ("thor_jp7", "jetson-ina238", ("VIN",), 30.125),
        ("pixel6", "odpm", ("S2M_VDD_CPUCL2", "S3M_VDD_CPUCL1", "S2S_VDD_G3D"), 31.703502),
        ("galaxy_s21", "battery", ("battery",), 0.45 * 3.9),
        ("intel_rapl", "rapl", ("package-0", "dram"), 262_145.0),
    ],
)
def test_auto_takes_the_board_s_total(board, tree, meter, rails, watts):
    found = open_meter("auto", board(tree))
    assert (found.sensor.meter, found.sensor.rails) == (meter, rails)
    assert found.read() == pytest.approx(watts)
    assert found.sensor.covers and found.sensor.uncertainty and found.sensor.evidence == "device"
    assert Sensor.from_json(found.sensor.to_json()) == found.sensor


def test_what_the_total_leaves_out_is_said(board):
    assert "carrier board" in open_meter("auto", board("orin_nx_jp5")).sensor.covers
    assert "regulators" in open_meter("auto", board("agx_orin_jp6")).sensor.covers


def test_the_rate_is_the_sensor_s(board):
    assert open_meter("auto", board("orin_nx_jp5")).sensor.rate_hz == pytest.approx(1000 / 33)  # its update_interval
    assert open_meter("auto", board("agx_orin_jp6")).sensor.rate_hz == 25  # eight files, each waits for a conversion
    assert open_meter("auto", board("nano_jp4")).sensor.rate_hz == 75


def test_a_step_is_that_of_the_shunt(board):
    assert open_meter("auto", board("orin_nx_jp5")).sensor.step_w == pytest.approx(0.04)  # 40 uV / 5 milliohm at 5 V


def test_one_rail_by_name(board):
    assert open_meter("jetson-ina3221:VDD_SOC", board("orin_nx_jp5")).read() == pytest.approx(1.425)
    with pytest.raises(MeasureError, match="no jetson-ina3221:VDD_X"):
        open_meter("jetson-ina3221:VDD_X", board("orin_nx_jp5"))


def test_a_negative_rail_is_not_clamped(board):
    assert open_meter("jetson-ina3221:VDD_GPU", board("thor_jp7")).read() == pytest.approx(-0.392)


def test_a_monitor_that_somebody_wired_is_named_not_guessed(board):
    root = board("ina226_wired")
    meter = open_meter("ina2xx", root)
    assert meter.read() == pytest.approx(3.508) and meter.sensor.settings["shunt_resistor"] == "10000"
    with pytest.raises(MeasureError, match="none of"):
        open_meter("auto", root)
    second = root / "sys/class/hwmon/hwmon7"
    second.mkdir()
    (second / "name").write_text("ina219\n")
    (second / "power1_input").write_text("1000000\n")
    with pytest.raises(MeasureError, match=r"hwmon2 \(ina226.*hwmon7 \(ina219"):
        open_meter("ina2xx", root)
    assert open_meter("ina2xx:hwmon7", root).read() == 1.0


def test_pi_5_pmic(program):
    text = (BOARDS / "pi5_pmic.txt").read_text()
    assert sum(pmic_rails(text).values()) == pytest.approx(10.800, abs=5e-4)
    assert pmic_rails(text)["VDD_CORE"] == pytest.approx(9.761, abs=5e-4) and "EXT5V" not in pmic_rails(text)
    program("vcgencmd", f'[ "$1" = pmic_read_adc ] && cat {BOARDS / "pi5_pmic.txt"}')
    meter = open_meter("pi5-pmic")
    assert meter.read() == pytest.approx(10.800, abs=5e-4) and len(meter.sensor.rails) == 12


def test_a_pi_without_permission_is_told_the_command(program):
    program("vcgencmd", 'echo "Can\'t open device file: /dev/vcio" >&2; exit 255')
    with pytest.raises(MeasureError, match=r"sudo usermod -aG video"):
        open_meter("pi5-pmic")


def test_a_pi_4_has_no_sensor(program):
    program("vcgencmd", 'echo "error=1 error_msg=\\"Command not registered\\""')
    with pytest.raises(MeasureError, match="csv:FILE"):
        open_meter("pi5-pmic")


@pytest.mark.parametrize(
    ("comment", "rails"),
    [
        ("Nano, JP4", {"POM_5V_IN": 1.022, "POM_5V_GPU": 0.0, "POM_5V_CPU": 0.204}),
        ("Xavier NX, JP4", {"VDD_IN": 4.067, "VDD_CPU_GPU_CV": 0.738, "VDD_SOC": 1.353}),
        ("AGX Xavier", {"GPU": 0.0, "CPU": 0.311, "SOC": 0.932, "CV": 0.0, "VDDRQ": 0.621, "SYS5V": 1.482}),
        ("Orin NX, JP5", {"VDD_IN": 5.299, "VDD_CPU_GPU_CV": 0.773, "VDD_SOC": 1.424}),
        (
            "AGX Orin, JP5",
            {"VDD_GPU_SOC": 2.39, "VDD_CPU_CV": 0.796, "VIN_SYS_5V0": 3.522, "NC": 0.0, "VDDQ_VDD2_1V8AO": 0.301},
        ),
        ("AGX Orin, JP6", {"VDD_GPU_SOC": 3.205, "VDD_CPU_CV": 4.405, "VIN_SYS_5V0": 4.767}),
        ("AGX Orin, JP7", {"VDD_GPU_SOC": 5.139, "VDD_CPU_CV": 3.268, "VIN_SYS_5V0": 5.5}),
        ("Thor", {}),
    ],
)
def test_every_form_of_tegrastats(comment, rails):
    assert dict(rails_of(_tegrastats(comment))) == rails


def _tegrastats(comment: str) -> str:
    lines = (BOARDS / "tegrastats.txt").read_text().splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith(f"# {comment}")) + 1]


def test_tegrastats_is_read_while_it_runs(program, tmp_path):
    (tmp_path / "line").write_text(_tegrastats("AGX Xavier") + "\n")
    program("tegrastats", f"while cat {tmp_path}/line; do sleep 0.05; done")
    meter = open_meter("tegrastats")
    try:
        assert meter.sensor.rails == ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")
        assert meter.read() == pytest.approx(3.346)
    finally:
        meter.close()


def test_rapl_wraps_and_asks_for_permission(board):
    root = board("intel_rapl")
    package = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    meter = open_meter("rapl", root)
    before = meter.read()
    package.write_text("1000000\n")  # wrapped: 1 J after 262143.32885 J
    assert meter.read() - before == pytest.approx(0.328850 + 1.0)


@pytest.mark.parametrize(
    ("tree", "meter", "command"),
    [("intel_rapl", "rapl", r"sudo chmod a\+r /sys/class/powercap"), ("pixel6", "odpm", "adb root")],
)
def test_a_missing_permission_names_the_command(board, monkeypatch, tree, meter, command):
    root = board(tree)
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may read everything
    with pytest.raises(MeasureError, match=command):
        open_meter(meter, root)


def test_a_phone_that_charges_is_refused_and_the_unit_is_said(board):
    root = board("pixel6")
    meter = open_meter("battery", root)
    assert meter.read() == pytest.approx(0.45 * 3.9) and meter.sensor.settings["unit"].startswith("ua")
    assert open_meter("battery:ma", root).sensor.settings["unit"] == "ma, as told"
    assert open_meter("battery", board("galaxy_s21")).sensor.settings["unit"] == "ma, by the size of the number"
    (root / "sys/class/power_supply/battery/status").write_text("Charging\n")
    with pytest.raises(MeasureError, match="unplug it"):
        open_meter("battery", root)


def test_half_a_driver_is_told_without_a_traceback(board):
    root = board("orin_nx_jp5")
    (root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/update_interval").write_text("fast\n")
    with pytest.raises(MeasureError, match=r"jetson-ina3221 is there and cannot be read.*fast"):
        open_meter("auto", root)


def test_an_unknown_meter_is_refused():
    with pytest.raises(ConfigError, match="jetson-ina3221"):
        open_meter("joulescope")


@pytest.mark.parametrize("name", [name for name in METERS if name not in ("nvml", "replay", "tegrastats", "pi5-pmic")])
def test_a_machine_without_it_has_none(name, tmp_path):
    with pytest.raises(MeasureError, match=f"no {name}"):
        open_meter(name, tmp_path)


def test_a_firmware_that_does_not_answer_is_a_reading_that_failed(program, monkeypatch):
    monkeypatch.setattr(pi_pmic, "_PATIENCE_S", 0.2)
    program("vcgencmd", "exec sleep 5")
    with pytest.raises(MeasureError, match="gave no answer"):
        open_meter("pi5-pmic")
