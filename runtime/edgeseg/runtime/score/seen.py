"""Which images a bundle was trained on, chosen by and tested on, without a name: short hashes of their pixels.

They are an entry of the bundle, so that its manifest stays small:
`{"schema_version": 1, "train": ["0123456789abcdef", ...], "val": [...], "test": [...]}`, sorted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgeseg.runtime.data.dataset import Color, Sample, read_image
from edgeseg.runtime.data.pixel_hash import short_pixel_hash
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.fields import Fields, read_json_object, show, text

ENTRY = "data/images.json"
UNKNOWN = "unknown_to_bundle"

_SCHEMA_VERSION = 1
_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class SeenImages:
    """The images behind a bundle.

    Attributes:
        hashes: `short_pixel_hash` of each image, read in the bundle's colour, by split: train, val, test.
    """

    hashes: Mapping[str, frozenset[str]]

    @classmethod
    def of_samples(cls, samples: Iterable[Sample], color: Color) -> SeenImages:
        """Hash the images of a data set.

        Args:
            samples: All of them.
            color: The bundle's.

        Raises:
            DataError: An image cannot be read.
        """
        found: dict[str, set[str]] = {split: set() for split in SPLITS}
        for sample in samples:
            found[sample.split].add(short_pixel_hash(read_image(sample.image, color, sample.window)))
        return cls({split: frozenset(hashes) for split, hashes in found.items()})

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> SeenImages | None:
        """Read a bundle's entry; None for a bundle that has none, as older ones.

        Raises:
            BundleError: The entry is damaged.
            ManifestError: It is not what is documented, or of another version.
        """
        return cls.from_bytes(bundle.read(ENTRY)) if ENTRY in bundle.sums else None

    @classmethod
    def from_bytes(cls, content: bytes) -> SeenImages:
        """Read what `to_bytes` wrote; raises ManifestError for anything else."""
        fields = Fields(read_json_object(content, ENTRY), ENTRY, ("schema_version", *SPLITS))
        version = fields.typed("schema_version", int)
        if version != _SCHEMA_VERSION:
            found = f"{ENTRY}: schema_version is {version}, this edgeseg reads {_SCHEMA_VERSION}"
            raise ManifestError(f"{found}. Install the edgeseg that packed the bundle, or pack it again.")
        return cls({split: frozenset(fields.sequence(split, _hash)) for split in SPLITS})

    def to_bytes(self) -> bytes:
        """The entry: UTF-8 JSON, the same for the same images in any order."""
        lists = {split: sorted(self.hashes[split]) for split in SPLITS}
        return (json.dumps({"schema_version": _SCHEMA_VERSION, **lists}, indent=0) + "\n").encode()

    def split_of(self, short_hash: str) -> str:
        """The split an image was in, the first of train, val and test that has it; else `unknown_to_bundle`."""
        return next((split for split in SPLITS if short_hash in self.hashes[split]), UNKNOWN)

    def count(self, short_hashes: Iterable[str]) -> dict[str, int]:
        """How many images were in each split, and how many in none; an image given twice counts twice."""
        counts = dict.fromkeys((*SPLITS, UNKNOWN), 0)
        for one in short_hashes:
            counts[self.split_of(one)] += 1
        return counts


def _hash(value: object, where: str) -> str:
    if not _HASH.fullmatch(text(value, where)):
        raise ManifestError(f"{where}: expected 16 hex digits, found {show(value)}. Pack the bundle again.")
    return str(value)
