"""Reading YAML that people write: names as they are written, no key twice, and the line of every key.

YAML 1.1 reads `2024-01-05` as a date, `007` as seven and `no` as false. Where a name is wanted, a number means
its own text, so numbers keep it; a truth or a null is not taken for a name, since nobody can tell what was meant.
Numbers are those that people write: `010` and `1:30`, to YAML 1.1 eight and ninety, are text, and `1e-3` is a
number, as in YAML 1.2.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Octal with a zero alone in front, and base 60.
_OTHER_BASES = r"[-+]?0[0-7_]*[0-7]|[^:]*:.*"
# An exponent without a point or a sign, which YAML 1.1 does not know.
_EXPONENT = r"[-+]?(\d+|\d*\.\d+)[eE][-+]?\d+$"


class YamlError(ValueError):
    """Text that is no YAML, or has a key twice; the message has the line where that is known."""


class WrittenInt(int):
    """A whole number that knows how it was written."""

    text: str


class WrittenFloat(float):
    """A number that knows how it was written."""

    text: str


@dataclass(frozen=True)
class Document:
    """Decoded YAML.

    Attributes:
        values: Plain values; dates are text, numbers are `WrittenInt` or `WrittenFloat`, keys are text.
        lines: Line, from 1, of every key and list item by its dotted path, such as `train.loss` or `classes[2]`.
    """

    values: Any
    lines: Mapping[str, int]


def read_yaml(text: str) -> Document:
    """Decode a YAML document.

    Raises:
        YamlError: Not YAML, or one key is given twice.
        ImportError: PyYAML is not installed.
    """
    import yaml

    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        lines: dict[str, int] = {}
        if node is not None:
            _note_lines(node, "", lines, frozenset())
        return Document(None if node is None else loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        advice = "put text that holds : # [ ] { } , & * or quotes into quotes, and indent with blanks"
        raise YamlError(f"{where}{error.problem or error.context}; {advice}") from error
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise YamlError("too deeply nested") from error


def as_name(value: object) -> str | None:
    """The text of a string or a number as it was written; None for anything that is no name."""
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, (WrittenInt, WrittenFloat)) else None


def plain(value: Any) -> Any:
    """The same values with numbers that are no more than numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, WrittenInt):
        return int(value)
    return float(value) if isinstance(value, WrittenFloat) else value


def quoting(value: object) -> str:
    """What to do about a value where a name is wanted."""
    if isinstance(value, bool):
        return 'YAML reads no, off, yes, on, false and true as truths: put the name in quotes, such as "no"'
    if value is None:
        return 'it is empty, or null: write a name, in quotes if it is a word that YAML reserves, such as "null"'
    return "write one name, in quotes if it holds signs that YAML reads"


def _note_lines(node: Any, path: str, lines: dict[str, int], above: frozenset[int]) -> None:
    """Notes where keys and items are; `above` has the nodes that this one is in."""
    import yaml

    if id(node) in above:
        raise YamlError(f"line {node.start_mark.line + 1}: what & names holds itself; write its values out")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            place, line = f"{path}.{key.value}" if path else key.value, key.start_mark.line + 1
            if place in lines:
                raise YamlError(f"line {line}: {place} is there twice, first in line {lines[place]}; remove one")
            lines[place] = line
            _note_lines(value, place, lines, above | {id(node)})
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[f"{path}[{index}]"] = item.start_mark.line + 1
            _note_lines(item, f"{path}[{index}]", lines, above | {id(node)})


@functools.cache
def _loader() -> Any:  # a class made here has no name for a type
    """PyYAML's safe loader with names kept as they are written; made when YAML is read, for a device has no PyYAML."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            return {self._key(key): self.construct_object(value, deep=deep) for key, value in node.value}

        def _key(self, node: Any) -> Any:
            return node.value if isinstance(node, yaml.ScalarNode) else str(self.construct_object(node, deep=True))

        def construct_number(self, node: Any) -> Any:
            if re.fullmatch(_OTHER_BASES, node.value):
                return node.value
            whole = node.tag.endswith(":int")
            try:
                value = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
            except ValueError:  # such as 0x_, or more digits than Python converts
                return node.value
            number = WrittenInt(value) if whole else WrittenFloat(value)
            number.text = node.value
            return number

    loader: Any = Loader
    for kind in ("int", "float"):
        loader.add_constructor(f"tag:yaml.org,2002:{kind}", loader.construct_number)
    loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_EXPONENT), list("-+0123456789."))
    for kind in ("timestamp", "value"):  # a date; a lone =
        loader.add_constructor(f"tag:yaml.org,2002:{kind}", loader.construct_yaml_str)
    return loader
