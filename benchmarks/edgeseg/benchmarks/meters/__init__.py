"""Meters of power and energy: where they are looked for, and in which order.

A meter is one entry of `METERS`: its name as in `--meter NAME` and the function that finds it. What feeds most of the
machine stands first, for `--meter auto`.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.benchmarks.meters import android, ina2xx, ina3221, nvml, pi_pmic, rapl, replay, tegrastats
from edgeseg.benchmarks.meters.contract import Find, Meter
from edgeseg.runtime.errors import ConfigError, MeasureError

METERS: dict[str, Find] = {
    "jetson-ina238": ina2xx.find_thor,
    "jetson-ina3221": ina3221.find_hwmon,
    "jetson-iio": ina3221.find_iio,
    "tegrastats": tegrastats.find,
    "pi5-pmic": pi_pmic.find,
    "odpm": android.find_odpm,
    "battery": android.find_battery,
    "charge": android.find_charge,
    "rapl": rapl.find,
    "nvml": nvml.find,
    "ina2xx": ina2xx.find,
    "replay": replay.find,
}
# Read after the run, from a file that another device wrote: see `csv_file.py`.
CSV = "csv"
AUTO = "auto"
# What is on a board by itself; a monitor that somebody wired up, a file, or what needs ten minutes, is named.
_BY_ITSELF = [name for name in METERS if name not in ("charge", "ina2xx", "replay")]


def open_meter(spec: str, root: Path = Path("/")) -> Meter:
    """The meter that `--meter` names, ready to be read.

    Args:
        spec: `auto`, or NAME or NAME:WHICH.
        root: Where `/sys` and `/proc` are; a recorded tree in tests.

    Raises:
        ConfigError: There is no meter of that name.
        MeasureError: The machine has none, or it cannot be used; the message says what to do.
    """
    name, _, argument = spec.partition(":")
    known_meter(spec)
    names = _BY_ITSELF if name == AUTO else [name]
    for one in names:
        try:
            meter = METERS[one](root, argument)
        except (OSError, ValueError) as error:  # half a driver, or a file that holds no number
            raise MeasureError(
                f"the meter {one} is there and cannot be read: {error}; name another by --meter"
            ) from error
        if meter is not None:
            return meter
    looked = f"none of {', '.join(_BY_ITSELF)}" if name == AUTO else f"no {spec}"
    raise MeasureError(
        f"this machine has {looked}: leave --meter out, or record the power by a meter of your own and give its file "
        "as --meter csv:FILE"
    )


def known_meter(spec: str) -> str:
    """The name before the colon.

    Raises:
        ConfigError: There is no meter of that name.
    """
    name = spec.partition(":")[0]
    if name not in (*METERS, CSV, AUTO):
        raise ConfigError(f"--meter {spec}: there is no such meter; there are {', '.join((AUTO, *METERS, CSV))}")
    return name
