"""`edgeseg doctor delegates`: what phone accelerators would refuse of a TFLite file, by their documents."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg.export.tflite.delegates import DELEGATES, Taken, read_tflite, taken_by_delegates
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.opening.bundle import Bundle


def delegates_report(subject: Path) -> dict[str, Any]:
    """What each delegate would refuse of a file, or of each TFLite file of a bundle.

    Raises:
        ExportError: If it is no TFLite file, or a bundle without one.
        BundleError: If the bundle is damaged.
    """
    if subject.suffix == ".edgeseg":
        with Bundle.open(subject) as bundle:
            files = {one.name: bundle.read(one.file) for one in bundle.variants if one.spec.backend == "litert"}
        if not files:
            raise ExportError(f"{subject} holds no TFLite file; name another bundle or a .tflite file")
    else:
        files = {subject.name: read_tflite(subject)}
    taken = {name: taken_by_delegates(content, name) for name, content in files.items()}
    return {"files": {name: [_to_json(one) for one in its] for name, its in taken.items()}}


def delegates_text(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    lines: list[str] = []
    for name, delegates in report["files"].items():
        lines.append(name)
        for one in delegates:
            total, refused = one["n_operators"], one["n_refused"]
            lines.append(f"  {one['delegate']}: takes {total - refused} of {total} operators")
            lines += [f"    {its['count']} {its['operator']}: {its['reason']}" for its in one["refusals"]]
    lines.append("By these documents; nothing was run, and a driver may refuse more:")
    lines += [f"  {one.name}: {one.source}" for one in DELEGATES]
    return "\n".join(lines)


def _to_json(taken: Taken) -> dict[str, Any]:
    return {**asdict(taken), "refusals": [asdict(one) for one in taken.refusals], "n_refused": taken.n_refused}
