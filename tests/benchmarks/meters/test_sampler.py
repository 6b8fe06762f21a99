"""The sampler as a process: what it finds, that it ends, what it costs; and a whole measurement with a meter."""

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.meters.contract import Meter, Sensor
from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.meters.sampler import MOST_CPU, sample
from edgeseg.benchmarks.meters.watch import watching
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.results.table import to_csv, to_text
from edgeseg.runtime.errors import MeasureError

SENSOR = Sensor("x", "a sensor", ("VDD_IN",), "all", "power_w", 100.0, None, "none")


def for_seconds(seconds):
    end = time.perf_counter() + seconds

    def wait(pause):
        time.sleep(min(pause, max(end - time.perf_counter(), 0)))
        return time.perf_counter() >= end

    return wait


def test_readings_of_a_board_stand_on_the_workers_clock(board):
    before = time.perf_counter_ns()
    with watching("auto", 0.2, board("orin_nx_jp5")) as watched:
        assert watched.trace is None
    trace = watched.trace
    assert trace.sensor.rails == ("VDD_IN",) and set(trace.values) == {5.3} and trace.failed == 0
    assert before < trace.t_ns[0] and trace.t_ns[-1] < time.perf_counter_ns()
    assert trace.watts(trace.idle_before) == pytest.approx(5.3) == trace.watts(trace.idle_after)
    assert trace.idle_before.seconds >= 20 / trace.sensor.rate_hz  # 20 readings, however long they take


def test_no_meter_is_said_before_anything_is_measured(make_subject, frame, tiny_config):
    ran = []
    config = dataclasses.replace(tiny_config, meter="jetson-iio")
    with pytest.raises(MeasureError, match="this machine has no jetson-iio"):
        measure([make_subject("a")], frame, config, runner=lambda *a: ran.append(a))
    assert not ran


def test_a_sensor_that_returns_garbage_costs_its_readings(board):
    root = board("orin_nx_jp5")
    (root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr1_input").write_text("nonsense\n")
    with watching("auto", 0.2, root) as watched:
        pass
    assert watched.trace.failed > 20 and not watched.trace.values


def test_values_that_are_no_numbers_are_no_readings():
    values = iter([1.0, float("nan"), float("inf"), 2.0] + [3.0] * 1000)
    found = sample(Meter(SENSOR, lambda: next(values)), for_seconds(0.1))
    assert found.values[:3] == [1.0, 2.0, 3.0] and found.failed == 2


def test_a_costly_reading_is_taken_less_often():
    def read():
        end = time.process_time() + 0.004
        while time.process_time() < end:
            pass
        return 1.0

    found = sample(Meter(SENSOR, read), for_seconds(2.5))
    assert found.cpu_s / found.wall_s < 1.6 * MOST_CPU  # the first readings were not yet known to be costly
    assert 5 < len(found.values) < 25


def test_the_sampler_ends_with_its_parent(board):
    code = "import json,sys,subprocess\np=subprocess.Popen([sys.executable,'-m','edgeseg.benchmarks.meters.sampler'],"
    code += "stdin=subprocess.PIPE,text=True)\np.stdin.write(json.dumps({'meter':'auto','root':sys.argv[1]})+'\\n')\n"
    code += "p.stdin.flush()\nprint(p.pid,flush=True)\nimport os; os._exit(1)"
    command = [sys.executable, "-c", code, str(board("orin_nx_jp5"))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    # Its own end closes the pipe that this test waits for; what it wrote came through.
    assert '"sensor"' in done.stdout and '"t_ns"' in done.stdout


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("t_s,power_w\n" + "".join(f"{k / 50},{4.0}\n" for k in range(3000)))
    return f"replay:{path}"


def test_a_short_run_says_why_it_has_no_energy(recording, make_subject, frame, tiny_config):
    result = measure([make_subject("a")], frame, dataclasses.replace(tiny_config, meter=recording, idle_s=0.1))
    assert "10 s are needed" in result.energy(result.rows[0])
    row = to_json(result)["rows"][0]
    assert row["energy_mj"] is None and "10 s are needed" in row["null_reasons"]["energy_mj"]
    assert "a: no energy: the blocks last" in to_text(result) and "10 s are needed" in to_csv(result)
    document = to_json(result)
    assert document["config"]["meter"] == "replay:power.csv"  # a result names no folder
    assert from_json(document).power == result.power


@pytest.mark.slow
def test_energy_of_a_real_run_by_a_recording_of_4_w(recording, make_subject, frame, tiny_config):
    config = dataclasses.replace(tiny_config, seconds=12.0, meter=recording, idle_s=0.1)
    result = measure([make_subject("a", 1024)], frame, config)
    energy = result.energy(result.rows[0])
    assert isinstance(energy, Energy), energy
    calls_s = energy.window_s / energy.n_inferences
    assert energy.gross_mj == pytest.approx(4.0 * calls_s * 1e3, rel=0.01)  # 4 W over the time of a call
    assert energy.net_mj == pytest.approx(0, abs=0.01 * energy.gross_mj) and energy.power_w == pytest.approx(4)
    # The blocks' time is that of their calls and of what lies between: the loop's 0.15 %, and other programs' turns.
    assert 1 <= calls_s * 1e3 / result.rows[0].samples_ms().mean() < 1.5
    document = to_json(result)
    assert (
        document["power"]["sensor"]["evidence"] == "replayed" and from_json(document).energy(result.rows[0]) == energy
    )
    text = to_text(result)
    assert text.splitlines()[0].split()[-4:] == ["mJ", "net", "mJ", "W"] and "evidence replayed" in text


def test_a_stopped_measurement_leaves_no_program_of_its_meter(program, tmp_path, capfd):
    """`tegrastats` notices a closed pipe only when it prints next, which may be long after."""
    line = "VDD_IN 4000mW/4000mW"
    program("tegrastats", f"echo $$ > {tmp_path}/pid; echo '{line}'; sleep 0.2; echo '{line}'; exec sleep 30")
    with pytest.raises(KeyboardInterrupt), watching("tegrastats", 0.0):
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert "Traceback" not in capfd.readouterr().err
