"""How one step ended, in the words of all steps: what `--only` prints, and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.pipeline.plan.results import gate_failed
from edgeseg.runtime.errors import ERROR, GATE, OK

_OVER = "over the budget"
_CODES = {"failed": ERROR, "refused": GATE, _OVER: GATE}


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        step: Its name.
        status: `ok`, `failed`, `refused`, `not measured`; of `ship` also `over the budget`.
        reason: Why it is not `ok`.
    """

    step: str
    status: str = "ok"
    reason: str | None = None

    @property
    def exit_code(self) -> int:
        """Of the command that was to run up to this step."""
        return _CODES.get(self.status, OK)


def outcome_of(step: str, result: Mapping[str, Any]) -> Outcome:
    """How a step ended, by its result; a step without a status ends well, or raises.

    Args:
        step: Its name.
        result: Of its record.
    """
    if step == "ship":
        return _of_ship(result)
    status = result.get("status", "ok")
    if status == "ok" or not isinstance(status, str):  # that of `bench` is one a file
        return Outcome(step)
    return Outcome(step, status, result.get("reason"))


def _of_ship(result: Mapping[str, Any]) -> Outcome:
    if not gate_failed(result):
        return Outcome("ship")
    if result["step"] is None:
        return Outcome("ship", "refused", result["reason"])
    return Outcome("ship", _OVER, "; ".join(result["over_budget"]))
