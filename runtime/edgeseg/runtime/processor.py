"""What the processor can do, as Linux lists it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

VNNI = frozenset({"avx512_vnni", "avx_vnni"})  # unsigned times signed bytes, summed in 32 bits


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Return the processor's features as Linux lists them; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())
