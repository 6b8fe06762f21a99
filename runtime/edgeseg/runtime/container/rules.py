"""What is taken as an image and what as a mask: one set of rules for every container.

A file is refused where programs disagree about what it shows, since training, the device and whoever drew the masks
may then have seen different pictures.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.container.content import Content
from edgeseg.runtime.faults import Fault

_WRITE_GRAY = "write it from its source as an 8-bit gray PNG of class ids"
_TURN = (
    "turn the pixels and drop the tag, e.g. with PIL's ImageOps.exif_transpose, or drop the tag alone if the mask fits "
    "the pixels as stored"
)


def unfit(content: Content, path: Path, *, is_mask: bool) -> Fault | None:
    """Judges a file that is whole.

    Args:
        content: From `look`.
        path: Named in the fault.
        is_mask: Whether class ids are wanted, which must come out as the numbers that were stored.

    Returns:
        The first reason not to take it, or None.
    """
    found = _unfit_picture(content, is_mask) or (_unfit_mask(content) if is_mask else None)
    found = found or _unfit_palette(content, is_mask) or (_unfit_bits(content) if is_mask else None)
    return Fault(str(path), *found) if found else None


def _unfit_picture(content: Content, is_mask: bool) -> tuple[str, str, str] | None:
    if content.frames > 1:
        found = f"{content.frames} pictures in one {content.container} (pages or frames)"
        return "several frames", found, "save each under its own name, or only the one that is meant"
    if content.orientation != 1 and content.container != "JPEG":
        found = f"stored turned (EXIF orientation {content.orientation}), which programs apply or ignore as they like"
        return "turned image", found, _TURN
    if content.inks:
        found = f"{content.inks}, whose colours depend on how a program converts them"
        return "bad channels", found, _WRITE_GRAY if is_mask else "convert it to gray or RGB"
    if content.white_is_zero and content.bits > 8:
        found = f"a {content.bits}-bit TIFF in which 0 is white, which programs invert or not as they like"
        return "white is zero", found, "save it with 0 as black (photometric interpretation 1)"
    return None


def _unfit_mask(content: Content) -> tuple[str, str, str] | None:
    if content.loss:
        found = f"{content.loss}, by its content; as a mask it may have lost class ids in compression"
        return "bad mask format", found, _WRITE_GRAY
    if content.orientation != 1:
        found = f"a mask with EXIF orientation {content.orientation}, which programs apply or ignore as they like"
        return "turned image", found, _TURN
    if content.white_is_zero:
        found = "a TIFF in which 0 is white: its numbers say the opposite of what it shows"
        remedy = "save it with 0 as black (photometric interpretation 1), and with the background as 0"
        return "white is zero", found, remedy
    return None


def _unfit_bits(content: Content) -> tuple[str, str, str] | None:
    if content.bits not in (2, 4, 5):
        return None
    remedy = f"{_WRITE_GRAY}; a program that opens it may multiply them by {255 // ((1 << content.bits) - 1)}"
    return "not 8-bit", f"a {content.bits}-bit mask, whose ids would be rescaled", remedy


def _unfit_palette(content: Content, is_mask: bool) -> tuple[str, str, str] | None:
    """A palette of grays is an image like any other; in a mask only one that changes no number is."""
    if content.palette is None or content.palette == "ramp" or (content.palette == "gray" and not is_mask):
        return None
    found = f"a palette {content.container}, whose values may be meant as colours or as numbers"
    if is_mask:
        remedy = (
            "convert it: `edgeseg data import --from palette` and PIL's np.array(Image.open(f)) keep the numbers, "
            "`--from color` the colours"
        )
    else:
        remedy = "convert it, e.g. with PIL's Image.open(f).convert('RGB'), and save an 8-bit PNG"
    return "palette", found, remedy
