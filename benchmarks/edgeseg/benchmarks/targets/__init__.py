"""Where a measurement runs: this machine, one behind ssh, a phone behind adb. One table, by the scheme of the URL."""

from __future__ import annotations

from importlib import import_module

from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.target import Target, Wishes

# Scheme of the URL -> module and class. Adding a target is a line here and its file.
TARGETS: dict[str, tuple[str, str]] = {
    "local": ("edgeseg.benchmarks.targets.local", "LocalTarget"),
    "ssh": ("edgeseg.benchmarks.targets.ssh.target", "SshTarget"),
    "trtexec": ("edgeseg.benchmarks.targets.trtexec.target", "TrtexecTarget"),
    "adb": ("edgeseg.benchmarks.targets.adb.target", "AdbTarget"),
}


def open_target(address: Address, wishes: Wishes = Wishes()) -> Target:  # noqa: B008  frozen
    """The target of an address; use it as a context manager. Nothing is reached before its first call."""
    module, name = TARGETS[address.scheme]
    target: Target = getattr(import_module(module), name)(address, wishes)
    return target
