"""A recipe file as text: decoded, told from the files of other tools, and where in it a key is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.runtime.data.described.foreign import recognise
from edgeseg.runtime.data.described.yamltext import Document, YamlError, read_yaml
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of
from edgeseg.runtime.files.own_documents import own_document
from edgeseg.runtime.text.shell import command
from edgeseg.runtime.text.textfile import read_text


def read_source(path: Path) -> Document:
    """Decode a recipe file; its keys are not looked at one by one yet.

    Raises:
        ConfigError: It is missing, no YAML, without keys, or describes a data set or another tool's.
    """
    if not path.is_file():
        raise ConfigError(f"recipe {path} does not exist; `edgeseg init DIR` writes one for your own data")
    kind = kind_of(path)
    if kind.key not in ("text", "json", "empty", "utf16", "unknown"):
        remedy = kind.remedy or "name the recipe"
        raise ConfigError(f"recipe {path} is no valid YAML, but {kind.words}; {remedy}")
    try:
        document = read_yaml(read_text(path))
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        found = f"line {line} is not UTF-8 text ({err.reason})"
        raise ConfigError(f"recipe {path} is no valid YAML: {found}; save it as UTF-8") from err
    except YamlError as err:
        raise ConfigError(f"recipe {path} is no valid YAML: {err}") from err
    if not isinstance(document.values, dict):
        found = type(document.values).__name__
        raise ConfigError(f"recipe {path} holds {found}, but must hold keys such as name and data")
    _refuse_others(path, document.values)
    return document


def place(message: str, lines: Mapping[str, int], set_here: Sequence[str]) -> str:
    """Where the key is with which a message begins: a line of the file, or --set; empty where neither is known."""
    found = re.match(r"[\w.-]+(\[\d+\])?", message)
    key = found[0].rstrip(".") if found else ""
    if any(key == one or key.startswith(f"{one}.") for one in set_here):
        return "--set: "
    return f"line {lines[key]}: " if key in lines else ""


def _refuse_others(path: Path, values: Mapping[str, Any]) -> None:
    """Say whose file it is that was given for a recipe."""
    if "geometry" in values:
        return
    here = f"{path} is no recipe"
    if {"classes", "color"} <= values.keys():
        remedy = f"`{command('edgeseg', 'init', path.parent)}` writes a recipe"
        raise ConfigError(f"{here}: it describes a data set; give a recipe. {remedy} for it")
    own = None if values.keys() & {"teacher", "student"} else own_document(values)
    if own is not None:
        raise ConfigError(f"{here}: it is {own}; `edgeseg init DIR` writes one for your own data")
    tool = recognise(values.keys(), path.parent)
    if tool is not None:
        raise ConfigError(f"{here}: it is {tool[0]} (its keys: {', '.join(list(values)[:8])}); {tool[1]}")
