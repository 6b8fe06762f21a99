"""A fault of a data set: found one at a time when a file is read, or all at once by `edgeseg data check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.errors import DataError


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set.

    Attributes:
        file: The file at fault.
        kind: A short name to group and count by, such as `missing mask`.
        message: What was found.
        remedy: What to do about it.
        level: A fault keeps the data from being used, a warning does not.
    """

    file: str
    kind: str
    message: str
    remedy: str
    level: Literal["fault", "warning"] = "fault"

    def __str__(self) -> str:
        return f"{self.file}: {self.message}; {self.remedy}"


def bad_description(where: object, message: str, remedy: str) -> FaultError:
    """What is wrong with a description of a data set."""
    return FaultError(Fault(str(where), "bad description", message, remedy))


class FaultError(DataError):
    """A fault that ends what was being done; its text is the fault's."""

    def __init__(self, fault: Fault) -> None:
        # The fault itself is the argument, so that the exception survives being sent between processes.
        super().__init__(fault)
        self.fault = fault
