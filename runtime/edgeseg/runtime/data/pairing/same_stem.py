"""Whether an image and its mask show the same pixels, as far as sizes and EXIF orientation tell."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.data.imagefile import orientation
from edgeseg.runtime.faults import Fault

Size = tuple[int, ...]  # (height, width) [px]

_QUARTER_TURNS = range(5, 9)


def size_mismatch(image: Path, mask: Path, image_px: Size, mask_px: Size) -> Fault | None:
    """A fault where a mask has not its image's size, with the likely cause.

    Args:
        image: The image file.
        mask: The mask file.
        image_px: (height, width) of the image as it is read.
        mask_px: (height, width) of the mask.
    """
    if tuple(image_px) == tuple(mask_px):
        return None
    message = f"{_size(mask_px)}, but its image {image.name} is {_size(image_px)}"
    remedy = "make the mask for this very image, or resize it with nearest-neighbour interpolation"
    turned = orientation(image)
    if turned in _QUARTER_TURNS and tuple(mask_px) == tuple(image_px[::-1]):
        message += f" once its EXIF orientation {turned} is applied; the mask was likely drawn on the pixels as stored"
        remedy = "remove the EXIF orientation from the image, or turn the mask as it says"
    elif tuple(mask_px) == tuple(image_px[::-1]):
        remedy = "turn one of them: one was probably saved without its EXIF orientation"
    return Fault(str(mask), "size mismatch", message, remedy)


def undecided_turn(image: Path, image_px: Size) -> Fault | None:
    """A fault where an orientation is applied that the mask's size neither confirms nor refutes.

    Some labelling tools draw on the pixels as stored, others on the turned ones. After a quarter turn the mask's size
    tells which; after a half turn, a flip, or of a square it does not.

    Args:
        image: The image file.
        image_px: (height, width) of the image as it is read.
    """
    turned = orientation(image)
    if turned == 1 or (turned in _QUARTER_TURNS and image_px[0] != image_px[1]):
        return None
    message = f"stored turned (EXIF orientation {turned}), and its mask may be drawn on the turned or the stored pixels"
    remedy = (
        "look at both, then turn the pixels and drop the tag, e.g. with PIL's ImageOps.exif_transpose, or drop the tag "
        "alone"
    )
    return Fault(str(image), "turned image", message, remedy)


def _size(shape: Size) -> str:
    return f"{shape[1]}x{shape[0]}"
