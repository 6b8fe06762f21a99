"""Whether numbers taken on this machine are a device's: emulators and recordings are told, and say so for ever."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path
from typing import Literal

from edgeseg.runtime.errors import ConfigError

# Says that this is no device; a board never sets it.
VARIABLE = "EDGESEG_EVIDENCE"

Taken = Literal["device", "emulated", "replayed"]
# What the kernel calls an architecture, and what a program is told.
_SAME = {"x86_64": {"x86_64", "i686", "i386"}, "aarch64": {"aarch64", "armv8l", "armv7l"}}


def evidence_here(declared: str | None = None, root: Path = Path("/")) -> Taken:
    """The evidence level of what is measured in this process.

    Args:
        declared: What the user says of this target, `emulated` or `replayed`.
        root: Where `/proc` is; a recorded tree in tests.

    Raises:
        ConfigError: The declaration, or `EDGESEG_EVIDENCE`, is no such level.
    """
    told = declared or os.environ.get(VARIABLE)
    if told == "replayed":
        return "replayed"
    if told not in (None, "", "device", "emulated"):
        raise ConfigError(f"{VARIABLE} is {told!r}: write emulated or replayed")
    return "emulated" if told == "emulated" or _emulated(root) else "device"


def _emulated(root: Path) -> bool:
    """Whether programs run in an emulator of user mode such as qemu's, where time means nothing."""
    if platform.system() != "Linux":
        return False
    machine = platform.machine()
    try:
        kernel = (root / "proc/sys/kernel/arch").read_text(encoding="ascii").strip()
    except OSError:  # kernels before 6.1, or a userland without /proc
        return root == Path("/") and _no_ptrace()
    return machine not in _SAME.get(kernel, {kernel})


def _no_ptrace() -> bool:
    """An emulator has no such system call; asked with an impossible request, it does nothing on a real kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.ptrace(-1, 0, 0, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
