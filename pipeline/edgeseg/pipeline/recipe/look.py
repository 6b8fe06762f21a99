"""What a user's folder of images and masks holds, found by looking: sizes, colour, class ids, regions, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.runtime.data.described.columns import Column, unused_columns
from edgeseg.runtime.data.folder import Folder, list_folder
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.data.imagefile import Color, decode, read_stored_mask
from edgeseg.runtime.data.pairing.listing import summary
from edgeseg.runtime.data.pairing.swapped import swapped
from edgeseg.runtime.data.shares import Shares
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import Fault
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.spec.input_spec import IntensityWindow

# Colour is a property of the camera, so a few images tell; masks are all read, since a class may be rare.
_IMAGES_LOOKED_AT = 64
# As in `data check`: a faint tint is fine in a gray picture.
_TINT_SPREAD, _COLOUR_SHARE = 40, 0.05
# Ids beyond this are gray levels or colours, not classes that somebody counted.
_MOST_CLASSES = 32


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        n_images: Pairs of image and mask.
        sizes_px: (height, width) of the frames with their counts, the most frequent first.
        color: `gray` if no image looked at is in colours.
        n_classes: Background included.
        values: What the masks hold, without `ignore`, ascending.
        ignore: The value of mask pixels that do not count: the one that was given, or 255 beside class ids; else None.
        n_negative: Frames without foreground.
        small_region: Side of a small region (its area's square root; lowest quartile) as a share of the frame's
            long side, in [0, 1].
        splits: Images by split of meta.csv; empty if it has none.
        columns: Other columns of meta.csv.
        shares: What each class id covers.
        not_taken: What lies in images/ and masks/ and is not taken, as `listing.summary` gives it.
        warnings: What is probably not meant so, by names alone.
        window: Of 16-bit images: what nearly all values of those looked at lie between. None for 8-bit images.
    """

    n_images: int
    sizes_px: tuple[tuple[tuple[int, int], int], ...]
    color: Color
    n_classes: int
    values: tuple[int, ...]
    ignore: int | None
    n_negative: int
    small_region: float
    splits: dict[str, int]
    columns: tuple[Column, ...]
    shares: Shares
    not_taken: tuple[Mapping[str, object], ...]
    warnings: tuple[Fault, ...]
    window: IntensityWindow | None = None

    @property
    def n_train(self) -> int:
        """Training images, also where the split is still to be made (70 %)."""
        return self.splits.get("train", round(0.7 * self.n_images))

    @property
    def median_px(self) -> tuple[int, int]:
        """Median height and width of the frames [px]."""
        heights, widths = zip(*(size for size, count in self.sizes_px for _ in range(count)), strict=True)
        return int(np.median(heights)), int(np.median(widths))


