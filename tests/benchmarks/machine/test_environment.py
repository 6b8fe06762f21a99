import getpass
import json
import socket

import pytest

from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.state import MachineState, read_state, stolen_share


@pytest.fixture
def pi(tmp_path):
    """The files of a Raspberry Pi 5 as Linux 6.6 shows them."""
    files = {
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd crc32 asimdhp asimddp\nCPU implementer\t: 0x41\n"
        "CPU part\t: 0xd0b\n\nprocessor\t: 1\nCPU part\t: 0xd0b\n",
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "proc/meminfo": "MemTotal:        8245248 kB\nMemFree: 1 kB\n",
        "proc/loadavg": "0.42 0.20 0.10 1/200 999\n",
        "proc/stat": "cpu  100 0 50 800 10 0 5 35 0 0\ncpu0 1 2 3\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/class/thermal/thermal_zone0/temp": "51250\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone1/temp": "-256000\n",
        "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    }
    for i in range(2):
        folder = f"sys/devices/system/cpu/cpu{i}/cpufreq"
        files |= {
            f"{folder}/scaling_governor": "ondemand\n",
            f"{folder}/scaling_min_freq": "1500000\n",
            f"{folder}/scaling_max_freq": "2400000\n",
            f"{folder}/scaling_cur_freq": "2400000\n",
        }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_board(pi):
    device = read_device(pi)
    assert (device.name, device.soc) == ("Raspberry Pi 5 Model B Rev 1.0", "brcm,bcm2712")
    assert (device.cpu_model, device.cpu_flags) == ("Cortex-A76", ("asimd", "asimdhp", "asimddp"))
    assert (device.governor, device.clocks_locked, device.cpu_quota) == ("ondemand", False, 1.5)
    assert (device.memory_mib, device.os) == (8052, "Debian GNU/Linux 12 (bookworm)")


def test_its_state(pi):
    state = read_state(pi)
    assert state.temperatures_c == {"cpu-thermal": 51.25}  # the other sensor is off
    assert (state.load_1_min, state.frequencies_mhz) == (0.42, (2400.0, 2400.0))
    assert (state.stolen_ticks, state.total_ticks, state.throttle_events) == (35, 1000, None)


def test_a_machine_that_tells_nothing(tmp_path):
    device, state = read_device(tmp_path), read_state(tmp_path)
    assert (device.name, device.governor, device.clocks_locked, device.virtualised) == (None, None, None, None)
    assert state == MachineState(None, {}, None, (), None, None)


def test_this_machine_without_naming_anyone():
    text = json.dumps([read_device().to_json(), read_state().to_json(), read_software()])
    assert socket.gethostname() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert read_software()["python"] and read_software()["numpy"]


def test_stolen_share():
    def state(stolen, total):
        return MachineState(None, {}, None, (), stolen, total)

    assert stolen_share(state(0, 1000), state(10, 2000)) == 0.01
    assert stolen_share(state(None, None), state(10, 2000)) is None
    assert stolen_share(state(5, 1000), state(5, 1000)) is None
