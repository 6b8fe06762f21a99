"""One-rail power monitors of TI by the kernel's hwmon: the INA238 of Jetson Thor, and what one wires up oneself."""

from __future__ import annotations

from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor, number_in, text_of
from edgeseg.benchmarks.meters.rails import board_total
from edgeseg.runtime.errors import MeasureError

_CHIPS = ("ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina237", "ina238", "ina260", "sq52206")
_MOST_HZ = 100.0
_WORDS = "the chip's step; the shunt's value is what the kernel was told, its tolerance is not known"


def find_thor(root: Path, argument: str = "") -> Meter | None:
    """The INA238 at Jetson Thor's input."""
    if "Thor" not in (text_of(root / "proc/device-tree/model") or ""):
        return None
    chips = [chip for chip in _chips(root) if text_of(chip / "name") == "ina238"]
    return _one_of(chips, "jetson-ina238", argument)


def find(root: Path, argument: str = "") -> Meter | None:
    """Any other one.

    Args:
        root: Where `/sys` is.
        argument: Which of several: its hwmon folder's name, such as `hwmon2`, or its label.

    Raises:
        MeasureError: There are several and none was named.
    """
    return _one_of(_chips(root), "ina2xx", argument)


def _chips(root: Path) -> list[Path]:
    named = sorted(root.glob("sys/class/hwmon/hwmon*/name"))
    chips = [name.parent for name in named if text_of(name) in _CHIPS]
    return [chip for chip in chips if (chip / "power1_input").exists()]


def _label(chip: Path) -> str:
    labels = [text_of(chip / name) for name in ("power1_label", "in1_label", "in0_label", "label")]
    return next((label for label in labels if label), chip.name)


def _one_of(chips: list[Path], meter: str, wanted: str) -> Meter | None:
    taken = [chip for chip in chips if not wanted or wanted in (chip.name, _label(chip))]
    if len(taken) > 1:
        which = ", ".join(f"{chip.name} ({text_of(chip / 'name')}, {_label(chip)})" for chip in taken)
        raise MeasureError(f"there are several power monitors: {which}. Name one: --meter {meter}:{taken[0].name}")
    if not taken:
        return None
    (chip,) = taken
    name, label = str(text_of(chip / "name")), _label(chip)
    refresh = text_of(chip / "update_interval")
    settings = {key: value for key in ("update_interval", "shunt_resistor") if (value := text_of(chip / key))}
    rate = min(_MOST_HZ, 1e3 / float(refresh)) if refresh and float(refresh) > 0 else 10.0
    covers = (
        board_total([label])[1] if meter == "jetson-ina238" and label == "VIN" else "what is wired behind its shunt"
    )
    sensor = Sensor(
        meter, f"{name.upper()} {chip.name}", (label,), covers, "power_w", rate, None, _WORDS, settings=settings
    )
    power = chip / "power1_input"
    return Meter(sensor, lambda: number_in(power) / 1e6)
