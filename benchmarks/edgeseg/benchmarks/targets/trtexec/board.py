"""What a board says of itself in its own shell: the files that describe any machine, and where its trtexec is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from edgeseg.benchmarks.machine.boards import mode_in
from edgeseg.benchmarks.machine.environment import Device, read_device
from edgeseg.benchmarks.machine.evidence import VARIABLE, Taken, evidence_here
from edgeseg.benchmarks.machine.state import MachineState, read_state
from edgeseg.benchmarks.targets.mirror import files_in, lay_out, print_files
from edgeseg.benchmarks.tools.trtexec import version_in
from edgeseg.runtime.errors import MeasureError

_CPU = "/sys/devices/system/cpu/cpu[0-9]*"
_STATE = (
    "/proc/loadavg",
    "/proc/stat",
    f"{_CPU}/cpufreq/scaling_cur_freq",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
)
_ABOUT = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/device-tree/model",
    "/proc/device-tree/compatible",
    "/etc/os-release",
    "/etc/nv_tegra_release",
    *(f"{_CPU}/cpufreq/scaling_{name}" for name in ("governor", "min_freq", "max_freq")),
)
_FIND = (
    "for one in trtexec /usr/src/tensorrt/bin/trtexec; do if command -v $one; then $one --help 2>&1 | head -n 20; "
    "exit 0; fi; done"
)

Shell = Callable[[str], str]


class Program(NamedTuple):
    """A trtexec: its path on the board, and TensorRT's version."""

    path: str
    version: str


def find_program(shell: Shell, board: str) -> Program:
    """The board's trtexec.

    Raises:
        MeasureError: There is none, or it does not say its version.
    """
    path, _, said = shell(_FIND).partition("\n")
    if not path:
        raise MeasureError(
            f"{board}: no trtexec is on its PATH or in /usr/src/tensorrt/bin: sudo apt install libnvinfer-bin there"
        )
    version = version_in(said)
    if version is None:
        raise MeasureError(f"{board}: {path} does not say its version: {said.strip()[-200:] or 'it says nothing'}")
    return Program(path, version)


def read_board(shell: Shell) -> Device:
    """The board, by the names of every other device."""
    about = shell("uname -m; uname -r; nproc; nvpmodel -q 2>/dev/null || true").splitlines()
    arch, kernel, cores = about[:3]
    with tempfile.TemporaryDirectory() as tree:
        found = read_device(lay_out(files_in(shell(print_files(_ABOUT))), Path(tree)))
    return replace(
        found,
        arch=arch,
        kernel=kernel,
        logical_cpus=int(cores),
        usable_cpus=int(cores),
        power_mode=mode_in("\n".join(about[3:])),
    )


def read_heat(shell: Shell) -> MachineState:
    """Load, temperatures and clocks."""
    with tempfile.TemporaryDirectory() as tree:
        found = read_state(lay_out(files_in(shell(print_files(_STATE))), Path(tree)))
    return replace(found, throttled_flags=None)  # a Raspberry Pi's, asked of this machine


def read_evidence(shell: Shell, declared: str | None) -> Taken:
    """What the user or the board says of what is measured there."""
    told = declared or shell(f"printenv {VARIABLE} || true").strip()
    return evidence_here(told) if told else "device"
