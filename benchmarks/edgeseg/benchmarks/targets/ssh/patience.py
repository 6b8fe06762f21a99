"""How long a host waits for a device whose link was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TypeVar

from edgeseg.benchmarks.targets.ssh.connection import LinkError

# Without contact for so long, the host gives up; the bench goes on there, and the same command finds it [s].
PATIENCE_S = 600.0
# The first contact: a wrong name is told at once, a link that shakes is tried again [s].
FIRST_S = 5.0
_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """Tries again after a lost link.

    Attributes:
        seconds: Without contact for so long, the host gives up [s].
    """

    seconds: float = PATIENCE_S

    def again(self, call: Callable[[], _T], at_most_s: float | None = None) -> _T:
        """A call, repeated over lost links: whatever it does may be done twice.

        Args:
            call: What to do.
            at_most_s: Give up earlier, with the link's own words [s].

        Raises:
            LinkError: The device stayed away.
        """
        began, pauses = time.monotonic(), waits()
        while True:
            try:
                return call()
            except LinkError as error:
                if at_most_s is not None and time.monotonic() - began > at_most_s:
                    raise
                self.wait(error, began, next(pauses))

    def wait(self, error: LinkError, since: float, wait_s: float) -> None:
        """Pause before the next try, unless nothing was heard for too long."""
        if time.monotonic() - since > self.seconds:
            raise LinkError(
                f"{error}; nothing was heard for {self.seconds:g} s. A bench that was begun goes on there: the same "
                "command finds it, and what it measured is kept"
            ) from error
        time.sleep(wait_s)


def waits() -> Iterator[float]:
    """Pauses between two tries [s]."""
    return chain(_WAITS_S, repeat(_WAITS_S[-1]))
