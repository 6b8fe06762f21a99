"""A step's folder: one model file, and `spec.json` that describes it."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.engines import MODEL_NAMES
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.spec.fields import read_json_object
from edgeseg.runtime.spec.model_spec import ModelSpec

SPEC = "spec.json"


def model_in(folder: Path) -> Path:
    """The model file of a folder.

    Raises:
        BundleError: It holds none, or several.
    """
    models = [folder / model for model in MODEL_NAMES if (folder / model).is_file()]
    if len(models) != 1:
        raise BundleError(f"{folder} must hold one of {', '.join(MODEL_NAMES)}; found {len(models)}")
    return models[0]


def read_spec(folder: Path) -> ModelSpec:
    """What describes the model file of a folder.

    Raises:
        BundleError: The folder holds no spec.
        ManifestError: The spec is wrong.
    """
    spec = folder / SPEC
    if not spec.is_file():
        raise BundleError(
            f"{spec} cannot be read (it is not there): export the step again, `edgeseg adopt` its model file, or time "
            "the engine alone with --engine-only"
        )
    try:
        content = spec.read_bytes()
    except OSError as error:
        raise BundleError(f"{spec} cannot be read ({error.strerror}): export the step again") from error
    return ModelSpec.from_json(read_json_object(content, str(spec)), str(spec))


def open_step(folder: Path) -> tuple[Path, ModelSpec]:
    """Both of a step's folder.

    Raises:
        BundleError: The folder holds no model, or no spec.
        ManifestError: The spec is wrong.
    """
    return model_in(folder), read_spec(folder)
