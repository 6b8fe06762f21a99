"""Where the doctor puts the INT8 file of a foreign network, and taking it away once a later examination refuses it."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.opening.step_folder import SPEC

MODEL = "model.onnx"  # of a step's folder


def delivered_place(folder: Path, name: str, *, as_step: bool) -> Path:
    """A file, or a step's folder where the network came as one.

    Args:
        folder: Of the report.
        name: Of the patient.
        as_step: Whether it came as a step's folder.
    """
    return folder / (f"{name}-int8" if as_step else f"{name}.int8.onnx")


def withdraw(place: Path) -> Path | None:
    """Take away what was delivered before; of a folder nothing but the model and its spec.

    Returns:
        `place`, or None where nothing was.
    """
    found = [one for one in (place, place / SPEC, place / MODEL) if one.is_file()]
    for one in found:
        one.unlink()
    return place if found else None
