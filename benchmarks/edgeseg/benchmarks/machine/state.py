"""What changes while measuring: load, heat, throttling, time taken by the hypervisor. Read before and after."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class MachineState:
    """One look at the machine; `None` = not told by it.

    Attributes:
        load_1_min: Load average over the last minute.
        temperatures_c: Zone name to temperature [C].
        throttle_events: How often a core was slowed for its heat since boot.
        frequencies_mhz: Current clock of each core [MHz].
        stolen_ticks: Clock ticks the hypervisor gave to others, all cores since boot.
        total_ticks: All clock ticks, all cores since boot.
        throttled_flags: What a Raspberry Pi's firmware says it does now: 1 too little voltage, 2 clock capped, 4 slowed
            down, 8 soft limit of temperature. 0 = nothing.
    """

    load_1_min: float | None
    temperatures_c: dict[str, float]
    throttle_events: int | None
    frequencies_mhz: tuple[float, ...]
    stolen_ticks: int | None
    total_ticks: int | None
    throttled_flags: int | None = None

    def to_json(self) -> dict[str, object]:
        """The fields as JSON."""
        return {**asdict(self), "frequencies_mhz": list(self.frequencies_mhz)}


def read_state(root: Path = Path("/")) -> MachineState:
    """Look at the machine now.

    Args:
        root: Where `/proc` and `/sys` are; a recorded tree in tests.
    """
    cpus = root / "sys/devices/system/cpu"
    throttles = [_number(path) for path in cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    clocks = [_number(path) for path in sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    stolen, total = _ticks(root)
    return MachineState(
        load_1_min=_load(root),
        temperatures_c=_temperatures(root),
        throttle_events=int(sum(t for t in throttles if t is not None)) if throttles else None,
        frequencies_mhz=tuple(clock / 1000 for clock in clocks if clock is not None),
        stolen_ticks=stolen,
        total_ticks=total,
        throttled_flags=_throttled_flags(),
    )


def stolen_share(before: MachineState, after: MachineState) -> float | None:
    """The ratio of CPU time between two looks that the hypervisor gave to other machines, or `None`."""
    values = (before.stolen_ticks, after.stolen_ticks, before.total_ticks, after.total_ticks)
    if any(value is None for value in values):
        return None
    stolen_0, stolen_1, total_0, total_1 = (int(value) for value in values if value is not None)
    return (stolen_1 - stolen_0) / (total_1 - total_0) if total_1 > total_0 else None


def _throttled_flags() -> int | None:
    """The low bits of `vcgencmd get_throttled`; the high ones tell of any time since boot."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        said = subprocess.run((program, "get_throttled"), capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", said)
    return int(found.group(1), 16) & 0xF if found else None


def _temperatures(root: Path) -> dict[str, float]:
    """Readings between -40 and 150 C; a sensor that is off reports something far outside."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is None or not -40_000 <= value <= 150_000:
            continue
        try:
            name = (zone / "type").read_text(encoding="utf-8").strip()
        except OSError:
            name = zone.name
        found[name if name not in found else f"{name} ({zone.name})"] = value / 1000
    return found


def _load(root: Path) -> float | None:
    try:
        return float((root / "proc/loadavg").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") and root == Path("/") else None


def _ticks(root: Path) -> tuple[int | None, int | None]:
    try:
        line = (root / "proc/stat").read_text(encoding="ascii").splitlines()[0]
    except (OSError, IndexError):
        return None, None
    numbers = [int(number) for number in re.findall(r"\d+", line)]
    # user nice system idle iowait irq softirq steal; guest time is contained in user already
    return (numbers[7], sum(numbers[:8])) if len(numbers) >= 8 else (None, None)


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
