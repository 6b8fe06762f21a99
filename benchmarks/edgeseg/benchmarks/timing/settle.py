"""Waiting until the other subject's engine has stopped using the CPU.

Engines keep their idle threads spinning for a while, so that the next call need not wake them: ONNX Runtime's were
seen to spin for 20 to 30 ms after a call. A block of another subject that starts within that time is measured
against a busy core.
"""

from __future__ import annotations

from edgeseg.benchmarks.timing.clock import Clock

_LOOK_S = 0.004
_QUIET_SHARE = 0.15
_QUIET_LOOKS = 2


def settle(clock: Clock, cap_s: float) -> bool:
    """Sleeps until this process uses almost no CPU time in two looks in a row.

    Args:
        clock: Where wall and CPU time come from.
        cap_s: Longest wait [s]; 0 does not wait at all.

    Returns:
        Whether the process became quiet within `cap_s`.
    """
    start = clock.now_ns()
    quiet = 0
    while clock.now_ns() - start < cap_s * 1e9:
        wall, cpu = clock.now_ns(), clock.cpu_ns()
        clock.sleep(_LOOK_S)
        share = (clock.cpu_ns() - cpu) / max(clock.now_ns() - wall, 1)
        quiet = quiet + 1 if share < _QUIET_SHARE else 0
        if quiet == _QUIET_LOOKS:
            return True
    return cap_s == 0
