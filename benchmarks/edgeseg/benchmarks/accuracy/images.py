"""Images with masks that every subject is scored on, as they go to a device: chosen here, read there.

What a data set says of itself (YAML, meta.csv) is read on the host, which also holds its classes against the models'.
A device gets the files and what to make of each.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.subject import Subject
from edgeseg.runtime.data.dataset import Sample
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.score.choice import choose_samples
from edgeseg.runtime.score.opening import About, open_for

_TABLE = "images.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNSEEN = "whether images were trained on: `edgeseg evaluate` tells, where the bundle says"


@dataclass(frozen=True)
class Images:
    """What is scored.

    Attributes:
        samples: At least one; class ids are the models'.
        classes: Names by id.
        pixel_mm: Edge length of a pixel [mm], or None.
        about: What a row says of it: `data`, `split`, `split_reason`, `notes`, `not_checked`.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    pixel_mm: float | None
    about: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, split: str | None, subjects: Sequence[AnySubject]) -> Images:
        """Choose the images of a data set.

        Args:
            folder: With `images/`, `masks/` and, if there, `dataset.yaml` and `meta.csv`.
            split: `train`, `val`, `test`, `all`; None is `test` where meta.csv has a split, else `all`.
            subjects: What is to be scored.

        Raises:
            ConfigError: Engines alone have no masks; or models differ in classes, colour or window.
            DataError: The data set cannot be used, or has other classes.
        """
        pipelines = [one for one in subjects if isinstance(one, Subject)]
        if len(pipelines) != len(subjects):
            raise ConfigError(f"--data {folder}: an engine by itself makes no masks: leave it out, or give a bundle")
        first = pipelines[0]
        for one in pipelines:
            if _asks(one) != _asks(first):
                raise ConfigError(
                    f"--data {folder}: {one.name} has other classes, another colour or window than {first.name}: "
                    "measure each by itself"
                )
        opened = open_for(About(first.spec.classes, first.spec.input), folder)
        chosen = choose_samples(opened.data, split)
        about = {
            "data": opened.data.name,
            "split": chosen.split,
            "split_reason": chosen.reason,
            "notes": list(opened.notes),
            "not_checked": [*opened.not_checked, _UNSEEN],
        }
        return cls(chosen.samples, first.spec.classes, opened.data.pixel_mm, about)

    def write_table(self, folder: Path) -> Path:
        """Write what `read_table` reads; files are named where they lie."""
        path = folder / _TABLE
        path.write_text(json.dumps(self._to_json(lambda _index, file: str(file.resolve()))), encoding="utf-8")
        return path

    def pack(self, path: Path) -> Path:
        """Write all into one file, the same for the same images."""
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(_TABLE, _EPOCH), json.dumps(self._to_json(_short)))
            for index, sample in enumerate(self.samples):
                for file in (sample.image, sample.mask):
                    archive.writestr(zipfile.ZipInfo(_short(index, file), _EPOCH), file.read_bytes())
        return path

    def _to_json(self, name: Callable[[int, Path], str]) -> dict[str, Any]:
        samples = [
            {
                "stem": one.stem,
                "image": name(index, one.image),
                "mask": name(index, one.mask),
                "split": one.split,
                "group": one.group,
                "ids": one.ids,
                "ignore": one.ignore,
                "window": one.window,
            }
            for index, one in enumerate(self.samples)
        ]
        return {
            "samples": samples,
            "classes": list(self.classes),
            "pixel_mm": self.pixel_mm,
            "about": dict(self.about),
        }


def unpack(path: Path, folder: Path) -> Images:
    """Read what `pack` wrote, and lay its files out."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return read_table(folder / _TABLE)


def read_table(path: Path) -> Images:
    """Read what `write_table` wrote, or `unpack` laid out."""
    obj = json.loads(path.read_bytes())
    samples = tuple(_sample(one, path.parent) for one in obj["samples"])
    return Images(samples, tuple(obj["classes"]), obj["pixel_mm"], obj["about"])


def _sample(obj: Mapping[str, Any], folder: Path) -> Sample:
    ids, window = (None if obj[key] is None else tuple(obj[key]) for key in ("ids", "window"))
    found = Sample(obj["stem"], folder / obj["image"], folder / obj["mask"], obj["split"], obj["group"])
    return replace(found, ids=ids, ignore=obj["ignore"], window=window)


def _short(index: int, file: Path) -> str:
    return f"{index:05d}/{file.parent.name}/{index:05d}{file.suffix}"


def _asks(subject: Subject) -> tuple[object, ...]:
    return subject.spec.classes, subject.spec.input.color, subject.spec.input.window
