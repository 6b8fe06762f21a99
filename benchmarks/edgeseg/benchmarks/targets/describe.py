"""What this machine is, told by itself: `python -m edgeseg.benchmarks.targets.describe` prints it as JSON.

Needs nothing but Python and this package: engines that are installed are tried in processes of their own, since one
that was built for another processor ends its process with an illegal instruction.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.machine.state import read_state
from edgeseg.benchmarks.process.events import EVENT_MARK
from edgeseg.benchmarks.process.launch import how_it_ended
from edgeseg.runtime.engines import ENGINES, installed_package, installed_version, missing

_PROBE_S = 120.0
_PROBE = """
import json, sys
from edgeseg.runtime.device.selfcheck import probe_backend
sys.stdout.write(sys.argv[2] + json.dumps(probe_backend(sys.argv[1])))
"""


def describe(root: Path = Path("/")) -> dict[str, Any]:
    """Everything a reader needs to know before numbers of this machine mean anything to them.

    Args:
        root: Where `/proc` and `/sys` are; a recorded tree in tests.
    """
    return {
        "device": read_device(root).to_json(),
        "software": read_software(),
        "state": read_state(root).to_json(),
        "engines": {name: try_engine(name) for name in ENGINES if installed_package(name) is not None},
        "sensors": power_sensors(root),
        "evidence": evidence_here(root=root),
    }


def try_engine(name: str, command: tuple[str, ...] = (sys.executable, "-c", _PROBE)) -> dict[str, Any]:
    """Run the small networks of `edgeseg.runtime.device.selfcheck` in an installed engine.

    Returns:
        `version`, `runs` (precisions that it ran rightly), `reason` (what it did not run and why, or `None`).
    """
    found = installed_version(name)
    row: dict[str, Any] = {"version": " ".join(found) if found else None, "runs": [], "reason": missing(name)}
    if row["reason"] is not None:
        return row
    try:
        done = subprocess.run([*command, name, EVENT_MARK], capture_output=True, timeout=_PROBE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return row | {"reason": f"no answer in {_PROBE_S:g} s"}
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return row | {"reason": how_it_ended(done.returncode, said[-1] if said else "no message")}
    probes = json.loads(done.stdout.decode(errors="replace").rpartition(EVENT_MARK)[2])
    faults = [f"{probe['precision']}: {probe['reason']}" for probe in probes if not probe["runs"]]
    return row | {"runs": [p["precision"] for p in probes if p["runs"]], "reason": "; ".join(faults) or None}


def power_sensors(root: Path = Path("/")) -> list[str]:
    """Names of what measures current or power here, as its driver and rails call themselves."""
    found = []
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if any(chip.glob("curr*_input")) or any(chip.glob("power*_input")):
            labels = [_text(path) for path in sorted(chip.glob("in*_label"))]
            found.append(": ".join(part for part in (_text(chip / "name"), " ".join(labels)) if part))
    for rail in sorted((root / "sys/bus/iio/devices").glob("iio:device*/rail_name_*")):
        found.append(f"ina3221x: {_text(rail)}")
    for supply in sorted((root / "sys/class/power_supply").glob("*/current_now")):
        found.append(f"power_supply: {supply.parent.name}")
    found += ["RAPL" for _ in sorted((root / "sys/class/powercap").glob("intel-rapl:0"))]
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def main() -> int:
    """Print the description after a mark, since a device's shell may print things of its own."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with answer:
        answer.write(f"{EVENT_MARK}{json.dumps(describe())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
