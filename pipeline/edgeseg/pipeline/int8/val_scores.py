"""Scoring candidates on val by Dice counts alone, each once: a journal lets a doctor that was killed go on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.compress.calibration.set import draw_balanced
from edgeseg.compress.int8.sensitivity import FloatLayers, Score
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.data.dataset import DataSet, Sample, check_sizes, content_hash, read_image
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.segmenter import Segmenter


@dataclass(frozen=True)
class ImageCounts:
    """Foreground counts of one image by class, and pixels that differ from the float mask, of how many that count."""

    stem: str
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]
    differs: int
    pixels: int


class ValScorer:
    """Scores model files on val images; the float network's masks are kept to count the pixels that change.

    Args:
        data: The data set.
        threads: Threads of the engine.
    """

    def __init__(self, data: DataSet, threads: int) -> None:
        self._data, self._threads = data, threads
        self.samples: tuple[Sample, ...] = data.split("val")
        self._reference: dict[str, np.ndarray] = {}

    def draw(self, count: int) -> tuple[Sample, ...]:
        """A seeded, class-balanced part of val."""
        return draw_balanced(self.samples, self._data.classes, count, seed=0).samples

    def content_hash(self) -> str:
        """SHA-256 of the val images and masks, of the classes, and of the colour that images are read in."""
        return content_hash(dataclasses.replace(self._data, samples=self.samples))

    def float_masks(self, model: Path, spec: ModelSpec) -> None:
        """Keep the masks of the float file, once."""
        if not self._reference:
            with Segmenter.from_file(model, spec, self._threads) as segmenter:
                for sample in self.samples:
                    self._reference[sample.stem] = self._mask(segmenter, sample)

    def confusion(self) -> np.ndarray:
        """Pixels of val by class, int64 (K truth, K answers of the float file); after `float_masks`."""
        n = len(self._data.classes)
        pairs = np.zeros(n * n, np.int64)
        for sample in self.samples:
            pairs += _pairs(sample.read_truth(n), self._reference[sample.stem], n)
        return pairs.reshape(n, n)

    def score(self, model: Path, spec: ModelSpec, samples: Sequence[Sample]) -> list[ImageCounts]:
        """Count hits and misses of a file.

        Raises:
            DataError: If an image and its mask differ in size.
        """
        with Segmenter.from_file(model, spec, self._threads) as segmenter:
            return [self._count(segmenter, sample) for sample in samples]

    def _mask(self, segmenter: Segmenter, sample: Sample) -> np.ndarray:
        return segmenter(read_image(sample.image, self._data.color, sample.window)).mask

    def _count(self, segmenter: Segmenter, sample: Sample) -> ImageCounts:
        n = len(self._data.classes)
        mask = self._mask(segmenter, sample)
        truth = sample.read_truth(n)
        check_sizes(sample, mask, truth)
        pairs = _pairs(truth, mask, n).reshape(n, n)
        hit = np.diagonal(pairs)
        return ImageCounts(
            sample.stem,
            tuple(hit.tolist()),
            tuple((pairs.sum(axis=0) - hit).tolist()),
            tuple((pairs.sum(axis=1) - hit).tolist()),
            int(((mask != self._reference[sample.stem]) & (truth != IGNORED)).sum()),
            int(pairs.sum()),
        )

    def to_score(self, counts: Sequence[ImageCounts]) -> Score:
        """Counts as the score that a search compares."""
        groups = {sample.stem: sample.group for sample in self.samples}
        images = tuple(_image_score(one, groups[one.stem]) for one in counts)
        return Score(images, sum(one.differs for one in counts) / max(1, sum(one.pixels for one in counts)))


class Journal:
    """Every candidate's counts on disk, rewritten whole after each; of use to the same identity alone.

    Args:
        path: The file.
        identity: What determines every score; a journal of another identity is begun anew.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._content: dict[str, Any] = {"identity": identity, "choices": {}, "scores": {}}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(stored, dict) and stored.get("identity") == identity and stored.keys() == self._content.keys():
            self._content = stored

    def choice(self, name: str) -> Any:
        """A choice made earlier, or None."""
        return self._content["choices"].get(name)

    def choose(self, name: str, value: Any) -> None:
        """Write a choice down, so that going on makes the same one."""
        self._content["choices"][name] = value
        write_json(self._path, self._content)

    def counts(self, float_layers: FloatLayers | None) -> dict[str, ImageCounts]:
        """Counts of a candidate by stem, as far as it was scored."""
        stored = self._content["scores"].get(_key(float_layers), [])
        return {one[0]: ImageCounts(one[0], tuple(one[1]), tuple(one[2]), tuple(one[3]), *one[4:]) for one in stored}

    def add(self, float_layers: FloatLayers | None, counts: Sequence[ImageCounts]) -> None:
        """Add counts of a candidate and write the journal."""
        stored = self._content["scores"].setdefault(_key(float_layers), [])
        stored += [[one.stem, one.tp, one.fp, one.fn, one.differs, one.pixels] for one in counts]
        write_json(self._path, self._content)


def _key(float_layers: FloatLayers | None) -> str:
    if float_layers is None:
        return "float"
    return hashlib.sha256("\n".join(sorted(float_layers)).encode()).hexdigest()[:16]


def _image_score(one: ImageCounts, group: str) -> ImageScore:
    counts = [np.asarray(values, np.int64) for values in (one.tp, one.fp, one.fn)]
    none = np.zeros(0, np.int64)
    return ImageScore(
        stem=one.stem,
        group=group,
        tp=counts[0],
        fp=counts[1],
        fn=counts[2],
        hd95_px=np.full(len(one.tp), np.nan),
        region_class=none,
        region_area_px=none,
        region_iou=np.zeros(0),
        n_predicted_regions=np.zeros(len(one.tp), np.int64),
    )


def _pairs(truth: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """Pixels by true and found class, int64 (n * n,)."""
    # Ignored pixels fall behind the last pair of classes.
    return np.bincount((truth.astype(np.int64) * n + mask).ravel(), minlength=n * n)[: n * n]
