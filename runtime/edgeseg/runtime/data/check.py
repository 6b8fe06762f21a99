"""Finding everything that is wrong with a data set at once, each fault with its file and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgeseg.runtime.data.class_ids import to_class_ids
from edgeseg.runtime.data.described.columns import Column, unused_columns
from edgeseg.runtime.data.folder import Description, Folder, list_folder, read_description
from edgeseg.runtime.data.imagefile import UInt8, decode, present_values, read_stored_mask, to_color
from edgeseg.runtime.data.pairing.listing import summary
from edgeseg.runtime.data.pairing.same_stem import size_mismatch, undecided_turn
from edgeseg.runtime.data.pairing.swapped import swapped
from edgeseg.runtime.data.pixel_hash import pixel_hash
from edgeseg.runtime.data.shares import Share, Shares
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.data.window_use import WindowUse
from edgeseg.runtime.faults import Fault, FaultError
from edgeseg.runtime.frame.intensity import apply_window

__all__ = ["Checked", "Fault", "check_dataset", "examine"]

# A faint tint (as ultrasound screens have) is fine in a data set declared gray; a picture in colours is a mistake.
# Measured: in 204 tinted ultrasound frames at most 0.1 % of the pixels exceed a spread of 40 between their channels,
# in the machine-part photographs 44 % to 78 %.
_TINT_SPREAD = 40
_COLOUR_SHARE = 0.05
_SMALLEST_SIDE_PX = 8


@dataclass(frozen=True)
class Checked:
    """What a data set holds, and what is wrong with it.

    Attributes:
        faults: What keeps it from being used well; empty if it is fine.
        warnings: What is probably not meant so; a look decides.
        n_images: Images taken.
        n_masks: Masks taken, also those without an image.
        splits: Images by split of meta.csv; empty if it has none.
        not_taken: What lies in images/ and masks/ and is not taken: `where`, `reason`, `n`, `files`.
        shares: What each class covers, by id; empty while the classes are not known or no mask could be read.
        columns: Columns of meta.csv that nothing reads by itself.
    """

    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()
    n_images: int = 0
    n_masks: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    not_taken: tuple[Mapping[str, object], ...] = ()
    shares: tuple[Share, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass
class _Seen:
    """What is gathered over all images, to be judged at the end."""

    shares: Shares = field(default_factory=Shares)
    window_use: WindowUse = field(default_factory=WindowUse)
    stems_by_hash: dict[str, list[str]] = field(default_factory=dict)
    present: set[tuple[str, int]] = field(default_factory=set)  # (split, class id) that occur in a mask
    unread_splits: set[str] = field(default_factory=set)
    # With two classes: the first mask by the value that its class 1 has.
    foreground_files: dict[int, str] = field(default_factory=dict)


def check_dataset(root: Path | str, progress: Callable[[int, int], None] | None = None) -> list[Fault]:
    """List the faults of a data set, as `examine` finds them."""
    return list(examine(root, progress).faults)


def examine(root: Path | str, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Read a whole data set: what it holds, and everything that is wrong with it.

    Names, meta.csv and dataset.yaml are checked first, then every image and mask is read: damaged, 16-bit, palette
    and transparent files, differing sizes, unknown class ids, colour images in a data set declared gray. Last come
    the splits: images that are in two of them (by a hash of their pixels), empty ones, and classes that a split lacks.

    Args:
        root: The data set's folder.
        progress: Called with (done, total) after every image.

    Returns:
        What was found; faults are in that order, and files are named relative to `root`.
    """
    root = Path(root)
    try:
        folder = list_folder(root)
    except FaultError as error:
        return Checked((error.fault,))
    faults = [*folder.faults, *folder.warnings]
    about: Description | None = None
    try:
        about = read_description(root)
    except FaultError as error:
        faults.append(_relative(error.fault, root))
    faults += _masks_without_image(folder)
    seen = _Seen()
    mixed_up = _swapped(folder)
    if mixed_up is not None:  # every file would be a fault, and none of them the cause
        return _checked(root, folder, about, [mixed_up, *faults], seen)
    splits = {stem: row["split"] for stem, row in folder.rows.items()} if "split" in folder.columns else {}
    for done, stem in enumerate(folder.images, start=1):
        faults += [_relative(fault, root) for fault in _check_pair(folder, stem, about, splits.get(stem, ""), seen)]
        if progress is not None:
            progress(done, len(folder.images))
    faults += seen.window_use.faults(about.window) if about is not None and about.window is not None else []
    faults += _repeated_images(folder, splits, seen)
    faults += _two_foregrounds(seen)
    faults += [] if splits else _too_few_groups(folder)
    if not splits or splits.keys() >= folder.images.keys():  # what a split lacks may be in images without a row
        faults += _split_contents(splits, about, seen)
    return _checked(root, folder, about, faults, seen)


def _checked(root: Path, folder: Folder, about: Description | None, faults: list[Fault], seen: _Seen) -> Checked:
    classes = about.classes if about is not None and seen.shares.n_masks else ()
    found = [*faults, *seen.shares.warnings(classes)]
    return Checked(
        faults=tuple(fault for fault in found if fault.level == "fault"),
        warnings=tuple(fault for fault in found if fault.level == "warning"),
        n_images=len(folder.images),
        n_masks=len(folder.masks),
        splits=folder.splits,
        not_taken=tuple(summary(folder.left_out, root)),
        shares=tuple(seen.shares.by_class(classes)),
        columns=unused_columns(folder.columns, folder.rows),
    )


