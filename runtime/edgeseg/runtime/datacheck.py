"""Finding everything that is wrong with a data set at once, each fault with its file and what to do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgeseg.runtime.datafolder import Description, Folder, list_folder, read_description
from edgeseg.runtime.faults import Fault, FaultError
from edgeseg.runtime.imagefile import UInt8, decode, present_values, read_mask, to_color
from edgeseg.runtime.intensity import apply_window
from edgeseg.runtime.pairing import size_mismatch, undecided_turn
from edgeseg.runtime.splits import SPLITS

__all__ = ["Fault", "check_dataset"]

# A faint tint (as ultrasound screens have) is fine in a data set declared gray; a picture in colours is a mistake.
# Measured: in 204 tinted ultrasound frames at most 0.1 % of the pixels exceed a spread of 40 between their channels,
# in the machine-part photographs 44 % to 78 %.
_TINT_SPREAD = 40
_COLOUR_SHARE = 0.05
_SMALLEST_SIDE_PX = 8


@dataclass
class _Seen:
    """What is gathered over all images, to be judged at the end."""

    stems_by_hash: dict[str, list[str]] = field(default_factory=dict)
    present: set[tuple[str, int]] = field(default_factory=set)  # (split, class id) that occur in a mask
    unread_splits: set[str] = field(default_factory=set)


def check_dataset(root: Path | str, progress: Callable[[int, int], None] | None = None) -> list[Fault]:
    """Reads a whole data set and lists its faults.

    Names, meta.csv and dataset.yaml are checked first, then every image and mask is read: damaged, 16-bit, palette
    and transparent files, differing sizes, unknown class ids, colour images in a data set declared gray. Last come
    the splits: images that are in two of them (by a hash of their pixels), empty ones, and classes that a split lacks.

    Args:
        root: The data set's folder.
        progress: Called with (done, total) after every image.

    Returns:
        The faults in that order; empty if the data set is fine. Files are named relative to ``root``.
    """
    root = Path(root)
    try:
        folder = list_folder(root)
    except FaultError as error:
        return [error.fault]
    faults = list(folder.faults)
    about: Description | None = None
    try:
        about = read_description(root)
    except FaultError as error:
        faults.append(_relative(error.fault, root))
    faults += _masks_without_image(folder)
    splits = {stem: row["split"] for stem, row in folder.rows.items()} if "split" in folder.columns else {}
    seen = _Seen()
    for done, stem in enumerate(folder.images, start=1):
        faults += [_relative(fault, root) for fault in _check_pair(folder, stem, about, splits.get(stem, ""), seen)]
        if progress is not None:
            progress(done, len(folder.images))
    faults += _repeated_images(folder, splits, seen)
    return faults + _split_contents(splits, about, seen)


def _check_pair(folder: Folder, stem: str, about: Description | None, split: str, seen: _Seen) -> list[Fault]:
    """Reads one image and its mask and notes what they hold."""
    faults: list[Fault] = []
    image = mask = None
    try:
        image = _check_image(folder.images[stem], about, faults)
        seen.stems_by_hash.setdefault(_pixel_hash(image), []).append(stem)
    except FaultError as error:
        faults.append(error.fault)
    try:
        if stem in folder.masks:
            mask = read_mask(folder.masks[stem], len(about.classes) if about else 256)
    except FaultError as error:
        faults.append(error.fault)
    if mask is None:
        seen.unread_splits.add(split)
    else:
        seen.present.update((split, class_id) for class_id in present_values(mask))
    if image is not None and mask is not None:
        size = image.shape[:2]
        found = size_mismatch(folder.images[stem], folder.masks[stem], size, mask.shape)
        found = found or undecided_turn(folder.images[stem], size)
        faults += [found] if found else []
    return faults


def _check_image(path: Path, about: Description | None, faults: list[Fault]) -> UInt8:
    """Reads an image, adds to ``faults`` what keeps a readable one from being used well, and returns it."""
    stored = decode(path, thorough=True)
    color, window = (about.color, about.window) if about else ("rgb", None)
    image = apply_window(to_color(stored, color, path, window), window)
    if min(image.shape[:2]) < _SMALLEST_SIDE_PX:
        message = f"only {_size(image)} px, too small to learn from (under {_SMALLEST_SIDE_PX})"
        faults.append(Fault(str(path), "tiny image", message, "remove it with its mask and row"))
    share = _colour_share(apply_window(stored, window)) if color == "gray" else 0.0
    if share > _COLOUR_SHARE:
        message = f"a colour image ({share:.0%} of its pixels), while dataset.yaml says gray"
        faults.append(Fault(str(path), "colour in gray", message, "write color: rgb, or convert the images"))
    return image


def _colour_share(stored: UInt8) -> float:
    """Share of pixels whose channels differ by more than a tint does, in [0, 1]."""
    if stored.ndim == 2:
        return 0.0
    spread = stored[..., :3].max(axis=2) - stored[..., :3].min(axis=2)
    return float(np.mean(spread > _TINT_SPREAD))


def _masks_without_image(folder: Folder) -> list[Fault]:
    if not folder.images:  # One fault already: an empty or missing images folder.
        return []
    message, remedy = "no image of this stem", "add the image or remove the mask"
    return [
        Fault(f"masks/{path.name}", "mask without image", message, remedy)
        for stem, path in folder.masks.items()
        if stem not in folder.images
    ]


def _repeated_images(folder: Folder, splits: Mapping[str, str], seen: _Seen) -> list[Fault]:
    """Pictures that occur twice: in two splits they are a leak; without splits they may become one."""
    faults = []
    for stems in seen.stems_by_hash.values():
        first = stems[0]
        for other in stems[1:]:
            file = f"images/{folder.images[other].name}"
            same = f"the same picture as {folder.images[first].name}"
            if splits and splits.get(first) != splits.get(other):
                message = f"{same}, in {splits.get(other)} and {splits.get(first)}"
                faults.append(Fault(file, "leak between splits", message, "keep it in one split only"))
            elif not splits and _group(folder, first) != _group(folder, other):
                remedy = "remove one, or give both the same group in meta.csv"
                faults.append(Fault(file, "repeated image", f"{same}; a split may part them", remedy))
    return faults


def _split_contents(splits: Mapping[str, str], about: Description | None, seen: _Seen) -> list[Fault]:
    """Splits without images, and classes that no mask of a split has."""
    if about is None:
        return []
    faults = []
    present = [name for name in SPLITS if name in splits.values()] if splits else [""]
    for name in SPLITS if splits else ():
        if name not in present:
            remedy = f"mark some for {name}, or remove the column split to have one made"
            faults.append(Fault("meta.csv", "empty split", f"no image is in {name}", remedy))
    for name in present:
        missing = [label for k, label in enumerate(about.classes) if k and (name, k) not in seen.present]
        # Where a mask could not be read, what is missing may be in it; that mask is a fault already.
        if missing and name not in seen.unread_splits and seen.present:
            faults.append(_no_positives(name, missing))
    return faults


def _no_positives(split: str, missing: Sequence[str]) -> Fault:
    where = f"the split {split}" if split else "the data set"
    message = f"no mask of {where} has {', '.join(missing)}"
    remedy = "move images that have it there" if split else "add images that have it, or correct the classes"
    return Fault("meta.csv" if split else "masks/", "no positives", message, remedy)


def _group(folder: Folder, stem: str) -> str:
    return folder.rows.get(stem, {}).get("group", "").strip() or stem


def _pixel_hash(image: UInt8) -> str:
    """Of the pixels as they are read, so that the same picture is found in another file format."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


def _size(pixels: UInt8) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _relative(fault: Fault, root: Path) -> Fault:
    path = Path(fault.file)
    return replace(fault, file=path.relative_to(root).as_posix() if path.is_relative_to(root) else fault.file)
