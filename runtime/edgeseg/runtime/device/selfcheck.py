"""Really running a backend: opens a network of a few hundred bytes and holds its answer against the known one.

The files in `probes/` come from our own exporters; tests/pipeline/make_probes.py writes them anew.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.opening.selection import wrong_without
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.model_spec import ModelSpec

FOLDER = Path(__file__).resolve().parents[1] / "probes"
SIZE_PX = 32
_BORDER_PX = 4  # around the edge between dark and bright, where interpolation decides


def probe_frame() -> tuple[np.ndarray, np.ndarray]:
    """A frame, dark on the left and bright on the right, and its mask; both uint8 (32, 32)."""
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[:, SIZE_PX // 2 :] = 1
    return np.where(mask, 220, 30).astype(np.uint8), mask


def probe_backend(backend: str) -> list[dict[str, Any]]:
    """Run every probe of a backend.

    Returns:
        One row each: `precision`, `runs` (it answered, and rightly), `engine`, `reason` (None, or what went wrong).
    """
    return [_probe(file, spec) for file, spec in probe_files(backend).items()]


def probe_files(backend: str) -> dict[Path, ModelSpec]:
    """The probes that a backend takes by their suffix, whichever engine they were written for."""
    specs = {name: ModelSpec.from_json(spec) for name, spec in json.loads((FOLDER / "specs.json").read_bytes()).items()}
    suffixes = ENGINES[backend].suffixes
    return {FOLDER / name: replace(spec, backend=backend) for name, spec in specs.items() if name.endswith(suffixes)}


def _probe(file: Path, spec: ModelSpec) -> dict[str, Any]:
    row: dict[str, Any] = {"precision": spec.precision, "runs": False, "engine": None, "reason": None}
    frame, truth = probe_frame()
    try:
        with Segmenter.from_file(file, spec, threads=1) as segmenter:
            row["engine"] = segmenter.engine
            mask = segmenter(frame).mask
    except (EdgesegError, ImportError, OSError) as err:
        return row | {"reason": str(err)}
    differs = mask != truth
    differs[:, SIZE_PX // 2 - _BORDER_PX : SIZE_PX // 2 + _BORDER_PX] = False
    differs[:, :_BORDER_PX] = differs[:, -_BORDER_PX:] = False
    differs[:_BORDER_PX] = differs[-_BORDER_PX:] = False
    if differs.any():
        reason = f"wrong answer: {differs.mean():.0%} of the pixels differ"
        wrong = wrong_without(ENGINES[spec.backend].u8s8_needs) if spec.precision == "int8" else None
        if wrong:
            reason += f"; {wrong}: use tflite-int8 or a float variant"
        return row | {"reason": reason}
    return row | {"runs": True}
