"""A patient as the search of `compress.int8.sensitivity` sees it: layers, and scores on val that are made once.

Every candidate is run and scored as the chain scores its files, and what it came to is kept in a folder of the chain's
store, under the key of all it depends on. So a doctor that was killed goes on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.compress.calibration.set import draw_balanced
from edgeseg.compress.int8.sensitivity import FloatLayers, Score
from edgeseg.export.mask_agreement import masks_of
from edgeseg.pipeline.chain.store import StepFolder, make_key
from edgeseg.pipeline.int8.patient import File, Patient
from edgeseg.runtime.data.dataset import DataSet, Sample, content_hash
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.score.evaluate import load_scores, save_scores

# Comparing layers takes about this long where nobody says how many images to use [s]; fewer images than these say
# nothing.
_COMPARE_S = 300.0
_FEWEST_IMAGES = 16
_VERSION = 1  # goes up when what is kept means something else


class ScoredPatient:
    """Implements `compress.int8.sensitivity.Int8Subject` for a patient.

    Args:
        patient: The network.
        work: Folder for candidates, one after the other, and for what they came to.
        images: Val images to compare layers on; 0 for all, None to choose by time.
    """

    def __init__(self, patient: Patient, work: Path, images: int | None = None) -> None:
        self._patient, self._work = patient, work
        self.candidate = work / "candidate.onnx"
        self.samples: tuple[Sample, ...] = patient.data.split("val")
        self._float = masks_of(patient.float_model, patient.float_spec, patient.data, self.samples)
        self._depends_on = [patient.identity, val_hash(patient.data)]
        self.subset = self._choose(images)

    def layers(self) -> tuple[str, ...]:
        """Layers of the patient."""
        return self._patient.layers()

    def score(self, float_layers: FloatLayers | None, *, whole: bool) -> Score:
        """Score a candidate, or read what it came to."""
        samples = self.samples if whole else self.subset
        if float_layers is None:
            stems = {sample.stem for sample in samples}
            return Score(tuple(score for score in self._float.scores if score.stem in stems), 0.0)
        asked = {"float": sorted(float_layers), "images": [sample.stem for sample in samples]}

        def make(files: Path) -> dict[str, Any]:
            found = self.run((self.candidate, self._patient.write(float_layers, self.candidate)), samples)
            save_scores(files / "scores.json", found.images)
            return {"differs": found.differs}

        files, result = self._once("scores", asked, make)
        return Score(tuple(load_scores(files / "scores.json")), float(result["differs"]))

    def run(self, file: File, samples: Sequence[Sample]) -> Score:
        """Score a file as it is, and count the pixels whose class is not the float file's; ignored ones do not count.

        Raises:
            BackendError: If no engine here takes the file.
            DataError: If an image cannot be read.
        """
        found = masks_of(*file, self._patient.data, samples)
        stems = {sample.stem for sample in samples}
        reference = (mask for sample, mask in zip(self.samples, self._float.masks, strict=True) if sample.stem in stems)
        differ = total = 0
        for mask, other in zip(found.masks, reference, strict=True):
            differ += int(np.count_nonzero(mask != other))
            total += int(np.count_nonzero(mask != IGNORED))
        return Score(tuple(found.scores), differ / max(1, total))

    def confusion(self) -> np.ndarray:
        """Pixels of val that count by class, int64 (K truth, K answers of the float file)."""
        n = len(self._patient.data.classes)
        pairs = np.zeros(n * n, np.int64)
        for sample, mask in zip(self.samples, self._float.masks, strict=True):
            truth = sample.read_truth(n)
            counts = truth != IGNORED
            pairs += np.bincount(truth[counts].astype(np.int64) * n + mask[counts], minlength=n * n)
        return pairs.reshape(n, n)

    def _once(self, kind: str, asked: Any, make: Any) -> tuple[Path, dict[str, Any]]:
        """What `make` writes into a folder, and returns, made once for all it depends on."""
        key = make_key(kind, _VERSION, [*self._depends_on, asked], [])
        folder = StepFolder(self._work / kind / key[:16])
        record = folder.load(key) or folder.fill(key, lambda: make(folder.files))
        return folder.files, record["result"]

    def _choose(self, images: int | None) -> tuple[Sample, ...]:
        """The val images that layers are compared on: all, or a seeded, class-balanced draw."""
        if images is None:  # kept, so that a doctor that goes on compares on the same ones
            images = int(self._once("compare_on", None, lambda _: {"images": self._affordable()})[1]["images"])
        if not 0 < images < len(self.samples):
            return self.samples
        drawn = set(draw_balanced(self.samples, self._patient.data.classes, images, seed=0).stems)
        return tuple(sample for sample in self.samples if sample.stem in drawn)

    def _affordable(self) -> int:
        """As many images as comparing all layers takes about five minutes on."""
        start = time.monotonic()
        spec = self._patient.write(frozenset(), self.candidate)
        written = time.monotonic()
        first = self.samples[:4]
        self.run((self.candidate, spec), first)
        image_s = (time.monotonic() - written) / len(first)
        left_s = _COMPARE_S / max(len(self.layers()), 1) - (written - start)
        return min(len(self.samples), max(_FEWEST_IMAGES, int(left_s / image_s)))


def val_hash(data: DataSet) -> str:
    """SHA-256 of the val images and masks, of the classes, and of the colour that images are read in."""
    return content_hash(dataclasses.replace(data, samples=data.split("val")))