def _swapped(folder: Folder) -> Fault | None:
    left_out = {
        one.stem: one.path for one in folder.left_out if one.path.parent.name == "masks" and one.n_pictures == 1
    }
    return swapped(folder.images, folder.masks or left_out)


def _check_pair(folder: Folder, stem: str, about: Description | None, split: str, seen: _Seen) -> list[Fault]:
    """Read one image and its mask and note what they hold."""
    faults: list[Fault] = []
    image = mask = None
    try:
        image = _check_image(folder.images[stem], about, faults, seen)
    except FaultError as error:
        faults.append(error.fault)
    try:
        if stem in folder.masks:
            mask = _check_mask(folder.masks[stem], about, seen)
    except FaultError as error:
        faults.append(error.fault)
    if mask is None:
        seen.unread_splits.add(split)
    else:
        seen.present.update((split, class_id) for class_id in seen.shares.add(mask))
    if image is not None and mask is not None:
        size = image.shape[:2]
        found = size_mismatch(folder.images[stem], folder.masks[stem], size, mask.shape)
        found = found or undecided_turn(folder.images[stem], size)
        faults += [found] if found else []
    return faults


def _check_image(path: Path, about: Description | None, faults: list[Fault], seen: _Seen) -> UInt8:
    """Read an image, add to `faults` what keeps a readable one from being used well, and return it."""
    stored = decode(path, thorough=True)
    color, window = (about.color, about.window) if about else ("rgb", None)
    frame = to_color(stored, color, path, window)
    image = apply_window(frame, window)
    if window is None or not seen.window_use.add(path.name, frame, image):  # of what is lost all look alike
        seen.stems_by_hash.setdefault(pixel_hash(image), []).append(path.stem)
    if min(image.shape[:2]) < _SMALLEST_SIDE_PX:
        message = f"only {_size(image)} px, too small to learn from (under {_SMALLEST_SIDE_PX})"
        faults.append(Fault(str(path), "tiny image", message, "remove it with its mask and row"))
    share = _colour_share(apply_window(stored, window)) if color == "gray" else 0.0
    if share > _COLOUR_SHARE:
        message = f"a colour image ({share:.0%} of its pixels), while dataset.yaml says gray"
        faults.append(Fault(str(path), "colour in gray", message, "write color: rgb, or convert the images"))
    return image


def _check_mask(path: Path, about: Description | None, seen: _Seen) -> UInt8:
    """Read a mask as class ids, and note which value of the file is the foreground of two classes."""
    stored = read_stored_mask(path)
    if about is None:
        return stored
    values = present_values(stored)
    mask = to_class_ids(stored, values, len(about.classes), about.ignore, path)
    if len(about.classes) == 2:
        for value in {1, 255}.intersection(values) - {about.ignore}:
            seen.foreground_files.setdefault(value, path.name)
    return mask


def _colour_share(stored: UInt8) -> float:
    """Share of pixels whose channels differ by more than a tint does, in [0, 1]."""
    if stored.ndim == 2:
        return 0.0
    spread = stored[..., :3].max(axis=2) - stored[..., :3].min(axis=2)
    return float(np.mean(spread > _TINT_SPREAD))


def _masks_without_image(folder: Folder) -> list[Fault]:
    message, remedy = "no image of this stem", "add the image or remove the mask"
    return [Fault(f"masks/{folder.masks[stem].name}", "mask without image", message, remedy) for stem in folder.orphans]


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


def _two_foregrounds(seen: _Seen) -> list[Fault]:
    """Masks of 0 and 1 beside masks of 0 and 255: each can be read, but together 255 may mean something else."""
    if len(seen.foreground_files) < 2:
        return []
    message = f"its foreground is 255, that of {seen.foreground_files[1]} is 1"
    remedy = "write 1 in all masks; or, if 255 marks pixels to leave out, write ignore: 255 in dataset.yaml"
    return [Fault(f"masks/{seen.foreground_files[255]}", "two values of foreground", message, remedy)]


def _too_few_groups(folder: Folder) -> list[Fault]:
    """Images that no split can be made of, since it parts no group."""
    n_groups = len({_group(folder, stem) for stem in folder.images})
    if n_groups >= len(SPLITS) or not folder.images:
        return []
    message = f"{len(folder.images)} image(s) in {n_groups} group(s) cannot be divided into {', '.join(SPLITS)}"
    remedy = "add images" + (", or smaller groups in meta.csv" if len(folder.images) > n_groups else "")
    return [Fault("images/", "empty split", message, remedy)]


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
            faults.append(_no_positives(name, missing, about))
    return faults


def _no_positives(split: str, missing: Sequence[str], about: Description) -> Fault:
    where = f"the split {split}" if split else "the data set"
    message = f"no mask of {where} has {', '.join(missing)}"
    remedy = "move images that have it there" if split else "add images that have it, or correct the classes"
    if about.ignore is not None:
        message += f" (pixels of {about.ignore} are left out by the key ignore)"
        remedy += f"; if {about.ignore} is foreground, remove ignore from dataset.yaml"
    return Fault("meta.csv" if split else "masks/", "no positives", message, remedy)


def _group(folder: Folder, stem: str) -> str:
    return folder.rows.get(stem, {}).get("group", "").strip() or stem


def _size(pixels: UInt8) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _relative(fault: Fault, root: Path) -> Fault:
    path = Path(fault.file)
    return replace(fault, file=path.relative_to(root).as_posix() if path.is_relative_to(root) else fault.file)
