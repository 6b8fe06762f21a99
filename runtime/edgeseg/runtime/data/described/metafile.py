"""meta.csv as spreadsheets and people write it: any delimiter, any case of the known columns, blanks around values."""

from __future__ import annotations

import csv
import difflib
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.faults import Fault
from edgeseg.runtime.text.textfile import read_text

KNOWN = ("stem", "split", "group")
# What others call them.
_OTHER_NAMES = {
    "stem": ("file", "filename", "file_name", "image", "image_id", "img", "name", "id", "path", "key", "stems"),
    "split": (
        "splits",
        "set",
        "subset",
        "partition",
        "fold",
        "phase",
        "usage",
        "dataset",
        "split_set",
        "is_train",
        "train",
        "is_test",
        "is_val",
    ),
    "group": ("groups", "group_id", "groupid", "grp", "group_name"),
}
_OTHER_SPLITS = {
    "train": ("training", "trn", "tr", "trainset", "train_set"),
    "val": ("valid", "validation", "dev", "eval", "validate", "validating"),
    "test": ("testing", "tst", "testset", "test_set", "holdout"),
}
_SPLIT_OF = {word: name for name, words in _OTHER_SPLITS.items() for word in words}
# Blanks that `str.strip` leaves: zero-width ones, as copied from web pages.
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"


@dataclass(frozen=True)
class Meta:
    """The table.

    Attributes:
        columns: Its header without `stem`; the known columns in lower case, others as they are written.
        rows: Stem to its row, without the stem; values without blanks around them, known splits in lower case.
        faults: What keeps it from being used.
    """

    columns: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def read_meta(path: Path, *, as_bytes: bool = False) -> Meta:
    """Read meta.csv; where there is none, the table is empty.

    Args:
        path: The file.
        as_bytes: Whether it may hold names that are no UTF-8, because files have such names.
    """
    if not path.exists() and not path.is_symlink():  # a link to nothing is a table that is lost
        return Meta()
    try:
        return _table(read_text(path))
    except UnicodeDecodeError as error:
        if as_bytes and b"\0" not in error.object:
            return _table(path.read_bytes().decode("utf-8", "surrogateescape"))
        line = error.object[: error.start].count(b"\n") + 1
        return _refused("unreadable", f"line {line} is not UTF-8 text ({error.reason})", "save it as CSV in UTF-8")
    except OSError as error:
        return _refused("unreadable", f"cannot be read ({error.strerror})", "make it a file that can be read")
    except csv.Error as error:
        return _refused("unreadable", f"not a table ({error})", "save it as CSV in UTF-8")


def _table(text: str) -> Meta:
    lines, header = _parsed(text)
    folded = [name.casefold() for name in header]
    if "stem" not in folded or len(set(folded)) != len(folded) or "" in folded:
        return _bad_header(header)
    names = [plain if plain in KNOWN else name for name, plain in zip(header, folded, strict=True)]
    faults: list[Fault] = []
    rows: dict[str, dict[str, str]] = {}
    for number, values in lines:
        if len(values) != len(names):
            faults.append(_fault("bad row", f"line {number} has not {len(names)} fields", "fix it"))
            continue
        row = dict(zip(names, values, strict=True))
        stem = row.pop("stem")
        if row.get("split", "").casefold() in SPLITS:
            row["split"] = row["split"].casefold()
        if stem in rows:
            faults.append(_fault("duplicate stem", f"{stem} has two rows, one in line {number}", "remove one"))
        rows[stem] = row
    columns = tuple(name for name in names if name != "stem")
    return Meta(columns, rows, (*faults, *_split_faults(columns, rows)))


