"""What the device can afford: the limits of a network on a named target, and whether figures hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from edgeseg.runtime.errors import ConfigError

_EXAMPLE = "latency_ms=2,bytes=300000"


@dataclass(frozen=True)
class Budget:
    """Limits on a target; None leaves one off.

    Attributes:
        target: Where it is measured, such as `x86-ort`.
        latency_ms: Most milliseconds of the whole pipeline, p50: pre + infer + post.
        speedup: Least ratio of the FP32 teacher's latency, same engine and threads, to the network's.
        macs: Most multiply-accumulates of one inference.
        bytes: Most bytes of the file that ships.
        energy_mj: Most millijoules of one inference, gross.
    """

    target: str
    latency_ms: float | None = None
    speedup: float | None = None
    macs: float | None = None
    bytes: float | None = None
    energy_mj: float | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise ConfigError(f"the budget for {self.target} is empty; name a limit, such as {_EXAMPLE}")
        for name, limit in self.limits.items():
            if not (limit > 0 and math.isfinite(limit)):
                raise ConfigError(f"budget {name} is {limit:g}; set it to a number above 0, such as {_EXAMPLE}")

    @classmethod
    def parse(cls, text: str, target: str) -> Budget:
        """Read the command line's form, `latency_ms=2,bytes=300000`.

        Raises:
            ConfigError: For an unknown name, a value that is no number, or a name given twice.
        """
        limits: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in LIMITS:
                raise ConfigError(f"budget {part!r}: {name!r} is no limit; known are {', '.join(LIMITS)}")
            if name in limits:
                raise ConfigError(f"budget {text!r} names {name} twice; keep one of them")
            try:
                limits[name] = float(value)
            except ValueError as err:
                found = f"{value!r} is no number" if equals else "it has no value"
                raise ConfigError(f"budget {part!r}: {found}; write it as {_EXAMPLE}") from err
        return cls(target, **limits)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: float(value) for name in LIMITS if (value := getattr(self, name)) is not None}

    def ceilings(self, teacher_ms: float | None) -> dict[str, float]:
        """The limits as largest allowed values, `speedup` turned into milliseconds.

        Args:
            teacher_ms: p50 of the FP32 teacher's whole pipeline on the target [ms]; needed for `speedup` alone.

        Raises:
            ConfigError: If `speedup` is set and the teacher's latency is not known.
        """
        limits = self.limits
        ratio = limits.pop("speedup", None)
        if ratio is None:
            return limits
        if teacher_ms is None:
            raise ConfigError(f"budget speedup={ratio:g} needs the teacher's latency on {self.target}; give latency_ms")
        limits["latency_ms"] = min(limits.get("latency_ms", math.inf), teacher_ms / ratio)
        return limits

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in self.limits.items())


LIMITS = tuple(field.name for field in fields(Budget) if field.name != "target")


@dataclass(frozen=True)
class Miss:
    """A limit that does not hold: `found` is None where the value could not be measured."""

    name: str
    limit: float
    found: float | None

    def __str__(self) -> str:
        found = "not measured" if self.found is None else f"{self.found:.4g}"
        return f"{self.name} is {found}, the budget allows {self.limit:.4g}"


def misses(ceilings: Mapping[str, float], figures: Mapping[str, float | None]) -> list[Miss]:
    """Limits that do not hold; a value that could not be measured holds nothing.

    Args:
        ceilings: Largest allowed values by name, from `Budget.ceilings`.
        figures: Measured values by the same names.
    """
    found = {name: figures.get(name) for name in ceilings}
    return [
        Miss(name, ceilings[name], value) for name, value in found.items() if value is None or value > ceilings[name]
    ]
