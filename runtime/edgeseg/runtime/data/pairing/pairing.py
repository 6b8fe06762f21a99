"""Why images and masks do not pair: the one rule that would make most of their names equal.

Names are never guessed at when data are opened; the rule is told, with an example, and the user renames.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from edgeseg.runtime.text.names import folded

# So many images are held against all masks to find a rule; then it is applied to all.
_TRIED = 16
# What the names of a single pair must share, where one is not a part of the other, or any two would be a pair.
_LEAST_SHARED = 3

_SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in the form of Unicode (as macOS and Linux write them)", lambda stem: unicodedata.normalize("NFC", stem)),
    ("in blanks", lambda stem: "".join(unicodedata.normalize("NFKC", stem).split())),
    ("in capitals", folded),
    ("in leading zeros", lambda stem: re.sub(r"(?<!\d)0+(?=\d)", "", stem)),
    ("in how they are spelled", lambda stem: re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", stem)).casefold()),
)


@dataclass(frozen=True)
class Rule:
    """How names of masks differ from those of their images.

    Attributes:
        pairs: Image stem to mask stem, for all that the rule pairs.
        differ: The difference in words, after "the names differ".
        remedy: What to rename.
    """

    pairs: Mapping[str, str]
    differ: str
    remedy: str


def find_rule(images: Collection[str], masks: Collection[str], called: str = "masks", place: str = "") -> Rule | None:
    """Find the rule that pairs most.

    Args:
        images: Stems of images without a mask, or without a row of meta.csv.
        masks: Stems of masks, or of rows, without an image.
        called: What `masks` are called in words.
        place: Where they are.

    Returns:
        The rule, or None where names have nothing in common.
    """
    place = place or f"{called}/"
    found = [_spelled(plain, images, masks) for _, plain in _SPELLINGS]
    rules = [
        Rule(pairs, differ, f"give each in {place} exactly its image's name")
        for pairs, (differ, _) in zip(found, _SPELLINGS, strict=True)
        if pairs
    ]
    replaced = _replaced(images, masks)
    rules += [] if replaced is None else [_told(*replaced, called, place)]
    return max(rules, key=lambda rule: len(rule.pairs), default=None)  # of equal ones the first, which is the narrower


def _spelled(plain: Callable[[str], str], images: Collection[str], masks: Collection[str]) -> dict[str, str]:
    """Pairs that are equal once their spelling is."""
    by_plain: dict[str, str | None] = {}
    for mask in masks:
        by_plain[plain(mask)] = None if plain(mask) in by_plain else mask  # two that become one are no pair
    return {image: found for image in images if (found := by_plain.get(plain(image))) is not None}


def _replaced(images: Collection[str], masks: Collection[str]) -> tuple[dict[str, str], str, str] | None:
    """The replacement of one part of the name by another, or by nothing, that pairs most."""
    tried = sorted(images)[:: max(1, len(images) // _TRIED)][:_TRIED]
    counts = Counter(change for image in tried for change in {_change(image, mask) for mask in masks})
    counts.pop(None, None)
    best: dict[str, str] = {}
    change = ("", "")
    known = set(masks)
    for candidate, _ in counts.most_common(8):
        if candidate is None:
            continue
        pairs = _apply(candidate, images, known)
        if len(pairs) > len(best):
            best, change = pairs, candidate
    if not best or (len(best) == 1 and (len(images) > 1 or _shared(*next(iter(best.items()))) < _LEAST_SHARED)):
        return None
    return best, *change


def _shared(image: str, mask: str) -> int:
    if image in mask or mask in image:
        return _LEAST_SHARED
    return len(image) - len(_parted(image, mask)[0])


def _change(image: str, mask: str) -> tuple[str, str] | None:
    """The part of an image's name and what stands for it in the mask's; None where they are no likely pair."""
    if image and image in mask:
        before, _, after = mask.partition(image)
        own, other = "", f"{before}\0{after}"
    elif mask and mask in image:
        before, _, after = image.partition(mask)
        own, other = f"{before}\0{after}", ""
    else:
        own, other = _parted(image, mask)
        if len(own) == len(image):
            return None
    # Of numbers, one off by one or one that begins another is no pair: a part that is replaced has a letter or a sign.
    plain = (own.replace("\0", ""), other.replace("\0", ""))
    return None if any(part.isdigit() for part in plain) else (own, other)


def _parted(image: str, mask: str) -> tuple[str, str]:
    """What is left of two names without the beginning and the end that they share."""
    start = _alike(image, mask)
    end = _alike(image[start:][::-1], mask[start:][::-1])
    return image[start : len(image) - end], mask[start : len(mask) - end]


def _alike(one: str, other: str) -> int:
    """How many signs two names have in common at their beginning."""
    shortest = min(len(one), len(other))
    return next((k for k in range(shortest) if one[k] != other[k]), shortest)


def _apply(change: tuple[str, str], images: Collection[str], masks: set[str]) -> dict[str, str]:
    own, other = change
    pairs: dict[str, str] = {}
    for image in images:
        if not own:  # something is around the mask's name
            wanted = [other.replace("\0", image)]
        elif not other:
            before, _, after = own.partition("\0")
            fits = image.startswith(before) and image.endswith(after) and len(image) > len(before) + len(after)
            wanted = [image[len(before) : len(image) - len(after)]] if fits else []
        else:
            wanted = [image[: m.start()] + other + image[m.end() :] for m in re.finditer(re.escape(own), image)]
        pairs.update((image, mask) for mask in wanted if mask in masks)
    return pairs


def _told(pairs: Mapping[str, str], own: str, other: str, called: str, place: str) -> Rule:
    parts = " and ".join(repr(side) for side in (own or other).split("\0") if side)
    if not own:
        return Rule(pairs, f"by {parts}, which the {called} have more", f"take {parts} out of the names in {place}")
    if not other:
        remedy = f"add {parts} to the names in {place}, or take it out of those in images/ and everywhere else"
        return Rule(pairs, f"by {parts}, which the images have more", remedy)
    return Rule(pairs, f"by {own!r}, for which the {called} have {other!r}", f"write {own!r} for {other!r} in {place}")
