"""labelmap.txt as CVAT and Datumaro write it beside Pascal VOC masks: `name:r,g,b:parts:actions`, a line a class."""

from __future__ import annotations

from pathlib import Path

from edgeseg.pipeline.data_import.classes import Colour
from edgeseg.pipeline.data_import.paths import Tree
from edgeseg.pipeline.data_import.source import bad
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.text.textfile import read_text


def find(tree: Tree) -> dict[str, Colour]:
    """Colour by name in the order of the file; empty where there is none.

    Raises:
        DataError: There are several, or a line is written otherwise.
    """
    paths = [path for path in tree.files(".txt") if path.name.casefold() == "labelmap.txt"]
    if len(paths) > 1:
        listed = ", ".join(map(tree.name, paths))
        raise DataError(f"{tree.root}: several label maps ({listed}); import one folder after the other")
    return _read(paths[0]) if paths else {}


def _read(path: Path) -> dict[str, Colour]:
    found: dict[str, Colour] = {}
    try:
        lines = read_text(path).splitlines()
    except UnicodeDecodeError as error:
        raise bad(path, f"byte {error.start}", "not UTF-8 text", "save it as UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rsplit(":", 3)
        values = fields[1].split(",") if len(fields) == 4 else []
        if len(fields) == 4 and not fields[1].strip():
            raise bad(
                path,
                f"line {number}",
                f"{fields[0]} has no colour",
                "write name:r,g,b:: in each line, or give --classes",
            )
        if len(values) != 3 or not all(value.strip().isdigit() and int(value) < 256 for value in values):
            raise bad(path, f"line {number}", f"{line.strip()[:60]!r} is not name:r,g,b:parts:actions", "correct it")
        red, green, blue = (int(value) for value in values)
        if fields[0] in found:
            raise bad(path, f"line {number}", f"{fields[0]} is there twice", "name each class once")
        found[fields[0]] = (red, green, blue)
    return found
