"""A network on disk: safetensors weights and a JSON with its architecture; nothing is ever unpickled.

A checkpoint is a folder with `model.safetensors` and `model.json`. The JSON is written last and carries the hash of the
weights, so a half-written folder is recognised.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load, save

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import TrainingError
from edgeseg.runtime.files.atomic import write_bytes, write_json
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.text.textfile import read_text
from edgeseg.train.models import SegmentationNet, build_model

SCHEMA_VERSION = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def save_checkpoint(folder: Path, model: SegmentationNet, meta: dict[str, Any]) -> None:
    """Write weights and architecture of a network.

    Args:
        folder: Made if missing; files of the same names are replaced.
        model: One of `MODELS`, with `.arch`.
        meta: JSON-able provenance (classes, color, data hash, metrics, ...).
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    weights = save(state)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / WEIGHTS, weights)
    description = {
        "schema_version": SCHEMA_VERSION,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "arch": model.arch,
        "scaling": "pixel / 255",
        "meta": meta,
    }
    write_json(folder / DESCRIPTION, description)


def load_checkpoint(folder: Path, *, expect_arch: str | None = None) -> tuple[SegmentationNet, dict[str, Any]]:
    """Rebuild a network from its JSON and weights.

    Args:
        folder: As written by `save_checkpoint`.
        expect_arch: Name of `MODELS` that the caller can use, or None for any.

    Returns:
        The network in evaluation mode and the `meta` it was saved with.

    Raises:
        TrainingError: If the folder is incomplete, the weights changed, or the architecture does not fit.
    """
    description = _read_description(folder)
    arch = description["arch"]
    if expect_arch is not None and arch["name"] != expect_arch:
        raise TrainingError(
            f"{folder} holds a {arch['name']!r}, but a {expect_arch!r} is needed; name the folder of that step"
        )
    weights = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(weights).hexdigest() != description["weights_sha256"]:
        raise TrainingError(
            f"{folder / WEIGHTS} does not match its description (SHA-256 differs; it is "
            f"{kind_of(folder / WEIGHTS).words}); train the step again"
        )
    model = build_model(arch)
    try:
        model.load_state_dict(load(weights))
    except RuntimeError as err:
        reason = str(err).partition("\n")[2]  # what differs stands below a heading
        raise TrainingError(f"{folder}: weights and architecture differ: {condensed(reason or err)}") from err
    return model.eval(), description["meta"]


def checkpoint_meta(folder: Path) -> dict[str, Any]:
    """The `meta` that a network was saved with; its weights are not read.

    Raises:
        TrainingError: If the folder is incomplete or its description is none.
    """
    return dict(_read_description(folder).get("meta") or {})


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if folder.exists() and not folder.is_dir():
        raise TrainingError(refusal(folder, f"the folder of a checkpoint ({WEIGHTS} and {DESCRIPTION})"))
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise TrainingError(f"{folder} holds no whole checkpoint ({WEIGHTS} and {DESCRIPTION}); run the step again")
    try:
        description: dict[str, Any] = json.loads(read_text(path))
    except (ValueError, RecursionError) as err:
        raise TrainingError(f"{path} is no JSON ({err}); run the step again") from err
    if not isinstance(description, dict) or not isinstance(description.get("arch"), dict):
        raise TrainingError(f"{path} describes no network; run the step again")
    if description.get("schema_version") != SCHEMA_VERSION:
        found = description.get("schema_version")
        raise TrainingError(f"{path} has schema version {found}, this edgeseg reads {SCHEMA_VERSION}")
    return description
