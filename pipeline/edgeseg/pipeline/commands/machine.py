"""`edgeseg doctor`: what is installed, what each engine can do on this machine, and the command that adds the rest."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.text.shown import simple_table
from edgeseg.runtime.device.machine import doctor as examine_runtime
from edgeseg.runtime.engines import ENGINES

# What each extra is for; the engines are told of by themselves.
_PURPOSES = {
    "train": "training",
    "weights": "published ImageNet weights to start from",
    "compress": "pruning and calibration",
    "export": "ONNX and TFLite files",
    "bench": "measuring, and this command line",
    "dev": "tests and checks",
}
# `torch>=2.6; extra == "train"`: name, bounds, extra
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*?)\s*;.*extra == ['\"]([a-z]+)['\"]")


def examine(progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Look at this machine; nothing is installed or changed.

    Args:
        progress: Called with (done, total) after every part.

    Returns:
        JSON-able: what the device's doctor says, each backend with its `probes` (a tiny network really run), `extras`
        by name (`purpose`, `packages` {name: version or None}, `missing`, `remedy`), `training`, and `ok`: at least
        one engine gave the right answer.
    """
    report = examine_runtime()
    total = len(report["backends"]) + 1
    for done, (name, row) in enumerate(report["backends"].items(), start=1):
        if progress is not None:
            progress(done, total)
        row["probes"] = _probes(name) if row["usable"] else []
        if row["remedy"] is not None and ENGINES[name].extra:
            row["remedy"] = install_command(ENGINES[name].extra)
    report["extras"] = extras()
    report["training"] = _training()
    if progress is not None:
        progress(total, total)
    report["ok"] = any(probe["runs"] for row in report["backends"].values() for probe in row["probes"])
    return report


def extras() -> dict[str, dict[str, Any]]:
    """Packages of every host extra as edgeseg's own metadata lists them, with the installed version or None."""
    found: dict[str, dict[str, Any]] = {
        extra: {"purpose": purpose, "packages": {}} for extra, purpose in _PURPOSES.items()
    }
    for requirement in importlib.metadata.requires("edgeseg") or []:
        match = _REQUIREMENT.match(requirement)
        if match and match[3] in found and match[1] != "edgeseg":
            found[match[3]]["packages"][match[1]] = _version(match[1])
    for extra, row in found.items():
        row["missing"] = [name for name, version in row["packages"].items() if version is None]
        row["remedy"] = install_command(extra) if row["missing"] else None
    return found


def install_command(extra: str) -> str:
    """The pip command that adds an extra: from the checkout, with its pins, where edgeseg runs from one."""
    checkout = Path(__file__).resolve().parents[4]
    if (checkout / "pyproject.toml").is_file() and (checkout / "constraints.txt").is_file():
        return f"pip install -e '.[{extra}]' -c constraints.txt  (in the checkout)"
    return f"pip install 'edgeseg[{extra}]'"


def doctor_text(report: Mapping[str, Any]) -> RenderableType:
    """The report for people."""
    engines = [
        (name, probe["precision"], "works" if probe["runs"] else "FAILS", probe["engine"], probe["reason"])
        for name, row in report["backends"].items()
        for probe in row["probes"]
    ] + [
        (name, None, "untried" if row["usable"] else "no", row["version"], row["reason"] or "no file to try it with")
        for name, row in report["backends"].items()
        if not row["probes"]
    ]
    packages = [
        (extra, row["purpose"], "complete" if not row["missing"] else f"missing {', '.join(row['missing'])}")
        for extra, row in report["extras"].items()
    ]
    remedies = [row["remedy"] for row in (*report["backends"].values(), *report["extras"].values()) if row["remedy"]]
    slow = report["cores"] - report["fast_cores"]
    cores = f"{report['cores']} cores{f' ({slow} of them slow)' if slow else ''}, {report['default_threads']} threads"
    machine = f"{report['machine_kind']}, {cores}, {' '.join(report['cpu_flags'])}"
    return Group(
        Text(f"edgeseg {report['edgeseg']}, Python {report['python']}, {report['platform']}"),
        Text(f"machine   {machine}"),
        Text(f"training  {report['training']['words']}"),
        Text(""),
        simple_table(("engine", "precision", "here", "version", "reason"), engines, left=5),
        Text(""),
        simple_table(("extra", "for", "state"), packages, left=3),
        *([Text(""), Text("to add what is missing:"), *(Text(f"  {one}") for one in remedies)] if remedies else []),
    )


def _probes(backend: str) -> list[dict[str, Any]]:
    from edgeseg.runtime.device.selfcheck import probe_backend

    return probe_backend(backend)


def _training() -> dict[str, Any]:
    """What torch would train on."""
    try:
        import torch
    except (ImportError, OSError) as err:
        return {"device": None, "words": f"not possible: torch cannot be imported ({err})"}
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return {"device": "cuda", "words": f"torch {torch.__version__} on {', '.join(names)}"}
    return {"device": "cpu", "words": f"torch {torch.__version__} on the CPU (no CUDA device)"}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
