"""What INT8 files on trial are scored on: val images, their truth, and the masks of the FP32 file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.int8.candidate_choice import Evidence
from edgeseg.export.mask_agreement import masks_of, mean_dice
from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.png import UInt8
from edgeseg.runtime.score.image_score import score_image


@dataclass(frozen=True)
class Judge:
    """Scores files against the truth and against FP32. Made by `open`.

    Attributes:
        data: For its classes and colour.
        samples: Of the val split.
        reference: The FP32 file's masks of these, uint8 (H, W) each.
        fp32_dice: Mean foreground Dice of these; None where no class is there.
    """

    data: DataSet
    samples: Sequence[Sample]
    reference: Iterable[UInt8]
    fp32_dice: float | None

    @classmethod
    def open(cls, source: Path, spec: ModelSpec, data: DataSet, samples: Sequence[Sample]) -> Judge:
        """Run the FP32 file on all samples and keep its masks.

        Raises:
            EdgesegError: If it cannot be run, or an image cannot be read.
        """
        found = masks_of(source, spec, data, samples)
        return cls(data, samples, found.masks, found.dice)

    def look_at(self, file: Path, spec: ModelSpec) -> Evidence:
        """Score a file.

        Its agreement is the Dice between its masks and FP32's, as `dice_mean` with FP32's masks in place of the truth.
        The share of equal pixels would say less: foreground is a few percent of a frame, so that a file that loses a
        whole class still has 99 % of its pixels right, and classes would count by their area. Dice counts only what
        either mask calls foreground, every class alike, in the unit in which the network itself is judged.

        Raises:
            EdgesegError: If it cannot be run.
        """
        found = masks_of(file, spec, self.data, self.samples)
        n_classes = len(self.data.classes)
        against = [
            score_image(mask, fp32, n_classes, stem=sample.stem, group=sample.group)
            for sample, mask, fp32 in zip(self.samples, found.masks, self.reference, strict=True)
        ]
        agreement = mean_dice(against, self.data)
        # No class in either: both say that there is nothing on any image.
        return Evidence(found.scores, found.dice, 1.0 if agreement is None else agreement)
