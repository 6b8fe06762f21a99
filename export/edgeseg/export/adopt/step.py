"""A foreign network as a step's folder: the file with pixels in and scores out, its spec, and how it was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.adopt.scores import DIFFERING, Foreign, Scores, looked_at, notes_of
from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.engines import ENGINES, MODEL_NAMES
from edgeseg.runtime.errors import ConfigError, ExportError
from edgeseg.runtime.files.atomic import new_folder, write_bytes, write_json
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.frame.preprocess import in_dtype
from edgeseg.runtime.opening.step_folder import SPEC
from edgeseg.runtime.spec.model_spec import ModelSpec

ABOUT = "adopted.json"
_WRITTEN = {ABOUT, SPEC, *MODEL_NAMES}
_NAMED = 5  # files, in a message


@dataclass(frozen=True)
class StepModel:
    """A foreign network made one of ours.

    Attributes:
        content: The file that takes pixels and returns scores.
        spec: Its description.
        foreign: How it was looked at.
        scores: What was found.
        masks: Those of a few images, int64 (h, w) as the foreign file itself makes them.
        strange: Operators that are not the format's own.
    """

    content: bytes = field(repr=False)
    spec: ModelSpec
    foreign: Foreign
    scores: Scores
    masks: tuple[np.ndarray, ...] = field(repr=False)
    strange: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """How it was read, as JSON."""
        entry, feeding, scores = self.foreign.entry, self.foreign.feeding, self.scores
        return {
            "source": {"file": self.foreign.file.name, "sha256": sha256_file(self.foreign.file)},
            "input": {
                **{"name": entry.name, "layout": entry.layout, "type": entry.dtype, "channels": entry.channels},
                **{"height_px": entry.height_px, "width_px": entry.width_px, "fed_with": feeding.words},
                **{"scale": feeding.scale, "mean": list(feeding.mean), "std": list(feeding.std)},
            },
            "output": {
                **{"name": self.foreign.graph.graph.output[0].name, "scores": scores.ending.scores},
                **{"cut": [one.kind for one in scores.ending.steps[::-1]], "layout": scores.layout},
                **{"planes": scores.planes, "activation": self.spec.output.activation, "threshold": scores.threshold},
            },
            "notes": [*notes_of(self.foreign, self.scores), *self._strange_note],
        }

    @property
    def _strange_note(self) -> list[str]:
        if not self.strange:
            return []
        return [
            f"It has operators that are not of its format: {', '.join(self.strange)}. The engine here runs them; one "
            "without them, such as LiteRT's built-in kernels without XNNPACK, refuses the file."
        ]

    def check(self) -> float:
        """Hold the masks of this file against those of the foreign one.

        Returns:
            The share of cells that differ.

        Raises:
            ExportError: If it is more than rounding does.
        """
        differing = total = 0
        with open_backend(self.content, self.spec, 1) as backend:
            for (pixels, _), mask in zip(looked_at(self.foreign.data, self.spec), self.masks, strict=True):
                values = backend.infer(in_dtype(pixels, self.spec.input_dtype))
                cells = values[0].transpose(1, 2, 0) if self.spec.output.layout == "NCHW" else values[0]
                differing += int((self._mask(cells) != mask).sum())
                total += mask.size
        if differing > DIFFERING * total:
            raise ExportError(
                f"{self.foreign.file.name}: with pixels in and scores out it makes another mask ("
                f"{differing / total:.2%} of {total} cells on {len(self.masks)} images). Report this: it is a fault of "
                "edgeseg."
            )
        return differing / total

    def _mask(self, cells: np.ndarray) -> np.ndarray:
        if self.spec.n_planes > 1:
            return cells.argmax(axis=2)
        its = self.spec.output
        logits = (cells[..., 0].astype(np.float64) - its.zero_point) * its.scale
        value = self.spec.decision.value
        return (logits > np.log(value / (1 - value))).astype(np.int64)


def write_step(model: StepModel, folder: Path) -> dict[str, Any]:
    """Write a step's folder, whole or not at all; one that was written so before is replaced.

    Args:
        model: The network, checked before a file is written.
        folder: The folder.

    Returns:
        `StepModel.about` with `cells_that_differ`, as `adopted.json` has it.

    Raises:
        ConfigError: If something else is in that folder, or the file it is made of.
        ExportError: If the file is not what it was made of.
        EdgesegError: If it cannot be written.
    """
    folder = folder.resolve()  # what a link names is replaced, not the link
    _check_own(folder, model.foreign.file)
    about = model.about | {"cells_that_differ": model.check()}
    with new_folder(folder, replace=True) as made:
        write_bytes(made / f"model{ENGINES[model.spec.backend].suffixes[0]}", model.content)
        write_json(made / SPEC, model.spec.to_json())
        write_json(made / ABOUT, about)
    return about


def _check_own(folder: Path, source: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose another --out")
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    if others := sorted(names - _WRITTEN if ABOUT in names else names):
        found = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
        raise ConfigError(
            f"{folder} holds other files than those of `edgeseg adopt`, which would be deleted ({found}); choose "
            "another --out"
        )
    if source.resolve().parent == folder:
        raise ConfigError(f"{source} lies in the folder that would be replaced; choose another --out")
