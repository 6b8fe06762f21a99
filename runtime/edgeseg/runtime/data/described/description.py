"""dataset.yaml as text: found, decoded, held against the keys there are; names as they are written."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.runtime.data.described.foreign import recognise, seen_in
from edgeseg.runtime.data.described.yamltext import Document, YamlError, as_name, plain, quoting, read_yaml
from edgeseg.runtime.faults import Fault, FaultError, bad_description
from edgeseg.runtime.text.shell import command
from edgeseg.runtime.text.textfile import read_text

_NEEDED = ("classes", "color")
_REMOVE = ("remove it", "if this is a file of another kind, move it away and run `edgeseg init` on the folder")
_NEAR_NAMES = ("dataset.yaml", "dataset.yml", "dataset.yaml.txt", "dataset.json", "data.yml", "data.yaml")
# What others call the keys, where that is not merely another spelling.
_OTHER_KEYS = {
    **dict.fromkeys(("names", "labels", "class_names", "categories", "label_names"), "classes"),
    **dict.fromkeys(("mode", "color_mode", "channels", "colorspace"), "color"),
    **dict.fromkeys(("void", "ignore_label", "ignore_index", "void_label"), "ignore"),
    **dict.fromkeys(("spacing", "mm_per_pixel", "pixel_size", "pixel_spacing", "resolution"), "pixel_mm"),
}


def read_fields(path: Path, known: tuple[str, ...]) -> tuple[dict[str, Any], Mapping[str, int]]:
    """Read the file.

    Args:
        path: dataset.yaml.
        known: Every key it may have.

    Returns:
        Its values, with `name`, `licence` and the items of `classes` as text, and the line of each key.

    Raises:
        DataError: The file or PyYAML is missing, it is no YAML, another tool's, or has unknown or missing keys.
    """
    document = _document(path)
    if not isinstance(document.values, dict):
        raise bad_description(path, "holds no keys", "write at least name, classes and color")
    _check_keys(document, known, path)
    fields: dict[str, Any] = plain(document.values)
    names: dict[str, object] = {key: document.values[key] for key in ("name", "licence") if key in fields}
    if isinstance(fields["classes"], list):
        names |= {f"classes[{index}]": value for index, value in enumerate(document.values["classes"])}
    if names.get("licence", "") is None:
        del names["licence"]
    texts = _names(names, document.lines, path)
    fields |= {key: texts[key] for key in ("name", "licence") if key in texts}
    if isinstance(fields["classes"], list):
        fields["classes"] = [text for key, text in texts.items() if key.startswith("classes")]
    return fields, document.lines


def located(error: FaultError, lines: Mapping[str, int]) -> FaultError:
    """The same fault with the line of the first key that its message names."""
    fault = error.fault
    key = next((word for word in re.findall(r"\w+", fault.message) if word in lines), None)
    message = fault.message if key is None else f"line {lines[key]}: {fault.message}"
    return FaultError(Fault(fault.file, fault.kind, message, fault.remedy))


def no_list(classes: object, path: Path) -> FaultError:
    """The fault of a key classes that is no list, with the list that was probably meant."""
    meant = "background, ..."
    if isinstance(classes, dict):
        by_id = {str(key): name for key, name in classes.items()}
        if not by_id.keys() - {str(k) for k in range(len(by_id))}:
            meant = ", ".join(str(by_id[str(k)]) for k in range(len(by_id)))
        return bad_description(path, f"classes is a section: {classes!r}", f"write a list of names by id: [{meant}]")
    if isinstance(classes, str) and "," in classes:
        meant = classes.strip("[]() ")
    return bad_description(path, f"classes is no list: {classes!r}", f"write a list of names by id: [{meant}]")


def _document(path: Path) -> Document:
    if not path.is_file():
        raise _occupied(path) if os.path.lexists(path) else _missing(path)
    try:
        return read_yaml(read_text(path))
    except ImportError as error:
        remedy = "`pip install pyyaml`, or give classes and color, as a bundle does"
        raise bad_description(path, "PyYAML is needed to read it and is not installed", remedy) from error
    except OSError as error:
        raise bad_description(path, f"cannot be read ({error.strerror})", "check its rights and the disk") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"not valid YAML (line {line} is not UTF-8 text: {error.reason})"
        raise bad_description(path, found, "save it as UTF-8") from error
    except YamlError as error:
        raise bad_description(path, f"not valid YAML ({error})", "correct it") from error


def _occupied(path: Path) -> FaultError:
    found = "is a folder" if path.is_dir() else "is a link that leads nowhere" if path.is_symlink() else "is no file"
    return bad_description(path, found, "rename or remove it; `edgeseg init` on the folder then writes one")


def _missing(path: Path) -> FaultError:
    root = path.parent
    remedy = f"`{command('edgeseg', 'init', root)}` writes one after looking at the images"
    if not root.is_dir():
        return bad_description(path, "no such file", remedy)
    other = seen_in(root)
    if other is not None:
        name, what, how = other
        return bad_description(path, f"no such file, but {name}, which is {what}", how)
    near = [one.name for one in sorted(root.iterdir()) if one.name.strip().casefold() in _NEAR_NAMES and one.is_file()]
    if near:
        return bad_description(path, f"no such file, but {near[0]}", f"rename it to {path.name}")
    return bad_description(path, "no such file", remedy)


def _check_keys(document: Document, known: tuple[str, ...], path: Path) -> None:
    keys = list(document.values)
    unknown = [key for key in keys if key not in known]
    missing = [key for key in _NEEDED if key not in keys]
    tool = recognise(keys, path.parent) if unknown else None
    if tool is not None:
        what, remedy = tool
        raise bad_description(
            path, f"this is {what}, not a description of edgeseg (its keys: {', '.join(keys[:8])})", remedy
        )
    if len(unknown) == 1:
        near = _near(unknown[0], known)
        line = document.lines.get(unknown[0])
        found = f"{f'line {line}: ' if line else ''}unknown key {unknown[0]!r}"
        lacking = f", and no {' and '.join(missing)}" * (missing == list(_NEEDED))
        raise bad_description(path, found + lacking, f"did you mean {near}?" if near else _REMOVE[bool(lacking)])
    if unknown:
        raise bad_description(
            path, f"unknown keys {_listed(unknown, known, document)}", f"known are {', '.join(known)}"
        )
    if missing:
        what = f"key {missing[0]} is" if len(missing) == 1 else f"keys {' and '.join(missing)} are"
        raise bad_description(path, f"the {what} missing", "add it" if len(missing) == 1 else "add them")


def _near(key: str, known: tuple[str, ...]) -> str | None:
    plain_key = key.strip().casefold().replace("-", "_")
    close = difflib.get_close_matches(plain_key, known, n=1)
    return _OTHER_KEYS.get(plain_key) or (close[0] if close else None)


def _listed(unknown: list[str], known: tuple[str, ...], document: Document) -> str:
    words = []
    for key in unknown:
        near = _near(key, known)
        line = f"line {document.lines[key]}" if key in document.lines else ""
        about = ", ".join(part for part in (line, f"did you mean {near}?" if near else "") if part)
        words.append(f"{key!r} ({about})" if about else repr(key))
    return ", ".join(words)


def _names(values: Mapping[str, object], lines: Mapping[str, int], path: Path) -> dict[str, str]:
    """Values that are names, by their place, as they are written; what is no name is told of all of them at once."""
    texts = {place: as_name(value) for place, value in values.items()}
    wrong = {place: values[place] for place, text in texts.items() if text is None or not text.strip()}
    if wrong:
        first = next(iter(wrong))
        told = ", ".join(f"{place} is {_written(value)}" for place, value in wrong.items())
        message = f"line {lines[first]}: {told}, which is no name"
        raise bad_description(path, message, "; ".join(dict.fromkeys(map(quoting, wrong.values()))))
    return {place: text for place, text in texts.items() if text is not None}


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value is None or value == "" else repr(value)
