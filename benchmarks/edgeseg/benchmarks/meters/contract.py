"""What every meter is: something found on a machine that says what it measures, and can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

# What a reading is: the power now, or a counter of energy that only rises.
Quantity = Literal["power_w", "energy_j"]


@dataclass(frozen=True)
class Sensor:
    """What a result says about where its energy comes from.

    Attributes:
        meter: Its name in `METERS`.
        sensor: The chip or source, and which of several.
        rails: The supply rails that are added up.
        covers: What these rails feed, and what they leave out.
        quantity: What a reading is.
        rate_hz: How often a reading is taken: never faster than the sensor makes new ones [Hz].
        step_w: The smallest difference of power that it tells apart, `None` where it does not say [W].
        uncertainty: What is known of its error, in words.
        evidence: `device` = read from this machine, `imported` = from a file, `replayed` = a recording played again.
        settings: What the sensor says of how it averages, and what was guessed of it.
    """

    meter: str
    sensor: str
    rails: tuple[str, ...]
    covers: str
    quantity: Quantity
    rate_hz: float
    step_w: float | None
    uncertainty: str
    evidence: Literal["device", "imported", "replayed"] = "device"
    settings: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**asdict(self), "rails": list(self.rails)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Sensor:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError: A field is missing or unknown.
        """
        return cls(**{**obj, "rails": tuple(obj["rails"])})


@dataclass(frozen=True)
class Meter:
    """A sensor that can be read.

    Attributes:
        sensor: What it is.
        read: One reading in the sensor's quantity [W or J]. Raises OSError or ValueError where there is none just now.
        close: Gives back what it holds.
    """

    sensor: Sensor
    read: Callable[[], float]
    close: Callable[[], None] = lambda: None


# Looks for a meter below a root folder (`/`, or a recorded tree), with what stands behind the name's colon. `None`
# where the machine has none; raises MeasureError, with the command that helps, where one cannot be used.
Find = Callable[[Path, str], Meter | None]


def text_of(path: Path) -> str | None:
    """A system file's text without its last newline, or `None` where it is not there or says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def number_in(path: Path) -> float:
    """The number in a system file.

    Raises:
        OSError, ValueError: There is none just now.
    """
    return float(path.read_text(encoding="ascii"))
