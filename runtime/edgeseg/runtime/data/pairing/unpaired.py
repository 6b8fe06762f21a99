"""Images, masks and rows of meta.csv that have no partner: what they probably wait for, told once for all of a kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.runtime.data.pairing.listing import LOST_LINK, TRAILING_BLANK, LeftOut, Listing, is_picture
from edgeseg.runtime.faults import Fault

if TYPE_CHECKING:
    from edgeseg.runtime.data.pairing.pairing import Rule

# Names may differ in several ways at once, each of them by its own rule.
_MOST_RULES = 3
# So many images without a mask are told one by one, even if no image has one.
_TOLD_SINGLY = 3
_REMEDIES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "JPEG changes class ids: write masks from their source as 8-bit PNG"),
    ".json": "`edgeseg data import` draws masks from such files (--from labelme or coco)",
    ".txt": "`edgeseg data import --from yolo` draws masks from such files",
    ".xml": "`edgeseg data import --from cvat` draws masks from such files",
}
_MEND = {LOST_LINK: "mend the link, or copy the file here", TRAILING_BLANK: "take the blank out of its name"}
_AS_PNG = "write their class ids as 8-bit gray PNG"


def mask_remedy(suffix: str) -> str:
    """What to do about masks with a suffix that is not read."""
    return _REMEDIES.get(suffix.strip().lower(), _AS_PNG)


def pair_faults(images: Listing, masks: Listing) -> tuple[list[Fault], tuple[str, ...]]:
    """Hold the images against the masks.

    Returns:
        Faults, and the stems of masks without an image that none of the faults explains.
    """
    faults, waiting = _images_left_out(images, masks)
    if not images.taken or not masks.taken:  # an empty folder is one fault, not one per image
        return faults, ()
    lonely = [stem for stem in images.taken if stem not in masks.taken]
    orphans = [stem for stem in masks.taken if stem not in images.taken and stem not in waiting]
    if lonely:
        not_taken, lonely = _masks_left_out(lonely, masks)
        faults += not_taken
        rules, lonely, orphans = _rules(lonely, orphans, "masks", "masks/")
        faults += [_named_otherwise(rule, images.taken, masks.taken) for rule in rules]
    if len(lonely) == len(images.taken) > _TOLD_SINGLY:
        first, other = images.taken[lonely[0]].name, next(iter(masks.taken.values())).name
        message = f"none of the {len(lonely)} images has a mask of its name: images/{first}, masks/{other}"
        faults.append(Fault("masks/", "missing mask", message, "give each mask exactly its image's name"))
        return faults, ()
    faults += [
        Fault(
            f"images/{images.taken[stem].name}",
            "missing mask",
            f"no mask {stem}.png in masks/",
            "add it or remove the image",
        )
        for stem in lonely
    ]
    return faults, tuple(orphans)


def row_faults(images: Mapping[str, Path], rows: Collection[str]) -> list[Fault]:
    """Hold the images against the rows of meta.csv."""
    without_row = [stem for stem in images if stem not in rows]
    lost = [stem for stem in rows if stem not in images]
    rules, without_row, lost = _rules(without_row, lost, "stems of meta.csv", "the column stem of meta.csv")
    faults = []
    for rule in rules:
        image, stem = next(iter(rule.pairs.items()))
        message = (
            f"{len(rule.pairs)} stem(s) differ from their images' {rule.differ}: {stem}, images/{images[image].name}"
        )
        faults.append(Fault("meta.csv", "row without image", message, rule.remedy))
    remedy = "add it or correct the stem (a spreadsheet may have dropped leading zeros)"
    faults += [Fault("meta.csv", "row without image", f"{stem} is not in images/", remedy) for stem in lost]
    return faults + [
        Fault(f"images/{images[stem].name}", "image without row", f"{stem} is not in meta.csv", "add its row")
        for stem in without_row
    ]


def _rules(lonely: list[str], orphans: list[str], called: str, place: str) -> tuple[list[Rule], list[str], list[str]]:
    """The rules that pair what is left, and what they leave."""
    rules: list[Rule] = []
    if not (lonely and orphans):
        return rules, lonely, orphans
    from edgeseg.runtime.data.pairing.pairing import find_rule  # a right folder needs none

    while lonely and orphans and len(rules) < _MOST_RULES and (rule := find_rule(lonely, orphans, called, place)):
        rules.append(rule)
        paired = set(rule.pairs.values())
        lonely = [stem for stem in lonely if stem not in rule.pairs]
        orphans = [stem for stem in orphans if stem not in paired]
    return rules, lonely, orphans


def _named_otherwise(rule: Rule, images: Mapping[str, Path], masks: Mapping[str, Path]) -> Fault:
    image, mask = next(iter(rule.pairs.items()))
    names = f"images/{images[image].name}, masks/{masks[mask].name}"
    example = f"{rule.remedy}: {masks[mask].name} becomes {image}{masks[mask].suffix}"
    message = f"{len(rule.pairs)} of the {len(images)} images have a mask whose name differs {rule.differ}: {names}"
    return Fault("masks/", "names do not pair", message, rule.remedy if "images/" in rule.remedy else example)


def _images_left_out(images: Listing, masks: Listing) -> tuple[list[Fault], set[str]]:
    """Faults of what was surely meant as an image and is not taken, and the stems whose masks wait for it."""
    if not images.taken:
        return [], set()
    with_mask = {*masks.taken, *(one.stem for one in masks.left_out if one.n_pictures)}
    faults: list[Fault] = []
    waiting: set[str] = set()
    for one in images.left_out:
        if one.is_folder:
            waiting.update(_within(one))
            message = f"{one.n_pictures} picture(s) in a folder of images/, which is not looked into"
            remedy = (
                f"move them up (where names repeat, as {one.path.name}_NAME, their masks too), or move the folder away"
            )
            faults.append(Fault(f"images/{one.path.name}/", "images in a folder", message, remedy))
        elif one.n_pictures and (one.stem in with_mask or one.path.is_symlink()):
            waiting.add(one.stem)
            remedy = _MEND.get(one.reason, "save it as 8-bit PNG, correct its name, or move it away with its mask")
            faults.append(Fault(f"images/{one.path.name}", "image not taken", f"it is {one.reason}", remedy))
    return faults, waiting


def _masks_left_out(lonely: list[str], masks: Listing) -> tuple[list[Fault], list[str]]:
    """Faults of masks that are there and not taken, one per reason, and the images that have not even such a one."""
    found = {stem: one for one in masks.left_out for stem in (_within(one) if one.is_folder else (one.stem,))}
    groups: dict[str, list[LeftOut]] = {}
    for stem in lonely:
        if stem in found:
            groups.setdefault(found[stem].reason, []).append(found[stem])
    faults = []
    for reason, group in groups.items():
        first = group[0]
        remedy = "move them up" if first.is_folder else _MEND.get(reason) or mask_remedy(first.path.suffix)
        message = (
            f"{len(group)} image(s) have a mask that is not taken, such as masks/{first.path.name}: it is {reason}"
        )
        faults.append(Fault("masks/", "mask not taken", message, remedy))
    return faults, [stem for stem in lonely if stem not in found]


def _within(folder: LeftOut) -> set[str]:
    return {path.stem for path in folder.path.rglob("*") if is_picture(path)}
