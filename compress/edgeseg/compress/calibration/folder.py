"""Images of the user's own, to calibrate on or to be taught on: a folder without masks, such as of the line a part
comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.calibration.set import MIN_IMAGES
from edgeseg.runtime.data.dataset import DataSet, file_hash, list_images
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.files.file_kind import kind_of
from edgeseg.runtime.files.hashes import sha256_json


@dataclass(frozen=True)
class ImageFolder:
    """A folder that was found usable by its files; no image of it has been decoded yet.

    Attributes:
        named_by: The setting that names it, for messages.
        path: Where it is.
        images: Its image files, sorted by name.
        sha256: Of their stems and contents; the folder may lie elsewhere tomorrow.
    """

    named_by: str
    path: Path
    images: tuple[Path, ...]
    sha256: str


def recipe_folder(data: DataSet, given: str | None) -> ImageFolder | None:
    """The folder that a recipe names by `quantize.folder`, if it does; a relative path starts at the data set.

    A recipe names nothing else outside of the data set, and `--data` says where that is on each machine.

    Raises:
        ConfigError: As `open_folder`.
    """
    if given is None:
        return None
    return open_folder(data.root / Path(given).expanduser(), data, "quantize.folder")


def unlabelled_folder(data: DataSet, given: str | None) -> ImageFolder | None:
    """The folder that a recipe names by `distill.unlabelled`, if it does; a relative path starts at the data set.

    Raises:
        ConfigError: As `open_folder`, but for the number of images.
    """
    if given is None:
        return None
    return open_folder(data.root / Path(given).expanduser(), data, "distill.unlabelled", use="train")


def open_folder(path: Path, data: DataSet, named_by: str, *, use: str = "calibrate") -> ImageFolder:
    """List and hash the images of a folder.

    Args:
        path: The folder; folders in it are not looked into.
        data: The run's data set, whose val and test images must not be among them.
        named_by: The setting that names it, for messages.
        use: What they are for, `calibrate` or `train`, for messages.

    Raises:
        ConfigError: If it is no folder, has fewer than 8 images to calibrate on, or shares images with val or test.
        DataError: If a file cannot be read.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(
            f"{named_by}: there is no folder {path}, it is {kind_of(path).words}; name a folder of images"
        )
    if not path.is_dir():
        beside = "a relative path starts at the data set" if "." in named_by else "check its name"
        raise ConfigError(f"{named_by}: there is no folder {path}; {beside}")
    try:
        images = list_images(path)
    except DataError as err:
        raise ConfigError(f"{named_by} is {path}, but {err}") from err
    if use == "calibrate" and len(images) < MIN_IMAGES:
        raise ConfigError(
            f"{named_by} is {path}, which has {len(images)} images, but calibration needs at least {MIN_IMAGES}. "
            "Add images there, or leave the setting out to calibrate on the training split."
        )
    hashes = {image.stem: file_hash(image) for image in images}
    _refuse_scored(hashes, data, f"{named_by} is {path}", use)
    sha256 = sha256_json(hashes)
    return ImageFolder(named_by, path, images, sha256)


def _refuse_scored(hashes: dict[str, str], data: DataSet, where: str, use: str) -> None:
    """Numbers that are fitted to the images a network is scored on prove nothing."""
    scored = {file_hash(one.image): one for one in data.samples if one.split != "train"}
    found = {stem: scored[sha256] for stem, sha256 in hashes.items() if sha256 in scored}
    if found:
        stem, sample = next(iter(found.items()))
        raise ConfigError(
            f"{where}: {len(found)} of its {len(hashes)} images are scored on, such as {stem}, which is {sample.stem} "
            f"of {sample.split}. Take them out; {use} on other images."
        )
