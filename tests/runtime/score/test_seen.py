"""The images behind a bundle: found again in another file, under another name; nothing but hashes is kept."""

import json

import numpy as np
import pytest

from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.data.folder import Description
from edgeseg.runtime.data.pixel_hash import pixel_hash, short_pixel_hash
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.score.seen import SeenImages

from ..data_folders import frame, save, write_folder


def test_the_hash_is_of_shape_and_pixels():
    one = frame(0)
    assert pixel_hash(one) == pixel_hash(one.copy(order="F")) == pixel_hash(np.dstack([one, one])[..., 0])
    assert len({pixel_hash(one), pixel_hash(one.reshape(32, 24)), pixel_hash(one ^ 1), pixel_hash(one[::-1])}) == 4
    assert pixel_hash(one).startswith(short_pixel_hash(one)) and len(short_pixel_hash(one)) == 16


@pytest.mark.parametrize("changed", ["bmp", "tif", "rgb"])
def test_a_picture_is_found_in_another_file(tmp_path, changed):
    root = write_folder(tmp_path / "a")
    known = SeenImages.of_samples(open_dataset(root).samples, "gray")
    other = tmp_path / "b" / "images"
    suffix = "png" if changed == "rgb" else changed
    pictures = [np.dstack([frame(i)] * 3) if changed == "rgb" else frame(i) for i in range(9)]
    for i, picture in enumerate([*pictures, frame(77)]):
        save(other / f"other{i}.{suffix}", picture)
        save(tmp_path / "b" / "masks" / f"other{i}.png", np.zeros((24, 32), np.uint8))
    again = open_dataset(tmp_path / "b", about=Description("b", ("a", "b"), "gray")).samples
    found = SeenImages.of_samples(again, "gray")
    hashes = [one for split in found.hashes.values() for one in split]
    assert known.count(hashes) == {"train": 5, "val": 2, "test": 2, "unknown_to_bundle": 1}


def test_a_picture_in_two_splits_counts_as_trained_on():
    known = SeenImages({"train": frozenset(["0" * 16]), "val": frozenset(["0" * 16, "1" * 16]), "test": frozenset()})
    assert known.count(["0" * 16, "1" * 16, "0" * 16]) == {"train": 2, "val": 1, "test": 0, "unknown_to_bundle": 0}


def test_the_entry_is_read_back_and_names_no_file(tmp_path):
    root = write_folder(tmp_path / "d")
    samples = open_dataset(root).samples
    known = SeenImages.of_samples(samples, "gray")
    content = known.to_bytes()
    assert SeenImages.from_bytes(content) == known
    assert SeenImages.of_samples(samples[::-1], "gray").to_bytes() == content, "the order of files is not in it"
    assert set(json.loads(content)) == {"schema_version", "train", "val", "test"}
    assert len(content) < 30 * len(samples) + 100


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not valid JSON"),
        (b'{"schema_version": 2, "train": [], "val": [], "test": []}', "schema_version is 2"),
        (b'{"schema_version": 1, "train": [], "val": []}', "'test' is missing"),
        (b'{"schema_version": 1, "train": [], "val": [], "test": [], "stems": []}', "unknown key 'stems'"),
        (b'{"schema_version": 1, "train": ["abc"], "val": [], "test": []}', "16 hex digits"),
        (b'{"schema_version": 1, "train": [7], "val": [], "test": []}', "expected a string"),
    ],
)
def test_anything_else_is_refused(content, words):
    with pytest.raises(ManifestError, match=words):
        SeenImages.from_bytes(content)
