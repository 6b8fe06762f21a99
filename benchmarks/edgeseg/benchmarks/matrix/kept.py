"""Results that an earlier command left in the folder: which of them still stand, and why others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.targets import open_target
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.target import Wishes

Told = Mapping[str, Any]


def ask(address: Address, wishes: Wishes) -> Told:
    """What a target is now: `device`, `software` and `evidence`."""
    if address.scheme == "local":  # `describe` also runs every engine, which would warm this machine up
        return {"device": read_device().to_json(), "software": read_software(), "evidence": evidence_here()}
    with open_target(address, wishes) as target:
        return target.describe()


@dataclass
class Kept:
    """Looks at kept results; a target is asked what it is once, and only where a result of it was kept.

    Attributes:
        wishes: What the user wants of targets.
        ask: Asks a target; another one in tests.
        told: What targets said, by their name.
    """

    wishes: Wishes
    ask: Callable[[Address, Wishes], Told] = ask
    told: dict[str, Told] = field(default_factory=dict)

    def look(self, address: Address, file: Path) -> BenchResult | str | None:
        """The result of a file; why it has to be measured again; or `None` where there is none.

        Raises:
            MeasureError: The file is no result, or the target cannot be asked.
        """
        if not file.is_file():
            return None
        result = read_result(file)
        lost = next((row for row in result.rows if row.status != "ok"), None)
        if lost is not None:
            return f"{lost.name} was {lost.status}"
        if address.name not in self.told:
            self.told[address.name] = self.ask(address, self.wishes)
        other = _differences(result, self.told[address.name])
        return f"it was measured elsewhere or with other software ({'; '.join(other)})" if other else result


def _differences(result: BenchResult, now: Told) -> list[str]:
    pairs: list[tuple[str, Any, Any]] = [("evidence", result.evidence, now["evidence"])]
    for before, after in ((result.device, now["device"]), (result.software, now["software"])):
        pairs += [(key, before.get(key), after.get(key)) for key in {**before, **after}]
    return [f"{key}: {one or 'none'}, now {other or 'none'}" for key, one, other in pairs if one != other]
