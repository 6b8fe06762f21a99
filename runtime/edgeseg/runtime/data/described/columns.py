"""Columns of meta.csv that nothing reads, and those of them whose values lie in several splits: perhaps a patient."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from edgeseg.runtime.data.described.metafile import KNOWN, near_known
from edgeseg.runtime.faults import Fault

# Patterns are texts here: they are compiled when first needed, not whenever a device starts.
# What images are taken of, or with, many at a time: by any of these names a column is probably a group.
_GROUP_WORD = (
    "(patient|subject|person|participant|volunteer|donor|animal|mouse|case|exam|examination|study|series|serie|scan|"
    "visit|session|acquisition|slide|biopsy|volume|stack|sequence|video|clip|recording|movie|track|scene|part|piece|"
    "component|workpiece|sample|specimen|coupon|wafer|panel|board|lot|batch|charge|serial|barcode|roll|coil|parent|"
    "original|mrn|pid|pat|patient[a-z]*|pa[cz]iente|proband[a-z]*|sujet[a-z]*|bauteil|werkstück|fall|los|患者|病人|病例|"
    "被験者)s?(id|ids|no|nr|num|number|name|code|key|uid|index|idx)?"
)
# Numbers under these names are measures, however they are spread.
_MEASURE_WORD = "(height|width|size|area|length|depth|channels?|px|mm|um|age|year|share|frac|fraction|ratio|count)"
_WORDS = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+"
_UNKNOWN = frozenset(("", "-", "?", "na", "n/a", "nan", "none", "null", "unknown", "unbekannt"))
# A category (a camera, a kind of defect) has few values with many images each, an identifier many with few.
_LEAST_VALUES, _MOST_IMAGES_A_VALUE = 6, 20


@dataclass(frozen=True)
class Column:
    """A column of meta.csv that no part of edgeseg reads by itself; scores can be given by it.

    Attributes:
        name: As in the header.
        n_values: Different values.
        n_crossing: Values whose images are in more than one split, or, without a split, in more than one group.
        example: One of these values, the one with most images; empty where there is none.
        like_group: Whether name or contents are those of something that must not be parted.
    """

    name: str
    n_values: int
    n_crossing: int
    example: str
    like_group: bool


def unused_columns(columns: tuple[str, ...], rows: Mapping[str, Mapping[str, str]]) -> tuple[Column, ...]:
    """Look at every column but stem, split and group."""
    return tuple(_look_at(name, "split" in columns, rows) for name in columns if name not in KNOWN)


def column_warnings(columns: tuple[str, ...], rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """Warnings of columns that are probably a group, or meant to be a known one, and of groups told apart by case."""
    warnings = [
        _parted(column, "split" in columns, "group" in columns)
        for column in unused_columns(columns, rows)
        if column.like_group and column.n_crossing
    ]
    for name in columns:
        near = None if name in KNOWN else near_known(name)
        if near is not None and near not in columns:
            message = f"the column {name} is not read; {near} is what a column must be called for that"
            warnings.append(_warning("column not read", message, f"rename {name} to {near}, if that is what it is"))
    return [*warnings, *_groups_alike(rows), *_groups_unknown(rows)]


def group_faults(rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """Groups that the column split parts."""
    seen: dict[str, set[str]] = {}
    for row in rows.values():
        if row.get("group"):
            seen.setdefault(row["group"], set()).add(row["split"])
    remedy = "put all its images into one split, or remove the column split to have one made"
    unknown = f"leave the field empty if it means that the group is not known; else {remedy}"
    return [
        Fault(
            "meta.csv",
            "group across splits",
            f"the group {group} is in {', '.join(sorted(splits))}",
            unknown if group.casefold() in _UNKNOWN else remedy,
        )
        for group, splits in seen.items()
        if len(splits) > 1
    ]


def _look_at(name: str, has_split: bool, rows: Mapping[str, Mapping[str, str]]) -> Column:
    where: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for stem, row in rows.items():
        value = row[name]
        if value.casefold() not in _UNKNOWN:
            where.setdefault(value, set()).add(row["split"] if has_split else row.get("group") or stem)
            counts[value] += 1
    crossing = [value for value, _ in counts.most_common() if len(where[value]) > 1]
    like_group = _named_like_group(name)
    if not like_group and not any(re.fullmatch(_MEASURE_WORD, word) for word in _words(name)):
        like_group = _filled_like_group([rows[stem][name] for stem in sorted(rows)], counts)
    return Column(name, len(counts), len(crossing), crossing[0] if crossing else "", like_group)


def _named_like_group(name: str) -> bool:
    return any(re.fullmatch(_GROUP_WORD, word) for word in (*_words(name), name.casefold()))


def _words(name: str) -> list[str]:
    return [word.casefold() for word in re.findall(_WORDS, name)] or [name.casefold()]


def _filled_like_group(values: list[str], counts: Counter[str]) -> bool:
    """Whether repeated values are many and small, and no measure; values in the order of stems."""
    n_values, n_rows = len(counts), sum(counts.values())
    if n_values < _LEAST_VALUES or n_values == n_rows or n_rows / n_values > _MOST_IMAGES_A_VALUE:
        return False
    if not all(_is_number(value) for value in counts):
        return True
    # Numbers: a measure repeats all over the data set, an identifier's images follow each other.
    changes = 1 + sum(one != other for one, other in itertools.pairwise(values))
    return all(value.isdigit() for value in counts) and n_rows / n_values >= 1.5 and changes <= 1.2 * n_values


def _is_number(value: str) -> bool:
    try:
        float(value.replace(",", "."))
    except ValueError:
        return False
    return True


def _parted(column: Column, has_split: bool, has_group: bool) -> Fault:
    what = f"{column.n_crossing} of the {column.n_values} values of the column {column.name}, such as {column.example},"
    if has_split:
        message = f"{what} have images in more than one split; the column is not read"
        remedy = "remove the column split to have one made that parts no group, or put each value into one split"
    else:
        message = f"{what} may be parted by the split that is made; the column is not read"
        remedy = "then no split parts its values"
    first = "put it into the column group" if has_group else f"rename {column.name} to group"
    remedy = f"if it names a patient, part or series, {first}" + (f" and {remedy}" if has_split else f": {remedy}")
    return _warning("column across splits", message, remedy)


def _groups_alike(rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """Groups whose names a person would read as one."""
    by_plain: dict[str, set[str]] = {}
    for group in {row.get("group", "") for row in rows.values()}:
        by_plain.setdefault(_plain_group(group), set()).add(group)
    return [
        _warning("groups alike", f"{' and '.join(sorted(names))} are taken as different groups", "write them alike")
        for names in by_plain.values()
        if len(names) > 1
    ]


def _plain_group(group: str) -> str:
    """Without what spreadsheets and people vary: capitals, blanks, the form of Unicode, zeros around a number."""
    plain = re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", group).casefold())
    plain = re.sub(r"(?<![\d.])(\d+)\.0+$", r"\1", plain)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", plain)


def _groups_unknown(rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    """Words for an unknown group, which make one group of all who have them, and rows without a group."""
    groups = Counter(row.get("group", "") for row in rows.values())
    found = [
        _warning(
            "unknown group",
            f"{count} images are taken as one group called {group}",
            "leave the field empty where the group is not known: such an image is a group of its own",
        )
        for group, count in groups.items()
        if group and group.casefold() in _UNKNOWN and count > 1
    ]
    if groups[""] and len(groups) > 1:
        message = f"{groups['']} of the {len(rows)} images have no group and are taken as groups of their own"
        remedy = "fill the column in every row (a spreadsheet writes merged cells once), if they belong to one"
        found.append(_warning("no group", message, remedy))
    return found


def _warning(kind: str, message: str, remedy: str) -> Fault:
    return Fault("meta.csv", kind, message, remedy, "warning")