def look_at(root: Path, progress: Callable[[int, int], None] | None = None, ignore: int | None = None) -> Look:
    """Read all masks and some images of a folder.

    Args:
        root: With `images/`, `masks/` and perhaps meta.csv.
        progress: Called with (done, total) after every image.
        ignore: The value of mask pixels that do not count, if it is known.

    Raises:
        DataError: If files are missing or unreadable, or the masks hold no foreground or no class ids.
    """
    folder = list_folder(root)
    if folder.faults:
        shown = "\n".join(f"  {fault}" for fault in folder.faults[:8])
        raise DataError(f"{root} cannot be used yet, {len(folder.faults)} fault(s):\n{shown}")
    mixed_up = swapped(folder.images, folder.masks)
    if mixed_up is not None:
        raise DataError(f"{root} cannot be used yet: {mixed_up}")
    every = max(1, len(folder.images) // _IMAGES_LOOKED_AT)
    sizes, ids, sides, colours, negative = Counter[tuple[int, int]](), set[int](), list[float](), 0, 0
    shares = Shares()
    levels: list[tuple[int, int]] = []
    for index, (stem, image) in enumerate(folder.images.items()):
        mask = read_stored_mask(folder.masks[stem])
        sizes[(mask.shape[0], mask.shape[1])] += 1
        ids.update(shares.add(mask))
        if ignore is not None:
            mask = np.where(mask == ignore, np.uint8(0), mask)
        sides += _region_sides(mask)
        negative += not mask.any()
        if index % every == 0:
            stored = decode(image)
            levels += [_levels(stored)] if stored.dtype == np.uint16 else []
            colours += _is_coloured(apply_window(stored, levels[-1]) if stored.dtype == np.uint16 else stored)
        if progress is not None:
            progress(index + 1, len(folder.images))
    if ignore is None and _marks_ignored(ids):
        return look_at(root, progress, IGNORED)  # from the start, for it was taken for foreground
    values = sorted(ids - {ignore})
    return Look(
        n_images=len(folder.images),
        sizes_px=tuple(sizes.most_common()),
        color="rgb" if colours else "gray",
        n_classes=_count_classes(values, root),
        values=tuple(values),
        ignore=ignore,
        n_negative=negative,
        small_region=float(np.quantile(sides, 0.25)),
        splits=folder.splits,
        columns=unused_columns(folder.columns, folder.rows),
        shares=shares.binary() if set(ids) <= {0, 255} else shares,
        not_taken=tuple(summary(folder.left_out, root)),
        warnings=(*folder.warnings, *_orphans(folder)),
        window=(min(lo for lo, _ in levels), max(hi for _, hi in levels)) if levels else None,
    )


def _marks_ignored(ids: Set[int]) -> bool:
    """Whether 255, beside ids of classes, is none itself; with 0 alone it is the foreground."""
    counted = ids - {0, IGNORED}
    return IGNORED in ids and bool(counted) and max(counted) < _MOST_CLASSES


def _count_classes(ids: Sequence[int], root: Path) -> int:
    """Number of classes behind the values of all masks, but for the one that is ignored."""
    if len(ids) < 2:
        found = f"the value {ids[0]} alone" if ids else "nothing"
        raise DataError(
            f"{root}/masks: every mask holds {found}; a network needs foreground to learn (what the key ignore of "
            "dataset.yaml leaves out is none)"
        )
    if set(ids) <= {0, 255}:
        return 2
    if ids[-1] >= _MOST_CLASSES:
        found = ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
        raise DataError(
            f"{root}/masks: the masks hold the values {found}; write class ids 0 (background), 1, 2, ... into one "
            "channel (or 0 and 255 for one kind of foreground), without smoothing the edges; if one of the values "
            "marks pixels to leave out, write a dataset.yaml with classes, color and ignore: VALUE first"
        )
    return ids[-1] + 1


def _region_sides(mask: np.ndarray) -> list[float]:
    """Side of every foreground region as a share of the frame's long side; mask uint8 (H, W)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    return [float(side) for side in np.sqrt(areas) / max(mask.shape)]


def _is_coloured(stored: np.ndarray) -> bool:
    if stored.ndim == 2:
        return False
    spread = stored[..., :3].max(axis=2).astype(np.int16) - stored[..., :3].min(axis=2)
    return float(np.mean(spread > _TINT_SPREAD)) > _COLOUR_SHARE


def _orphans(folder: Folder) -> list[Fault]:
    remedy = "add its image or remove it"
    return [
        Fault(f"masks/{folder.masks[stem].name}", "mask without image", "no image of this stem", remedy, "warning")
        for stem in folder.orphans
    ]


def _levels(stored: np.ndarray) -> tuple[int, int]:
    """Values that 0.1 % of the pixels are below and above; a few dead or saturated pixels say nothing."""
    low, high = np.quantile(stored[..., :3] if stored.ndim == 3 else stored, (0.001, 0.999))
    lo = min(int(low), 65534)
    return lo, max(int(np.ceil(high)), lo + 1)
