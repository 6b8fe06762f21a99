"""Whether memory and handles stay flat over very many frames: `python -m edgeseg.benchmarks.soak BUNDLE`.

The frames have changing sizes and every extra is asked for now and then. A Worker's engine is killed ten times on the
way of some more, so that its restarts are soaked, too. Prints a table, and ends with 1 where something grew.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.runtime import Segmenter, Worker, WorkerConfig

_POINTS = 20  # times that it is looked at
_KILLS = 10
_SIZES = ((64, 64), (48, 80), (100, 37), (64, 96), (33, 33))
_FLAT_MIB, _FLAT_HANDLES = 1.0, 0


@dataclass(frozen=True)
class Look:
    """What a process holds after `frames` frames: resident memory [MiB], open handles, threads."""

    frames: int
    memory_mib: float
    handles: int
    threads: int


def look(frames: int, pid: int) -> Look:
    """Ask Linux."""
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text("ascii", "replace").splitlines())
    handles = sum(1 for _ in (process / "fd").iterdir())
    return Look(frames, int(fields["VmRSS"].split()[0]) / 1024, handles, int(fields["Threads"]))


def soak(model: Segmenter | Worker, n: int, pids: Sequence[int], kills: int = 0) -> list[list[Look]]:
    """Segment `n` frames, look at processes twenty times, and kill a worker's engine `kills` times."""
    rng = np.random.default_rng(0)
    channels = (3,) if model.spec.input.color == "rgb" else ()
    dtype = np.uint8 if model.spec.input.window is None else np.uint16
    frames = [rng.integers(0, 256, (*size, *channels)).astype(dtype) for size in _SIZES]
    scores = model.spec.output.kind == "scores"
    looks: list[list[Look]] = [[] for _ in pids]
    for number in range(n):
        if kills and isinstance(model, Worker) and model.pid and number % (n // kills) == 0:
            os.kill(model.pid, signal.SIGKILL)
        model(frames[number % len(frames)], regions=number % 7 == 0, probability=scores and number % 11 == 0)
        if (number + 1) % (n // _POINTS) == 0:
            for seen, pid in zip(looks, pids, strict=True):
                seen.append(look(number + 1, pid))
    return looks


def grew(looks: list[Look]) -> bool:
    """Whether the last quarter holds more than the second one did; in the first one, caches and arenas fill."""
    quarter = len(looks) // 4
    early, late = looks[quarter : 2 * quarter], looks[-quarter:]
    memory_mib = max(one.memory_mib for one in late) - max(one.memory_mib for one in early)
    handles = max(one.handles + one.threads for one in late) - max(one.handles + one.threads for one in early)
    return memory_mib > _FLAT_MIB or handles > _FLAT_HANDLES


def row(name: str, looks: list[Look]) -> str:
    """One line of the table."""
    first, half, last = looks[0], looks[len(looks) // 2 - 1], looks[-1]
    memory = " | ".join(f"{one.memory_mib:.1f}" for one in (first, half, last))
    said = "grew" if grew(looks) else "flat"
    return f"| {name} | {last.frames} | {memory} | {first.handles} → {last.handles} | {last.threads} | {said} |"


def main() -> int:
    """Soak a Segmenter, then the two processes of a Worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--variant")
    arguments = parser.parse_args()
    if arguments.frames < _KILLS * _POINTS:
        parser.error(f"--frames must be at least {_KILLS * _POINTS}")
    n, here = arguments.frames, os.getpid()
    _print(
        f"| | frames | MiB after {n // _POINTS} | at half | at the end | handles | threads | |", "|---|" + "---|" * 7
    )
    with Segmenter.open(arguments.bundle, arguments.variant, threads=1) as segmenter:
        (looks,) = soak(segmenter, n, [here])
        flat = [_told(f"Segmenter, {segmenter.name}", looks)]
    # A machine that holds this process still for a while must not be taken for an engine that hangs.
    patient = WorkerConfig(hang_s=3600, start_s=3600)
    with Worker.open(arguments.bundle, arguments.variant, threads=1, config=patient) as worker:
        assert worker.pid is not None
        caller, engine = soak(worker, n, [here, worker.pid])
        flat += [_told("Worker: who calls", caller), _told("Worker: its engine", engine)]
        (looks,) = soak(worker, n // _POINTS * 2, [here], _KILLS)
        flat.append(_told("Worker, its engine killed: who calls", looks))
        counts = worker.counts
    _print("", f"{counts.ok} of {counts.frames} masks by the worker, {counts.restarts} restarts")
    return int(not all(flat) or counts.ok < counts.frames)


def _told(name: str, looks: list[Look]) -> bool:
    """Print a row as soon as it is there: a soak takes long, and may be ended; whether it is flat."""
    _print(row(name, looks))
    return not grew(looks)


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
