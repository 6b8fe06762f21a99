"""Phones: the rail monitors of Pixel phones (ODPM), and the battery of any other: its current, or its charge."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor, number_in, text_of
from edgeseg.runtime.errors import MeasureError

_ODPM_HZ, _BATTERY_HZ, _CHARGE_HZ = 4.0, 4.0, 0.5
_ENERGY = re.compile(r"^CH\d+(?:\(T=\d+\))?\[([^\]]+)\], ?(\d+)\s*$", re.MULTILINE)
_DISPLAY = "VSYS_PWR_DISPLAY"
# No phone that runs a program takes less than 20 mA from its battery: a smaller number counts milliampere.
_LEAST_UA = 20_000.0
_UNSUPPORTED = -(2**31)
_COULOMB_PER_UAH = 3600e-6


def energies_of(text: str) -> dict[str, float]:
    """The counters of one `energy_value` file, rail to energy [J].

    Raises:
        ValueError: There is none.
    """
    found = {rail: float(micro) / 1e6 for rail, micro in _ENERGY.findall(text)}
    if not found:
        raise ValueError("energy_value names no channel")
    return found


def find_odpm(root: Path, argument: str = "") -> Meter | None:
    """All rails but the display's, or the one named.

    Raises:
        MeasureError: The counters may not be read by this user.
    """
    files = sorted(root.glob("sys/bus/iio/devices/iio:device*/energy_value"))
    if not files:
        return None
    if not all(os.access(file, os.R_OK) for file in files):
        raise MeasureError("the phone's rail monitors may not be read by this user: `adb root` (a userdebug build)")
    rails = tuple(rail for file in files for rail in energies_of(file.read_text()) if _taken(rail, argument))
    if not rails:
        return None

    def read() -> float:
        parts = [energies_of(file.read_text(encoding="ascii")) for file in files]
        return sum(joules for part in parts for rail, joules in part.items() if rail in rails)

    sensor = Sensor(
        "odpm",
        "on-device power monitor",
        rails,
        f"the rail {argument} alone" if argument else "the monitored rails without the display; others are not in it",
        "energy_j",
        _ODPM_HZ,
        None,
        "the monitor's own account, of which its maker states no error",
    )
    return Meter(sensor, read)


def _taken(rail: str, wanted: str) -> bool:
    return rail == wanted if wanted else rail != _DISPLAY


def find_battery(root: Path, argument: str = "") -> Meter | None:
    """The battery's current times its voltage, while it discharges.

    Args:
        root: Where `/sys` is.
        argument: `ua` or `ma`, the unit of `current_now`: the rules say microampere, some makers count milliampere,
            so without it the unit follows from the size of the number, and the result says what was taken.

    Raises:
        MeasureError: The battery is being charged, or the unit is unknown.
    """
    battery = _battery(root, "current_now")
    if battery is None:
        return None
    if argument not in ("", "ua", "ma"):
        raise MeasureError(f"--meter battery:{argument}: the unit of current_now is ua or ma")
    raw = number_in(battery / "current_now")
    if raw in (_UNSUPPORTED, 0):
        return None
    _refuse_charging(battery)
    unit = argument or ("ma" if abs(raw) < _LEAST_UA else "ua")
    to_ampere = 1e-3 if unit == "ma" else 1e-6
    volts = number_in(battery / "voltage_now") / 1e6

    def read() -> float:
        _check_discharges(battery)
        # Makers disagree about the sign of a discharge; it is known to be one.
        return abs(number_in(battery / "current_now")) * to_ampere * number_in(battery / "voltage_now") / 1e6

    settings = {
        "current_now": f"{raw:.0f}",
        "unit": f"{unit}, {'as told' if argument else 'by the size of the number'}",
    }
    sensor = Sensor(
        "battery",
        f"battery gauge {battery.name}",
        (battery.name,),
        "the whole device with its display and radios",
        "power_w",
        _BATTERY_HZ,
        to_ampere * volts,
        "one step of the gauge, whose averaging its maker does not state",
        settings=settings,
    )
    return Meter(sensor, read)


def find_charge(root: Path, _argument: str = "") -> Meter | None:
    """What the battery's charge counter lost times its voltage: coarse, so for minutes, and everywhere to be had.

    Raises:
        MeasureError: The battery is being charged.
    """
    battery = _battery(root, "charge_counter")
    if battery is None:
        return None
    _refuse_charging(battery)
    last, used_j = number_in(battery / "charge_counter"), 0.0

    def read() -> float:
        nonlocal last, used_j
        _check_discharges(battery)
        now = number_in(battery / "charge_counter")
        used_j += (last - now) * _COULOMB_PER_UAH * number_in(battery / "voltage_now") / 1e6
        last = now
        return used_j

    sensor = Sensor(
        "charge",
        f"charge counter of {battery.name}",
        (battery.name,),
        "the whole device with its display and radios",
        "energy_j",
        _CHARGE_HZ,
        None,
        "steps of the counter, often 1 mAh (13 J) or 1 % of the battery; its maker states no error",
        settings={"charge_counter": f"{last:.0f} uAh"},
    )
    return Meter(sensor, read)


def _battery(root: Path, needed: str) -> Path | None:
    """The battery that tells this and its voltage."""
    found = (one for one in sorted(root.glob("sys/class/power_supply/*")) if text_of(one / "type") == "Battery")
    return next((one for one in found if text_of(one / needed) and text_of(one / "voltage_now")), None)


def _refuse_charging(battery: Path) -> None:
    status = text_of(battery / "status") or "unknown"
    if status != "Discharging":
        raise MeasureError(
            f"the battery is {status.lower()}, so its current is not what the device takes: unplug it "
            "(`dumpsys battery unplug` only pretends), for instance by `adb tcpip 5555` and `adb connect ADDRESS:5555`"
        )


def _check_discharges(battery: Path) -> None:
    """No reading where somebody has plugged it in meanwhile."""
    if text_of(battery / "status") != "Discharging":
        raise ValueError("the battery does not discharge")
