"""What a phone says of itself: properties, processor, heat, battery."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.benchmarks.machine.environment import Device
from edgeseg.benchmarks.machine.evidence import VARIABLE, Taken, evidence_here
from edgeseg.benchmarks.machine.state import MachineState
from edgeseg.benchmarks.targets.adb.client import Phone
from edgeseg.runtime.errors import MeasureError

_GOVERNORS = "cat /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
_TEMPERATURE = re.compile(r"Temperature\{mValue=([-\d.]+), mType=(-?\d+), mName=([^,]+), mStatus=(\d+)\}")
_DEGREES = {0, 1, 2, 3, 4, 5, 9}  # types in °C: processor, GPU, battery, skin, USB, power amplifier, NPU


def read_phone(phone: Phone) -> Device:
    """The phone, by the names of every other device.

    Raises:
        MeasureError: It is no Android.
    """
    said = phone.text("getprop")
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", said, re.MULTILINE))
    if "ro.build.version.release" not in properties:
        raise MeasureError(f"adb://{phone.serial} is no Android: getprop says no version")
    value = properties.get
    memory = re.search(r"^MemTotal:\s+(\d+) kB", phone.text("cat", "/proc/meminfo"), re.MULTILINE)
    governors = sorted(set(phone.text("sh", "-c", _GOVERNORS).split()))
    return Device(
        name=" ".join(filter(None, (value("ro.product.manufacturer"), value("ro.product.model")))) or None,
        soc=value("ro.soc.model") or value("ro.board.platform") or value("ro.hardware"),
        arch=value("ro.product.cpu.abi") or "unknown",
        os=f"Android {value('ro.build.version.release')} (API {value('ro.build.version.sdk')})",
        kernel=phone.text("uname", "-r"),
        cpu_model=value("ro.soc.model") or None,
        cpu_flags=(),
        logical_cpus=_whole(phone.text("nproc")),
        usable_cpus=_whole(phone.text("nproc")),
        cpu_quota=None,
        memory_mib=int(memory[1]) // 1024 if memory else None,
        governor=" ".join(governors) or None,
        clocks_locked=None,
        virtualised=value("ro.kernel.qemu") == "1" or value("ro.boot.qemu") == "1",
    )


def read_heat(phone: Phone) -> MachineState:
    """Temperatures; `throttle_events` is Android's thermal status, 0 where it does not brake."""
    said = phone.text("dumpsys", "thermalservice")
    # Cached values are old; what the hardware says now stands behind this line.
    now = said.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    found = {
        name: float(value)
        for value, kind, name, _ in _TEMPERATURE.findall(now)
        if int(kind) in _DEGREES and -40 <= float(value) <= 150 and float(value) != 0  # 0 is a sensor that is not there
    }
    battery = re.search(r"^ *temperature: (-?\d+)", phone.text("dumpsys", "battery"), re.MULTILINE)
    if battery:
        found.setdefault("battery", int(battery[1]) / 10)
    status = re.search(r"^Thermal Status: (\d+)", said, re.MULTILINE)
    load = phone.text("cat", "/proc/loadavg").split()
    return MachineState(
        load_1_min=float(load[0]) if load else None,
        temperatures_c=found,
        throttle_events=int(status[1]) if status else None,
        frequencies_mhz=(),
        stolen_ticks=None,
        total_ticks=None,
    )


def read_evidence(phone: Phone, device: Device, declared: str | None) -> Taken:
    """What the user or the phone says of what is measured there; an emulator is no phone."""
    told = declared or phone.text("printenv", VARIABLE) or None
    if told or device.virtualised:
        return evidence_here(told or "emulated")
    return "device"


def describe_phone(phone: Phone, declared: str | None) -> dict[str, Any]:
    """As `targets.describe` does of a machine."""
    device = read_phone(phone)
    supplies = phone.text("ls", "/sys/class/power_supply").split()
    return {
        "device": device.to_json(),
        "software": {},
        "state": read_heat(phone).to_json(),
        "engines": {},
        "sensors": [f"power_supply: {name}" for name in supplies if name == "battery"],
        "evidence": read_evidence(phone, device, declared),
    }


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None
