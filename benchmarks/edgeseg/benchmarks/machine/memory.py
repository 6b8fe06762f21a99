"""The highest resident memory of this process."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def peak_memory_mib(status: Path = Path("/proc/self/status")) -> float | None:
    """The high-water mark of resident memory [MiB], or `None` where the system does not tell.

    Linux: VmHWM, which starts anew with each exec. `ru_maxrss` does not: there it is inherited from the parent.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        return int(found.group(1)) / 1024 if found else None
    except OSError:
        return _peak_by_rusage()


def _peak_by_rusage() -> float | None:
    """macOS, whose unit is bytes and whose counter starts anew with each exec."""
    if sys.platform != "darwin":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
