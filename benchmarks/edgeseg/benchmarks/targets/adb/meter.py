"""A phone's own power sensors, read there beside the model's runs: `--meter odpm`, `battery` or `charge`.

A loop in the phone's shell prints the sensor's files as often as the sensor makes new readings; what they mean is for
the very meters of this machine to say, from a tree that holds the phone's files. All times are the phone's.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from edgeseg.benchmarks.meters import AUTO, METERS
from edgeseg.benchmarks.meters.contract import Meter
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.meters.watch import IDLE_READINGS
from edgeseg.benchmarks.targets.adb.client import Phone
from edgeseg.benchmarks.targets.mirror import files_in, lay_out, print_files
from edgeseg.runtime.errors import ConfigError, MeasureError

_SUPPLY = "/sys/class/power_supply/battery"
_DUMPSYS = "/dumpsys/battery"
_PRINT_DUMPSYS = f'echo "@edgeseg-file {_DUMPSYS}"; dumpsys battery; echo'
# Meter -> what prints its files, once.
_SOURCES = {
    "odpm": print_files(("/sys/bus/iio/devices/iio:device*/energy_value",)),
    "battery": print_files([f"{_SUPPLY}/{name}" for name in ("type", "status", "current_now", "voltage_now")]),
    "charge": _PRINT_DUMPSYS,
}
_BY_ITSELF = ("odpm", "battery")
_HELP = {
    "odpm": "rail monitors are in Pixel phones from 6 on, for root alone: `adb root` (a userdebug build), or --meter "
    "battery",
    "battery": "its current may not be read here: --meter charge needs no permission",
    "charge": "`dumpsys battery` has no charge counter",
}
_STATUS = {"2": "Charging", "3": "Discharging", "4": "Not charging", "5": "Full"}
_READING = re.compile(r"^@edgeseg-at (\d+(?:\.\d+)?)\n", re.MULTILINE)
_TIMES = "/times"
_STOP_S = 30.0


def refuse_meter(meter: str | None, phone: str) -> None:
    """Refuse, before a phone is asked anything, a meter that no phone has.

    Raises:
        ConfigError: It is none of a phone's.
    """
    if meter is not None and meter.partition(":")[0] not in (AUTO, *_SOURCES):
        raise ConfigError(f"{phone}: --meter {meter}: phones have {', '.join((AUTO, *_SOURCES))}")


class PhoneMeter:
    """A sensor of a phone, read from now on until `end`.

    Args:
        phone: Where.
        place: A folder on the phone; the loop ends when a file `stop` is there.
        wanted: `auto`, or NAME or NAME:WHICH.

    Raises:
        MeasureError: The phone has none, it may not be read, or the battery is being charged.
    """

    def __init__(self, phone: Phone, place: str, wanted: str) -> None:
        self._phone, self._place = phone, place
        self._name, _, self._which = wanted.partition(":")
        with ExitStack() as opened:
            self._tree = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")))
            self._said = opened.enter_context(tempfile.TemporaryFile())
            files = self._files()
            self.sensor = self._meter(files).sensor
            self._process = phone.begin(self._loop(files), self._said)
            self._open = opened.pop_all()
        time.sleep(2 / self.sensor.rate_hz)  # the first reading is there before the first stretch begins

    def idle(self, seconds: float) -> Stretch:
        """Let the phone be, and say when that was."""
        start = self._now_ns()
        time.sleep(max(seconds, IDLE_READINGS / self.sensor.rate_hz))
        return Stretch(start, self._now_ns())

    def end(self, before: Stretch, after: Stretch) -> tuple[PowerTrace | None, str]:
        """The readings, or why there are none."""
        time.sleep(2 / self.sensor.rate_hz)  # one more reading, so that the last stretch has its end
        self._phone.shell("touch", f"{self._place}/stop")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self._said.seek(0)
        parts = _READING.split(self._said.read().decode("utf-8", errors="replace").replace("\r\n", "\n"))
        t_ns = [round(float(stamp) * 1e9) for stamp in parts[1::2]]
        readings = [files_in(text) for text in parts[2::2]]
        if not readings:
            return None, f"the phone printed no reading of {self.sensor.sensor}"
        cpu_s, wall_s = _cpu_s(readings[-1].pop(_TIMES, None)), (t_ns[-1] - t_ns[0]) / 1e9
        try:
            meter = self._meter(_telling(readings))
        except MeasureError as error:
            return None, str(error)
        values = [self._value(meter, files) for files in readings]
        kept = [(t, value) for t, value in zip(t_ns, values, strict=True) if value is not None]
        trace = PowerTrace(
            meter.sensor,
            tuple(t for t, _ in kept),
            tuple(value for _, value in kept),
            len(values) - len(kept),
            cpu_s / wall_s if cpu_s is not None and wall_s > 0 else None,
            before,
            after,
        )
        return trace, ""

    def stop(self) -> None:
        """End the loop, if it has not ended by itself."""
        self._process.kill()
        self._process.wait()
        self._open.close()

    def _loop(self, files: Iterable[str]) -> str:
        body = _PRINT_DUMPSYS if self._name == "charge" else _print_without_programs(files)
        return (
            f'while [ ! -e {self._place}/stop ]; do read -r up rest < /proc/uptime; echo "@edgeseg-at $up"; {body}; '
            f'sleep {1 / self.sensor.rate_hz:g}; done; echo "@edgeseg-file {_TIMES}"; times'
        )

    def _files(self) -> dict[str, str]:
        """The sensor's files, of the first that the phone lets be read; its name is kept."""
        names = _BY_ITSELF if self._name == AUTO else (self._name,)
        for name in names:
            files = files_in(self._phone.script(_SOURCES[name]))
            found = {file: text for file, text in files.items() if text is not None}
            if len(found) == len(files) and METERS[name](lay_out(_plain(found), self._tree), self._which):
                self._name = name
                return found
        raise MeasureError(f"adb://{self._phone.serial} has no {' and no '.join(names)}: {_HELP[names[-1]]}")

    def _meter(self, files: Mapping[str, str | None]) -> Meter:
        meter = METERS[self._name](lay_out(_plain(files), self._tree), self._which)
        if meter is None:
            raise MeasureError(f"the phone's {self._name} tells nothing any more")
        return meter

    def _value(self, meter: Meter, files: Mapping[str, str | None]) -> float | None:
        """What a reading means; `None` where the phone did not give all of it."""
        if not all(text and text.strip() for text in files.values()) or not files:
            return None
        lay_out(_plain(files), self._tree)
        try:
            return meter.read()
        except (OSError, ValueError):
            return None

    def _now_ns(self) -> int:
        return round(float(self._phone.text("cat", "/proc/uptime").split()[0]) * 1e9)


