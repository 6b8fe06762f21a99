"""Raspberry Pi 5: the currents and voltages of its power management chip, by the firmware's `vcgencmd`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor
from edgeseg.runtime.errors import MeasureError

# Every reading starts a program and asks the firmware; the sampler slows down where that costs more than it may.
_RATE_HZ = 10.0
_PATIENCE_S = 5.0
_VALUE = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(-?[\d.]+)[AV]\s*$", re.MULTILINE)
_DENIED = ("vcio", "vchi", "vchiq", "permission")


def rails_of(text: str) -> dict[str, float]:
    """The power of each rail in the output of `vcgencmd pmic_read_adc` [W].

    Currents and voltages stand in two lists of different order, so they are paired by name. EXT5V and BATT have no
    current and are no rails.

    Raises:
        ValueError: There is no current, or one without its voltage.
    """
    values = {(name, kind): float(value) for name, kind, value in _VALUE.findall(text)}
    names = [name for name, kind in values if kind == "A"]
    missing = [name for name in names if (name, "V") not in values]
    if not names or missing:
        raise ValueError(f"pmic_read_adc has no voltage of {missing[0]}" if missing else "pmic_read_adc has no current")
    return {name: values[name, "A"] * values[name, "V"] for name in names}


def find(root: Path, argument: str = "") -> Meter | None:
    """The sum of the chip's rails; `root` and `argument` mean nothing to it.

    Raises:
        MeasureError: The firmware may not be asked by this user.
    """
    del root, argument
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    done = _asked(program)
    said = f"{done.stdout} {done.stderr}"
    try:
        rails = rails_of(done.stdout)
    except ValueError:
        if any(word in said.lower() for word in _DENIED):
            raise MeasureError(
                f"vcgencmd may not ask the firmware ({said.strip()}): `sudo usermod -aG video $USER`, then log in again"
            ) from None
        return None  # Pi 4 and Zero 2 W have no such chip
    sensor = Sensor(
        "pi5-pmic",
        "Raspberry Pi 5 PMIC by vcgencmd",
        tuple(rails),
        "the sum of the PMIC's rails; USB, HAT, fan, the PMIC itself and losses before it are not in it",
        "power_w",
        _RATE_HZ,
        None,
        "raw readings, noisy; fits to power at the wall that others published are 1.13 x sum + 0.64 W and "
        "1.15 x sum + 0.59 W, and not applied",
    )
    return Meter(sensor, lambda: sum(rails_of(_asked(program).stdout).values()))


def _asked(program: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            (program, "pmic_read_adc"),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:  # a reading that failed, which the sampler counts
        raise OSError(f"vcgencmd gave no answer in {_PATIENCE_S:g} s") from error
