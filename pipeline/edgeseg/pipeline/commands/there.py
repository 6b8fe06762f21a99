"""Where the command line wants a budget to be held: this machine, or one that is asked before anything is trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edgeseg.pipeline.plan.beside import There
    from edgeseg.pipeline.recipe.recipe import Recipe

LOCAL = "local"


@dataclass(frozen=True)
class Device:
    """What `--on` and the options around it say.

    Attributes:
        on: `local`, a URL, or a name of `devices.yaml`.
        meter: What measures energy; None is `auto`.
        wheel: As `targets.Wishes`.
        wheelhouse: Likewise.
        benchmark_model: Likewise.
        delegate: What a phone runs the files by.
    """

    on: str = LOCAL
    meter: str | None = None
    wheel: Path | None = None
    wheelhouse: Path | None = None
    benchmark_model: Path | None = None
    delegate: str = "cpu"

    def check(self) -> None:
        """Refuse what is said of a device where none is named.

        Raises:
            ConfigError: Nothing would come of it, and the report would say that it had.
        """
        said = dataclasses.replace(self, meter=None).words  # a meter may be this machine's
        if self.on == LOCAL and said:
            raise ConfigError(f"{said[0]} {said[1]} is of a device: name it with --on, or leave the option out")

    @property
    def words(self) -> list[str]:
        """The options as typed."""
        said = {
            "--on": self.on if self.on != LOCAL else None,
            "--meter": self.meter,
            "--wheel": self.wheel,
            "--offline": self.wheelhouse,
            "--benchmark-model": self.benchmark_model,
            "--delegate": self.delegate if self.delegate != "cpu" else None,
        }
        return [word for name, value in said.items() if value is not None for word in (name, str(value))]


def find_there(device: Device, recipe: Recipe, target: str | None, limits: str | None) -> tuple[str | None, There]:
    """Ask the device, if it is another one, what it is.

    Args:
        device: Which.
        recipe: Its budget is read.
        target: `--target`, or None.
        limits: `--budget`, or None.

    Returns:
        The target, and where the budget is held.

    Raises:
        ConfigError: If there is no budget to be held there, no device that options speak of, no such meter, or the
            target is another machine.
        MeasureError: If the device cannot be reached, or what it needs does not run there.
    """
    from edgeseg.compress.search.budget import Budget
    from edgeseg.pipeline.plan.beside import There

    device.check()
    asked = Budget.parse(limits, "").limits if limits else recipe.budget.limits if recipe.budget else {}
    metered = "energy_mj" in asked
    if device.meter is not None and not metered:
        raise ConfigError(
            f"--meter {device.meter}: the budget has no energy_mj to be metered; add one, or leave it out"
        )
    if device.on == LOCAL:
        return target, There(meter=device.meter)
    if not asked:
        raise ConfigError(
            f"--on {device.on} is where a budget is held, and there is none: give --budget latency_ms=15, or measure a "
            f"finished bundle there: edgeseg bench run BUNDLE --on {device.on}"
        )
    return _asked(device, target or (recipe.budget.target if recipe.budget else None), target, metered=metered)


def _asked(device: Device, wanted: str | None, typed: str | None, *, metered: bool) -> tuple[str, There]:
    from edgeseg.benchmarks.config import HarnessConfig
    from edgeseg.benchmarks.options import refuse_elsewhere
    from edgeseg.benchmarks.targets.address import find_address
    from edgeseg.benchmarks.targets.parcel import check_wheel
    from edgeseg.benchmarks.targets.target import Wishes
    from edgeseg.pipeline.plan.beside import There
    from edgeseg.pipeline.target.elsewhere import ask, find_target
    from edgeseg.runtime.engines import engine_of_target
    from edgeseg.runtime.text.terminal import say

    address = find_address(device.on)
    meter = (device.meter or "auto") if metered else None
    refuse_elsewhere(HarnessConfig(meter=meter), None, [address.name])
    wheel = device.wheel and check_wheel(device.wheel)
    wishes = Wishes(wheel, device.wheelhouse, False, device.benchmark_model, (device.delegate,))
    say(f"asking {address.name} what it is")
    found = find_target(address, wishes, wanted)
    if typed not in (None, found):
        raise ConfigError(f"--target {typed} is another machine: {address.name} is {found}; leave --target out")
    engine = engine_of_target(found)
    assert engine is not None, "a target names one"
    there = ask(address, wishes, engine.name, meter)
    return found, There(there.told, there.to_place(), meter)
