"""NVIDIA's Jetson boards: TI's INA3221, three rails a chip, by the kernel's hwmon (JetPack 5 on) or iio (JetPack 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor, number_in, text_of
from edgeseg.benchmarks.meters.rails import UNUSED, board_total

# A chip's refresh takes 6.6 ms, and every file of it may wait for one: three rails of two files each take 40 ms.
_ONE_RAIL_HZ, _BOARD_HZ = 75.0, 25.0
# One step of the voltage across a shunt; the boards' shunts are 5 milliohm where the driver does not say [V, uOhm].
_SHUNT_STEP_V, _SHUNT_UOHM = 40e-6, 5000.0
_WORDS = "half a step of the current's 40 uV converter at the rail's voltage; the shunt's own tolerance is not known"


@dataclass(frozen=True)
class _Rail:
    """One channel: its name, how to read it [W], its chip's place, one step [W], how it averages."""

    name: str
    read: Callable[[], float]
    chip: str
    step_w: float
    refresh: str | None


def find_hwmon(root: Path, argument: str = "") -> Meter | None:
    """The board's total by hwmon: millivolt times milliampere, since this driver has no file of the power.

    Args:
        root: Where `/sys` is.
        argument: A rail's name instead of the board's total.
    """
    found = {name.parent.resolve() for name in root.glob("sys/class/hwmon/hwmon*/name") if _is_chip(name)}
    found |= {path.resolve() for path in root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*")}
    rails = [rail for chip in sorted(found) for rail in _hwmon_rails(chip)]
    return _meter("jetson-ina3221", rails, argument)


def find_iio(root: Path, argument: str = "") -> Meter | None:
    """The board's total by iio, in milliwatt; as `find_hwmon`."""
    chips = sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*"))
    rails = [rail for chip in chips for rail in _iio_rails(chip)]
    return _meter("jetson-iio", rails, argument)


def _is_chip(name: Path) -> bool:
    return (text_of(name) or "").startswith("ina3221")


def _hwmon_rails(chip: Path) -> list[_Rail]:
    rails = []
    place = f"{next((p.name for p in chip.parents if re.fullmatch(r'[0-9]+-[0-9a-f]{4}', p.name)), chip.name)}"
    refresh = text_of(chip / "update_interval")
    for channel in (1, 2, 3):  # 4 and 7 are sums of shunt voltages, no rails
        label = text_of(chip / f"in{channel}_label")
        if label is None or label == UNUSED:
            continue
        volt, current = chip / f"in{channel}_input", chip / f"curr{channel}_input"
        shunt = float(text_of(chip / f"shunt{channel}_resistor") or _SHUNT_UOHM)
        volts = float(text_of(volt) or 5000) / 1e3

        def read(volt: Path = volt, current: Path = current) -> float:
            return number_in(volt) * number_in(current) / 1e6

        rails.append(_Rail(label, read, place, _SHUNT_STEP_V / (shunt * 1e-6) * volts, refresh))
    return rails


def _iio_rails(chip: Path) -> list[_Rail]:
    rails = []
    for name in sorted(chip.glob("rail_name_*")):
        label, channel = text_of(name), name.name.rpartition("_")[2]
        if label is None or label == UNUSED:
            continue
        power = chip / f"in_power{channel}_input"
        volts = float(text_of(chip / f"in_voltage{channel}_input") or 5000) / 1e3

        def read(power: Path = power) -> float:
            return number_in(power) / 1e3

        step_w = _SHUNT_STEP_V / (_SHUNT_UOHM * 1e-6) * volts
        rails.append(_Rail(label, read, chip.parent.name, step_w, None))
    return rails


def _meter(meter: str, rails: Sequence[_Rail], wanted: str) -> Meter | None:
    if not rails or (wanted and wanted not in {rail.name for rail in rails}):
        return None
    names, covers = ((wanted,), f"the rail {wanted} alone") if wanted else board_total([rail.name for rail in rails])
    taken = [rail for rail in rails if rail.name in names]
    rate = _ONE_RAIL_HZ if len(taken) == 1 else _BOARD_HZ
    refreshes = [float(rail.refresh) for rail in taken if rail.refresh and float(rail.refresh) > 0]
    if refreshes:  # [ms]
        rate = min(rate, 1e3 / max(refreshes))
    chips = " and ".join(dict.fromkeys(rail.chip for rail in taken))
    sensor = Sensor(
        meter,
        f"INA3221 at {chips}",
        tuple(rail.name for rail in taken),
        covers,
        "power_w",
        rate,
        sum(rail.step_w for rail in taken),
        _WORDS,
        settings={f"update_interval_ms of {rail.name}": rail.refresh for rail in taken if rail.refresh},
    )
    return Meter(sensor, lambda: sum(rail.read() for rail in taken))
