"""What a result must say about the machine for its numbers to mean anything; nothing that names a person or a host.

Linux tells all of it in text files. A value the machine does not tell is `None`, never a guess.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from edgeseg.benchmarks.machine.boards import jetpack, power_mode
from edgeseg.runtime.engines import ENGINES

# Instruction sets that decide which kernels an engine takes.
_FLAGS = [
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
]

# arm64 kernels name cores by number only (Arm's MIDR part numbers).
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
    "0xd83": "Neoverse-V3AE",
}

_LIBRARIES = [
    "edgeseg",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    *(name for engine in ENGINES.values() for package in engine.packages for name in package.distributions),
    "tensorrt",
]


@dataclass(frozen=True)
class Device:
    """The machine, by the field names other tools' users know; `None` = not told by the machine.

    `governor` lists every different one; `cpu_quota` is the number of cores a container may use.
    """

    name: str | None
    soc: str | None
    arch: str
    os: str | None
    kernel: str
    cpu_model: str | None
    cpu_flags: tuple[str, ...]
    logical_cpus: int | None
    usable_cpus: int | None
    cpu_quota: float | None
    memory_mib: int | None
    governor: str | None
    clocks_locked: bool | None
    virtualised: bool | None
    jetpack: str | None = None
    power_mode: str | None = None

    def to_json(self) -> dict[str, object]:
        """The fields as JSON."""
        return {**asdict(self), "cpu_flags": list(self.cpu_flags)}


def read_device(root: Path = Path("/")) -> Device:
    """Describe this machine.

    Args:
        root: Where `/proc`, `/sys` and `/etc` are; a recorded tree in tests.
    """
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    flags = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split())
    cpu_model = _field(cpuinfo, "model name") or _arm_core(cpuinfo)
    policies = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    governors = sorted({text for policy in policies if (text := _text(policy / "scaling_governor"))})
    limits = [(_text(policy / "scaling_min_freq"), _text(policy / "scaling_max_freq")) for policy in policies]
    board = _text(root / "proc/device-tree/model")
    return Device(
        name=board or cpu_model,
        soc=((_text(root / "proc/device-tree/compatible") or "").split("\0")[-1]) or None,
        arch=platform.machine(),
        os=_os_name(root),
        kernel=platform.release(),
        cpu_model=cpu_model,
        cpu_flags=tuple(flag for flag in _FLAGS if flag in flags),
        logical_cpus=os.cpu_count(),
        usable_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        cpu_quota=_cpu_quota(root),
        memory_mib=_memory_mib(root),
        governor=" ".join(governors) or None,
        clocks_locked=all(low == high for low, high in limits) if limits else None,
        virtualised="hypervisor" in flags if flags else None,
        jetpack=jetpack(root),
        power_mode=power_mode() if root == Path("/") else None,
    )


def read_software() -> dict[str, str]:
    """Versions of Python and of the libraries that could take part; those not installed are left out."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _arm_core(cpuinfo: str) -> str | None:
    parts = dict.fromkeys(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE))
    return " + ".join(_ARM_PARTS.get(part, f"Arm part {part}") for part in parts) or None


def _os_name(root: Path) -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(root / "etc/os-release") or "", re.MULTILINE)
    return found.group(1) if found else platform.system() or None


def _memory_mib(root: Path) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found.group(1)) // 1024 if found else None


def _cpu_quota(root: Path) -> float | None:
    """Cores a cgroup (version 2) lets this process use, or `None` without a limit."""
    quota, _, period = (_text(root / "sys/fs/cgroup/cpu.max") or "max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _field(cpuinfo: str, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else None


def _text(path: Path) -> str | None:
    """A system file's text without the NUL and newline at its end, or `None`."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace").rstrip("\0\n ")
    except OSError:
        return None
