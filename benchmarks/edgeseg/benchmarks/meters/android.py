"""Phones: the rail monitors of Pixel phones (ODPM), and the battery's current of any other."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor, number_in, text_of
from edgeseg.runtime.errors import MeasureError

_ODPM_HZ, _BATTERY_HZ = 4.0, 4.0
_ENERGY = re.compile(r"^CH\d+(?:\(T=\d+\))?\[([^\]]+)\], ?(\d+)\s*$", re.MULTILINE)
_DISPLAY = "VSYS_PWR_DISPLAY"
# No phone that runs a program takes less than 20 mA from its battery: a smaller number counts milliampere.
_LEAST_UA = 20_000.0
_UNSUPPORTED = -(2**31)


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
    battery = next((p for p in sorted(root.glob("sys/class/power_supply/*")) if text_of(p / "type") == "Battery"), None)
    if battery is None or text_of(battery / "current_now") is None or text_of(battery / "voltage_now") is None:
        return None
    if argument not in ("", "ua", "ma"):
        raise MeasureError(f"--meter battery:{argument}: the unit of current_now is ua or ma")
    raw = number_in(battery / "current_now")
    if raw in (_UNSUPPORTED, 0):
        return None
    status = text_of(battery / "status") or "unknown"
    if status != "Discharging":
        raise MeasureError(
            f"the battery is {status.lower()}, so its current is not what the device takes: unplug it "
            "(`dumpsys battery unplug` only pretends), for instance by `adb tcpip 5555` and `adb connect ADDRESS:5555`"
        )
    unit = argument or ("ma" if abs(raw) < _LEAST_UA else "ua")
    to_ampere = 1e-3 if unit == "ma" else 1e-6
    volts = number_in(battery / "voltage_now") / 1e6

    def read() -> float:
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