def _parsed(text: str) -> tuple[Iterator[tuple[int, list[str]]], list[str]]:
    """The rows below the header with their line numbers, and the header; all without blanks around values."""
    first, _, rest = text.partition("\n")
    given = first.rstrip("\r").casefold()
    if given.startswith("sep=") and len(given) == 5:  # what Excel writes for itself
        text, delimiter = rest, given[4]
    else:
        delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = ((reader.line_num, [_bare(value) for value in row]) for row in reader)
    filled = ((number, row) for number, row in rows if any(row))  # spreadsheets leave rows of delimiters behind
    header = next(filled, (0, []))[1]
    width = max((index for index, name in enumerate(header, 1) if name), default=0)
    return ((number, _cut(row, width)) for number, row in filled), header[:width]


def _delimiter(text: str) -> str:
    """The delimiter that finds a column stem in the header, else the most frequent one."""
    line = next((line for line in text.splitlines() if line.strip()), "")

    def fitness(delimiter: str) -> tuple[bool, int]:
        header = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        return "stem" in [_bare(name).casefold() for name in header], len(header)

    return max((",", ";", "\t", "|"), key=fitness)


def _cut(row: list[str], width: int) -> list[str]:
    """A row without the empty fields that it has more than the header."""
    return row[:width] if not any(row[width:]) else row


def _bare(value: str) -> str:
    return value.strip().strip(_INVISIBLE).strip()


def _bad_header(header: list[str]) -> Meta:
    message = f"the header is {', '.join(header) or 'empty'}"
    folded = [name.casefold() for name in header]
    twice = sorted({name for name in folded if folded.count(name) > 1})
    if twice:
        message += f"; {' and '.join(twice)} is there twice (capitals and blanks around a name do not count)"
    elif "" in folded:
        message += "; one column has no name"
    remedy = "name the columns, each once, with one called stem"
    if folded[:1] == [""] and "stem" in folded:
        remedy += " (the first may be an index that a program put there: pandas leaves it out with index=False)"
    likely = [name for name in header if name.casefold() in _OTHER_NAMES["stem"]]
    if "stem" not in folded and likely:
        remedy += f" (file names without suffix); perhaps {likely[0]!r} is it"
    return _refused("bad header", message, remedy)


def _split_faults(columns: tuple[str, ...], rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    if "split" in columns:
        return [_unknown_split(stem, row["split"]) for stem, row in rows.items() if row["split"] not in SPLITS]
    return [
        _fault(
            "split under another name",
            f"the column {name} holds {', '.join(sorted(values))}, but a split is read from a column split alone",
            f"rename {name} to split; where it is not to be used, add a column split of your own",
        )
        for name in columns
        if name not in KNOWN and _is_split(values := {row[name] for row in rows.values() if row[name]})
    ]


def _is_split(values: set[str]) -> bool:
    """Whether these are the parts of a split, and nothing else: such as train and valid."""
    plain = {value.casefold() for value in values}
    named = {_SPLIT_OF.get(value, value) for value in plain}
    return "train" in named and len(named) > 1 and named <= set(SPLITS)


def _unknown_split(stem: str, value: str) -> Fault:
    plain = value.casefold()
    near = _SPLIT_OF.get(plain) or next(iter(difflib.get_close_matches(plain, SPLITS, n=1)), None)
    remedy = f"write {', '.join(SPLITS)}" + (f" (here {near})" if near and value else "")
    return _fault("unknown split", f"{stem} has the split {value!r}", remedy)


def near_known(column: str) -> str | None:
    """The known column that another is probably meant to be, by its name; None for one that is like none."""
    folded = unicodedata.normalize("NFKC", column).casefold()
    plain = "_".join(folded.replace("-", " ").replace("_", " ").split())
    for name in ("split", "group"):
        if plain in _OTHER_NAMES[name] or difflib.get_close_matches(plain, (name,), cutoff=0.8):
            return name
    return None


def _refused(kind: str, message: str, remedy: str) -> Meta:
    return Meta(faults=(_fault(kind, message, remedy),))


def _fault(kind: str, message: str, remedy: str) -> Fault:
    return Fault("meta.csv", kind, message, remedy)
