"""What an inference costs: time and energy of one call by a price list; null where a priced part was not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.runtime.errors import ConfigError

_KEYS = ("hour", "kwh", "currency")
_EXAMPLE = "hour=0.04,kwh=0.30,currency=EUR"
_MS_PER_HOUR, _MJ_PER_KWH = 3.6e6, 3.6e9


@dataclass(frozen=True)
class Price:
    """A price list.

    Attributes:
        hour: Of the device for an hour; None leaves the device out.
        kwh: Of electricity per kWh; None leaves it out.
        currency: What both are in.
    """

    hour: float | None = None
    kwh: float | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        given = [value for value in (self.hour, self.kwh) if value is not None]
        wrong = [value for value in given if not (math.isfinite(value) and value >= 0)]
        if wrong or not given:
            found = f"{wrong[0]:g} is no price" if wrong else "neither hour nor kwh is given"
            raise ConfigError(f"the price list: {found}; write it as {_EXAMPLE}")

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read the command line's form, `hour=0.04,kwh=0.30,currency=EUR`.

        Raises:
            ConfigError: For an unknown or repeated name, or a value that is no number.
        """
        values: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in _KEYS or name in values or not equals:
                raise ConfigError(f"--price {part!r}: write {', '.join(_KEYS)} once each, as in {_EXAMPLE}")
            values[name] = value
        return cls.from_values(values, "--price")

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str) -> Price:
        """Read a mapping of `hour kwh currency`.

        Raises:
            ConfigError: For an unknown key or a value that is no number.
        """
        unknown = [name for name in values if name not in _KEYS]
        if unknown:
            raise ConfigError(f"{where}: {unknown[0]!r} is no part of a price list: {', '.join(_KEYS)}")
        try:
            hour, kwh = (None if (value := values.get(name)) is None else float(value) for name in ("hour", "kwh"))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}: a price is no number ({error}); write it as {_EXAMPLE}") from error
        return cls(hour, kwh, str(values.get("currency") or ""))

    @property
    def assumption(self) -> str:
        """What a cost by this list takes for granted, in words."""
        unit = f" {self.currency}" if self.currency else ""
        parts = []
        if self.hour is not None:
            parts.append(f"p50 of the device's time at {self.hour:g}{unit} an hour, busy without a pause")
        if self.kwh is not None:
            parts.append(f"gross energy at {self.kwh:g}{unit} a kWh")
        return " + ".join(parts)

    def cost(self, p50_ms: float | None, energy: float | str) -> float | str:
        """Of one inference, or why it cannot be told: a part that is missing is not left out of a sum.

        Args:
            p50_ms: Typical time of one inference [ms].
            energy: Gross energy of one inference [mJ], or why there is none.
        """
        if self.hour is not None and p50_ms is None:
            return "there is no time to be priced"
        if self.kwh is not None and isinstance(energy, str):
            return f"kWh are priced, and there is no energy: {energy}"
        time = (self.hour or 0.0) * (p50_ms or 0.0) / _MS_PER_HOUR
        return time + (0.0 if isinstance(energy, str) else (self.kwh or 0.0) * energy / _MJ_PER_KWH)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Price:
        """Read what `to_json` wrote."""
        return cls(obj["hour"], obj["kwh"], str(obj["currency"]))
