"""Scores of model files on the splits of a fit's data set, each made once.

A teacher's file is scored where it is chosen, where it ships against and where a fold is tested; on frames of many
tiles one pass over a split takes minutes. Which masks a file gives depends on its bytes and on what is said about them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.export.fits import fixed_size
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.score.evaluate import load_scores, save_scores
from edgeseg.runtime.score.image_score import ImageScore


@dataclass(frozen=True)
class ScoredFiles:
    """Scores on disk.

    Attributes:
        folder: One JSON file an entry.
        made_by: What else they depend on: images, split, engine and machine.
    """

    folder: Path
    made_by: list[str]

    def find(self, file: Path, spec: ModelSpec, split: str, make: Callable[[], list[ImageScore]]) -> list[ImageScore]:
        """Scores of a file on a split: those kept, or else made and kept.

        Args:
            file: Model file.
            spec: What describes it; its input has a size.
            split: `train`, `val` or `test`.
            make: Scores it.
        """
        path = self._path(file, spec, split)
        try:
            return load_scores(path)
        except DataError:  # none, or not readable
            scores = make()
            save_scores(path, scores)
            return scores

    def take_over(self, file: Path, spec: ModelSpec, split: str, scores: Path) -> None:
        """Keep scores that somebody else has made of this file."""
        self.find(file, spec, split, lambda: load_scores(scores))

    def _path(self, file: Path, spec: ModelSpec, split: str) -> Path:
        described = spec.to_json()
        # Of the stride only the size matters that it makes of the geometry: a fit's networks share the largest one.
        del described["input"]["stride_px"]
        parts = [sha256_file(file), described, fixed_size(spec.input), self.made_by, split]
        name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"{name}.json"
