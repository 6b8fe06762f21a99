"""Folders and files under a name that is nearly the one that is read, and folders with nothing in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from edgeseg.runtime.data.pairing.listing import Listing, is_picture, kinds
from edgeseg.runtime.data.pairing.unpaired import mask_remedy
from edgeseg.runtime.faults import Fault

# What others call the two folders, without capitals, blanks, dashes and underscores.
_OTHER_NAMES = {
    "images": (
        "images?|imgs?|img_?dir|image_?dir|pictures?|pics?|photos?|frames?|inputs?|x|data|raw|rgb|jpegimages|imagestr|"
        "originals?|src"
    ),
    "masks": (
        "masks?|mask_?dir|labels?|annotations?|ann_?dir|anns?|annots?|gts?|groundtruths?|segs?|segmentations?|"
        "segmentationclass|segmasks?|labelstr|labelids|targets?|truths?|y|manual"
    ),
}
_META_NEAR = (
    r"(meta|metadata|metainfo|splits?|groups?|patients?|subjects?|data|dataset|index|labels)\.(csv|tsv|xlsx?|ods)"
    r"|meta\.txt|meta\.csv\.txt|(train|val|valid|validation|test)\.(txt|csv)"
)


def no_files(listing: Listing, suffixes: Iterable[str]) -> list[Fault]:
    """The one fault of a folder that is missing, or has nothing that is taken; none of one that has something."""
    folder = listing.folder
    if listing.taken:
        return []
    if listing.exists:
        seen = f"only {kinds(listing.left_out)}" if listing.left_out else "nothing"
        message, remedy = f"no usable file, {seen} in it", f"put {', '.join(suffixes)} files there"
        suffixes_seen = [one.path.suffix.lower() for one in listing.left_out if not one.path.is_dir()]
        if folder.name == "masks" and suffixes_seen:
            remedy += f"; {mask_remedy(suffixes_seen[0])}"
            remedy += "; if images and masks are swapped, rename the folders" * (".jp" in suffixes_seen[0])
        if any(one.is_folder for one in listing.left_out):
            remedy += "; folders in it are not looked into, so move their files up"
        return [Fault(f"{folder.name}/", "empty folder", message, remedy)]
    near, remedy = _near_folder(folder.parent, folder.name)
    return [Fault(f"{folder.name}/", "missing folder", f"no such folder{near}", remedy or f"make {folder} and fill it")]


def near_files(root: Path) -> list[Fault]:
    """Tables that are probably meant to be meta.csv and are not read, for want of that very name."""
    if (root / "meta.csv").exists():
        return []
    faults = []
    inner = [root / name / "meta.csv" for name in ("images", "masks")]
    for path in [*sorted(root.iterdir()), *inner]:
        name = path.name.strip().casefold()
        if path.is_file() and (name == "meta.csv" or re.fullmatch(_META_NEAR, name)):
            where = path.relative_to(root).as_posix()
            remedy = _as_meta(name, where)
            message = f"not read; a table of splits and groups is read from {root.name or '.'}/meta.csv alone"
            level: Literal["fault", "warning"] = "fault" if name == "meta.csv" else "warning"
            faults.append(Fault(where, "table not read", message, remedy, level))
    return faults


def _as_meta(name: str, where: str) -> str:
    if re.match("train|val|test", name):
        return "if it lists the images of a split, write a meta.csv with the columns stem and split"
    if "/" in where:
        return "move it beside images/ and masks/"
    return "rename it to meta.csv" if name.endswith(".csv") else "save it as meta.csv (UTF-8)"


def _near_folder(root: Path, wanted: str) -> tuple[str, str]:
    """What stands there instead of a missing folder, for the message, and what to do; empty where nothing does."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    taken = ("images", "masks")
    other = _OTHER_NAMES.get(wanted)
    near = [one for one in folders if other and one.name not in taken and re.fullmatch(other, _plain(one.name))]
    if near:
        return f", but {near[0].name}/ is there", f"rename {near[0].name} to {wanted}"
    split = [one.name for one in folders if any((one / name).is_dir() for name in taken)]
    if split:
        there = ", ".join(f"{name}/" for name in split[:4])
        remedy = "put all images into one folder images/, all masks into masks/, and the split into meta.csv"
        return f", but {there} has folders of its own", remedy
    loose = sum(is_picture(path) for path in root.iterdir() if path.is_file())
    if loose and wanted == "images":
        return f", but {loose} picture(s) lie beside it", "make the folder images and move them into it"
    return "", ""


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "").replace("-", "").replace(" ", "")
