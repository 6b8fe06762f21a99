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
        macs_ratio: Largest share of the student's multiply-accumulates, such as 0.65.
        bytes: Most bytes of the file that ships.
        energy_mj: Most millijoules of one inference, gross.
    """

    target: str
    latency_ms: float | None = None
    speedup: float | None = None
    macs: float | None = None
    macs_ratio: float | None = None
    bytes: float | None = None
    energy_mj: float | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise ConfigError(f"the budget for {self.target} is empty; name a limit, such as {_EXAMPLE}")
        for name, limit in self.limits.items():
            if not (limit > 0 and math.isfinite(limit)):
                raise ConfigError(f"budget {name} is {limit:g}; set it to a number above 0, such as {_EXAMPLE}")
        if self.macs_ratio is not None and self.macs_ratio >= 1:
            raise ConfigError(f"budget macs_ratio is {self.macs_ratio:g}; set it below 1 (0.65 leaves 65 % of MACs)")

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

    @property
    def is_timed(self) -> bool:
        """Whether a limit needs the target's clock or meter: MACs and bytes are the same on every machine."""
        return any(limit is not None for limit in (self.latency_ms, self.speedup, self.energy_mj))

    def ceilings(self, reference_ms: float | None, student_macs: float | None = None) -> dict[str, float]:
        """The limits as largest allowed values, ratios turned into milliseconds and multiply-accumulates.

        Args:
            reference_ms: p50 of the FP32 teacher's whole pipeline on the target [ms]; needed for `speedup` alone.
            student_macs: Of the student that is cut; needed for `macs_ratio` alone.

        Raises:
            ConfigError: If a ratio is set and what it is of is not known.
        """
        limits = self.limits
        share = limits.pop("macs_ratio", None)
        if share is not None:
            if student_macs is None:
                raise ConfigError(f"budget macs_ratio={share:g} needs the student's MACs; give macs")
            limits["macs"] = min(limits.get("macs", math.inf), share * student_macs)
        ratio = limits.pop("speedup", None)
        if ratio is None:
            return limits
        if reference_ms is None:
            raise ConfigError(f"budget speedup={ratio:g} needs the teacher's latency on {self.target}; give latency_ms")
        limits["latency_ms"] = min(limits.get("latency_ms", math.inf), reference_ms / ratio)
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
