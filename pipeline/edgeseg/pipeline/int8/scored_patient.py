"""A patient as the search of `compress.int8.sensitivity` sees it: layers and scores."""

from __future__ import annotations

import time
from pathlib import Path

from edgeseg.compress.int8.sensitivity import FloatLayers, Score
from edgeseg.pipeline.int8.patient import Patient
from edgeseg.pipeline.int8.val_scores import Journal, ValScorer
from edgeseg.runtime.data.dataset import Sample

# Comparing layers takes about this long where nobody says how many images to use [s]; fewer images than these say
# nothing.
_COMPARE_S = 300.0
_FEWEST_IMAGES = 16


class ScoredPatient:
    """Implements `compress.int8.sensitivity.Int8Subject` for a patient.

    Args:
        patient: The network.
        scorer: Val images.
        journal: Where scores are kept.
        candidate: The file that candidates are written to, one after the other.
        images: Val images to compare layers on; 0 for all, None to choose by time.
    """

    def __init__(
        self, patient: Patient, scorer: ValScorer, journal: Journal, candidate: Path, images: int | None = None
    ) -> None:
        self._patient, self._scorer, self._journal, self._candidate = patient, scorer, journal, candidate
        self._scorer.float_masks(patient.float_model, patient.float_spec)
        self.subset = self._choose(images)

    def layers(self) -> tuple[str, ...]:
        """Layers of the patient."""
        return self._patient.layers()

    def score(self, float_layers: FloatLayers | None, *, whole: bool) -> Score:
        """Score a candidate, or take what the journal has of it."""
        samples = self._scorer.samples if whole else self.subset
        known = self._journal.counts(float_layers)
        missing = [sample for sample in samples if sample.stem not in known]
        if missing:
            path, spec = self._patient.float_model, self._patient.float_spec
            if float_layers is not None:
                path, spec = self._candidate, self._patient.write(float_layers, self._candidate)
            new = self._scorer.score(path, spec, missing)
            self._journal.add(float_layers, new)
            known |= {one.stem: one for one in new}
        return self._scorer.to_score([known[sample.stem] for sample in samples])

    def _choose(self, images: int | None) -> tuple[Sample, ...]:
        """The val images that layers are compared on: all, or a seeded, class-balanced draw."""
        samples = self._scorer.samples
        if images is None:
            images = self._journal.choice("compare_on")
        if images is None:
            images = self._affordable(len(samples))
            self._journal.choose("compare_on", images)
        if not 0 < images < len(samples):
            return samples
        return self._scorer.draw(images)

    def _affordable(self, n_samples: int) -> int:
        """As many images as comparing all layers takes about five minutes on."""
        everything = frozenset[str]()
        start = time.monotonic()
        spec = self._patient.write(everything, self._candidate)
        written = time.monotonic()
        first = self._scorer.samples[: min(4, n_samples)]
        self._scorer.score(self._candidate, spec, first)
        image_s = (time.monotonic() - written) / len(first)
        left_s = _COMPARE_S / max(len(self.layers()), 1) - (written - start)
        return min(n_samples, max(_FEWEST_IMAGES, int(left_s / image_s)))