def _print_without_programs(files: Iterable[str]) -> str:
    """As `print_files`, by the shell alone: starting programs would keep a core of the phone busy."""
    return (
        f'for f in {shlex.join(files)}; do echo "@edgeseg-file $f"; while read -r line; do echo "$line"; '
        'done < "$f"; echo; done'
    )


def _plain(files: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Of `dumpsys battery` the files that say the same in microampere hours and microvolt."""
    if _DUMPSYS not in files:
        return files
    said = files[_DUMPSYS] or ""
    # Behind the values some makers print a log in the same form: the first of a name counts.
    found = dict(re.findall(r"^ *([A-Za-z ]+): (-?\d+)\r?$", said, re.MULTILINE)[::-1])
    values = {
        "type": "Battery",
        "status": _STATUS.get(found.get("status", ""), "unknown"),
        "charge_counter": found.get("Charge counter", ""),
        "voltage_now": f"{found['voltage']}000" if "voltage" in found else "",
    }
    return {f"{_SUPPLY}/{name}": text for name, text in values.items()}


def _telling(readings: Sequence[Mapping[str, str | None]]) -> Mapping[str, str | None]:
    """The reading that says what a current is in: under load, an idle phone's is small in any unit."""
    current = f"{_SUPPLY}/current_now"

    def size(files: Mapping[str, str | None]) -> float:
        try:
            return abs(float(files.get(current) or 0))
        except ValueError:
            return 0.0

    return max(readings, key=size)  # of other meters the first


def _cpu_s(said: str | None) -> float | None:
    """What `times` prints: user and system time of the shell, then of its programs [s]."""
    found = re.findall(r"(\d+)m([\d.]+)s", said or "")
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found) if found else None
