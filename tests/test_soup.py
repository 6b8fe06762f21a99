"""docs/soup.md names every package that pyproject.toml asks for, with its bound and the version that is tested."""

from __future__ import annotations

import re
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "soup.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(lines: list[str]) -> dict[str, set[str]]:
    """Lower bounds and pins by canonical name, of lines such as `numpy>=1.23`."""
    found: dict[str, set[str]] = {}
    for one in map(Requirement, lines):
        if one.name != PROJECT["name"]:
            named = found.setdefault(canonicalize_name(one.name), set())
            named |= {part.version for part in one.specifier if part.operator in (">=", "==")}
    return found


def test_the_lists_are_those_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    shipped = bounds(
        PROJECT["dependencies"] + [line for name, all_ in extras.items() if name != "dev" for line in all_]
    )
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\| [a-z].*\|$", TEXT, re.M)]
    table = {row[0]: row for row in rows if row[0] != "software"}
    assert table.keys() == shipped.keys()
    assert all(len(row) == 7 and all(row) for row in table.values())
    assert {name: row[3] for name, row in table.items()} == {name: pins.get(name, "-") for name in shipped}
    # A package that two extras ask for has two bounds: the lower is the device's.
    assert {name: row[2] for name, row in table.items() if row[2] not in shipped[name]} == {}


def test_tools_of_development_are_named() -> None:
    named = TEXT.rpartition("In no product:")[2].strip().rstrip(".")
    listed = {canonicalize_name(one.strip()) for one in named.split(",")}
    assert listed == bounds(PROJECT["optional-dependencies"]["dev"]).keys()
