"""Scoring a model file: through the Segmenter, as on the device, with every processor there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgeseg.runtime.cores import all_threads
from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.data.ignored import leave_out
from edgeseg.runtime.files.png import UInt8
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.segmenter import Result, Segmenter
from edgeseg.runtime.spec.model_spec import ModelSpec


def score_file(
    file: Path,
    spec: ModelSpec,
    data: DataSet,
    samples: Sequence[Sample],
    keep: Callable[[Sample, UInt8], None] = lambda _sample, _mask: None,
    progress: Callable[[int, int], None] | None = None,
) -> list[ImageScore]:
    """Score a file on samples.

    Args:
        file: Model file.
        spec: What describes it.
        data: For its classes, colour and size of a pixel.
        samples: At least one.
        keep: Called with each sample and its mask, uint8 (H, W): class ids, and `IGNORED` where the truth has that.
        progress: Called with (done, total) images.

    Raises:
        BackendError: If no engine here takes the file.
        DataError: If an image cannot be read.
    """
    order = iter(samples)
    with Segmenter.from_file(file, spec, all_threads()) as segmenter:

        def kept(frame: UInt8) -> Result:
            result, sample = segmenter(frame), next(order)
            keep(sample, _counted(result.mask, sample, data))
            return result

        return evaluate(kept, samples, data.classes, data.pixel_mm, progress, color=data.color)


def _counted(mask: UInt8, sample: Sample, data: DataSet) -> UInt8:
    """The mask with `IGNORED` where the sample's truth has it; else the very array given."""
    return mask if data.ignore is None else leave_out(mask, sample.read_truth(len(data.classes)))
