"""A network whose opset was raised, held against its file as it was written: what the converter loses is found here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort

from edgeseg.export.adopt.entry import for_one_image, run
from edgeseg.export.adopt.scores import DIFFERING, Foreign, Scores, masks_of_images
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.model_spec import ModelSpec


def masks_as_written(
    written: onnx.ModelProto, foreign: Foreign, scores: Scores, spec: ModelSpec
) -> list[np.ndarray] | None:
    """Masks of the same images as `masks_of_images` makes of the raised network.

    Args:
        written: The file in its own opset.
        foreign: The raised network.
        scores: Of `foreign`.
        spec: Of `foreign`.

    Returns:
        Class ids, int64 (h, w); None where ONNX Runtime does not run a file of that opset.

    Raises:
        ConfigError: If its scores are no numbers.
    """
    entry, feeding = foreign.entry, foreign.feeding
    try:
        alone = for_one_image(written, entry, feeding, foreign.file.name)
        run(alone, {entry.name: entry.image(feeding)}, [scores.ending.scores])
    except Exception:  # the engine's exceptions share no base class
        return None
    return masks_of_images(replace(foreign, graph=alone, run=partial(run, alone)), scores, spec)


def check_raised(raised: list[np.ndarray], written: list[np.ndarray], file: str) -> None:
    """Hold the masks of the raised network against those of its file.

    Raises:
        ConfigError: If more differ than rounding does.
    """
    differing = sum(int((one != other).sum()) for one, other in zip(raised, written, strict=True))
    total = sum(one.size for one in written)
    if differing > DIFFERING * total:
        raise ConfigError(
            f"{file} makes another mask with its opset raised ({differing / total:.2%} of {total} cells on "
            f"{len(written)} images): onnx {onnx.__version__} does not convert all that it does. Export it again with "
            "opset_version=17."
        )


def unheld_note(written: onnx.ModelProto) -> str:
    """What is said where the file does not run as it was written."""
    opset = next(one.version for one in written.opset_import if one.domain in ("", "ai.onnx"))
    return (
        f"It has opset {opset}, which onnxruntime {ort.__version__} does not run: its opset was raised, and nothing "
        "holds the masks against those of the file as it was written."
    )
