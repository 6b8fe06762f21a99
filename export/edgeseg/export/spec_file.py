"""Where an export step keeps its model file and the spec that describes it."""

from __future__ import annotations

import json
from pathlib import Path

from edgeseg.runtime.engines import MODEL_NAMES
from edgeseg.runtime.model_spec import ModelSpec


def read_spec(files: Path) -> ModelSpec:
    """The spec beside an exported file."""
    return ModelSpec.from_json(json.loads((files / "spec.json").read_text()))


def model_file(files: Path) -> Path:
    """The model file of an export step."""
    return next(path for path in (files / name for name in MODEL_NAMES) if path.is_file())
