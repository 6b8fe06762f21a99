"""Fuzzing by hand: `python tests/runtime/fuzz/run.py image --first 0 --seconds 600`.

Each input has a number and is made of it, so that what is said of a fault is enough to see it again. A process that
an input ends (an engine that crashes on a model file does that) is followed by another, from the next number on.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SLOW_S = 5.0  # of the processor
MEMORY_MIB = 1500
GROWTH_MIB = 400


def inputs(name: str, first: int, seconds: float, most: int, report: Any) -> int:
    """Run inputs until the time is up; `report(number, what)` is called for each fault. Returns the next number."""
    sys.path.insert(0, str(HERE.parents[1]))
    importlib.import_module("edgeseg.runtime")
    mutation = importlib.import_module("runtime.fuzz.mutation")
    target = importlib.import_module("runtime.fuzz.targets").targets()[name]
    from edgeseg.runtime.errors import EdgesegError

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MIB << 20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    signal.signal(signal.SIGVTALRM, _slow)
    end, number = time.monotonic() + seconds, first
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end and number < first + most:
            report(number, None)
            content = mutation.mutated(target.seeds, number)
            before = _peak_mib()
            signal.setitimer(signal.ITIMER_VIRTUAL, SLOW_S)
            try:
                target.run(content, Path(folder))
            except EdgesegError:
                pass
            except BaseException as error:
                report(number, "".join(traceback.format_exception(error)[-4:]))
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            if _peak_mib() - before > GROWTH_MIB:
                report(number, f"took {_peak_mib() - before} MiB for {len(content)} bytes")
            number += 1
    return number


class SlowError(BaseException):
    """An input that takes longer than any of its size should."""


def _slow(*_: object) -> None:
    raise SlowError(f"still at it after {SLOW_S} s")


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def child(arguments: argparse.Namespace) -> None:
    """Write the number at work into the file that the parent has, and faults as lines."""
    with Path(arguments.at).open("r+b") as file, mmap.mmap(file.fileno(), 8) as at:

        def report(number: int, what: str | None) -> None:
            at[:] = number.to_bytes(8, "little")
            if what is not None:
                sys.stdout.write(json.dumps({"number": number, "what": what}) + "\n")
                sys.stdout.flush()

        number = inputs(arguments.target, arguments.first, arguments.seconds, arguments.most, report)
        at[:] = number.to_bytes(8, "little")


def run(name: str, first: int, seconds: float, most: int = 1 << 62) -> dict[str, Any]:
    """Run inputs in processes of their own; returns how many, the faults, and how many ended their process."""
    faults: list[dict[str, Any]] = []
    crashes: collections.Counter[str] = collections.Counter()
    end, number, last = time.monotonic() + seconds, first, first + most
    with tempfile.NamedTemporaryFile() as at:
        at.write(bytes(8))
        at.flush()
        while (left := end - time.monotonic()) > 0 and number < last:
            command = [sys.executable, __file__, name, "--first", str(number), "--seconds", str(left)]
            command += ["--most", str(last - number), "--at", at.name]
            quiet = dict(os.environ, OPENCV_LOG_LEVEL="SILENT")
            done = subprocess.run(command, capture_output=True, env=quiet, check=False)
            for line in done.stdout.splitlines():
                with contextlib.suppress(ValueError):  # an engine may print, too
                    faults.append(json.loads(line))
            number = int.from_bytes(Path(at.name).read_bytes(), "little")
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
                crashes[f"exit {done.returncode}"] += 1
                faults.append({"number": number, "what": f"exit {done.returncode}: {said}", "crash": True})
                number += 1
    return {"target": name, "inputs": number - first, "faults": faults, "crashes": dict(crashes)}


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--most", type=int, default=1 << 62, help="inputs at most")
    parser.add_argument("--at", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.at:
        child(arguments)
    else:
        found = run(arguments.target, arguments.first, arguments.seconds, arguments.most)
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
