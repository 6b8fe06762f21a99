"""From plain values of YAML or JSON to frozen dataclasses, refusing what does not belong with the nearest valid key."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, Union

from edgeseg.runtime.data.described.yamltext import as_name, plain, quoting
from edgeseg.runtime.errors import ConfigError

T = TypeVar("T")


class UnknownKeysError(ConfigError):
    """Keys that are not known, all of them at once.

    Args:
        sentences: One a key; each begins with its dotted path.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = tuple(sentences)


def read_config(cls: type[T], values: Mapping[str, Any], where: str, *, whole: bool = False) -> T:
    """Build a dataclass from a mapping, nested dataclasses and tuples included.

    Args:
        cls: A dataclass type.
        values: Decoded YAML or JSON.
        where: Dotted path of `values` for messages, "" for the top.
        whole: Whether every field must be there: no default takes the place of what is not said.

    Raises:
        ConfigError: For an unknown key, a missing one or a value of the wrong type, with its dotted path.
    """
    unknown = list(_unknown(cls, values, where))
    if unknown:
        raise UnknownKeysError(unknown)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    built: dict[str, Any] = {}
    for name, field in fields.items():
        if name in values:
            built[name] = _convert(hints[name], values[name], _join(where, name), whole)
        elif whole or (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING):
            raise ConfigError(f"{_join(where, name)} is missing; add it")
    return cls(**built)


def _unknown(cls: type, values: Mapping[str, Any], where: str) -> Iterator[str]:
    """A sentence for every key that a dataclass, or one within it, does not have."""
    hints = typing.get_type_hints(cls)
    for key, value in values.items():
        if key not in hints:
            yield f"{_join(where, str(key))} is no known key (value {plain(value)!r}){_nearest(key, hints)}"
        elif isinstance(value, Mapping):
            section = next((one for one in (hints[key], *typing.get_args(hints[key])) if isinstance(one, type)), None)
            if section is not None and dataclasses.is_dataclass(section):
                yield from _unknown(section, value, _join(where, str(key)))


def _convert(hint: Any, value: Any, where: str, whole: bool) -> Any:  # noqa: PLR0911 - one return a kind of type
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(argument for argument in arguments if argument is not type(None)), value, where, whole)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {plain(value)!r}, but must be a section with keys")
        return read_config(typing.cast(type, hint), value, where, whole=whole)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(f"{where} is {plain(value)!r}; use one of {', '.join(map(str, arguments))}")
        return plain(value)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is {plain(value)!r}, but must be a list such as [1, 2]")
        return tuple(_convert(arguments[0], item, f"{where}[{index}]", whole) for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {plain(value)!r}, but must be a section with keys")
        return {str(key): _convert(arguments[1], item, _join(where, str(key)), whole) for key, item in value.items()}
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is str and (name := as_name(value)) is not None:
        return name
    value = plain(value)
    if hint is float:
        value = _number(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        found = "nothing" if value is None else f"{value!r} ({type(value).__name__})"
        advice = f"; {quoting(value)}" if hint is str and (value is None or isinstance(value, bool)) else ""
        raise ConfigError(f"{where} is {found}, but must be of type {hint.__name__}{advice}")
    return value


def _number(value: Any, where: str) -> Any:
    """A whole number, or text such as 2e-3 that YAML 1.1 does not read as a number, as a float; all else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{where} is {value!r}, but must be a finite number")
    return number


def _nearest(key: str, fields: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(fields)}"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
