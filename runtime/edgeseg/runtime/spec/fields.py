"""Reading JSON objects strictly: every field typed, every unknown key an error that names the nearest valid one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.text.textfile import decoded

T = TypeVar("T")

_LARGEST = 10**300  # of whole numbers that become floats: those have an end
# What a JSON value is called in a message.
_NAMES: dict[type, str] = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


class Fields:
    """One JSON object being read: hands out typed fields and refuses what nobody asked for.

    Args:
        value: The decoded JSON value; anything but an object is refused.
        where: Path of this object for messages, e.g. `variants[0].input`.
        known: Every key the object may have.
    """

    def __init__(self, value: object, where: str, known: Iterable[str]) -> None:
        if not isinstance(value, Mapping):
            raise ManifestError(f"{where}: expected a JSON object, found {show(value)}. Write it as {{...}}.")
        self.where = where
        self._value: Mapping[str, Any] = value
        names = tuple(known)
        unknown = [key for key in value if key not in names]
        if len(unknown) == 1:
            raise ManifestError(f"{where}: unknown key {unknown[0]!r}. {nearest(str(unknown[0]), names)}")
        if unknown:
            listed = " ".join(f"{key!r}: {nearest(str(key), names)}" for key in unknown[:8])
            raise ManifestError(f"{where}: {len(unknown)} unknown keys. {listed}")

    def has(self, key: str) -> bool:
        """Whether `key` is present."""
        return key in self._value

    def raw(self, key: str) -> object:
        """Return the value of a required key as it is."""
        if key not in self._value:
            raise ManifestError(f"{self.where}: the key {key!r} is missing. Add it, or write the file again.")
        return self._value[key]

    def typed(self, key: str, kind: type[T]) -> T:
        """Return a required value of exactly this JSON type; whole numbers are accepted as floats."""
        return self._check(key, self.raw(key), kind)

    def optional(self, key: str, kind: type[T]) -> T | None:
        """Return the value, or None where the key is absent or null."""
        value = self._value.get(key)
        return None if value is None else self._check(key, value, kind)

    def default(self, key: str, kind: type[T], default: T) -> T:
        """Return the value, or `default` where the key is absent."""
        return self._check(key, self._value[key], kind) if key in self._value else default

    def sequence(self, key: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
        """Return a required JSON array, each element read by `read(value, where)`."""
        value = self.raw(key)
        if not isinstance(value, (list, tuple)):
            raise ManifestError(f"{self.where}.{key}: expected a list, found {show(value)}. Write it as [...].")
        return tuple(read(item, f"{self.where}.{key}[{i}]") for i, item in enumerate(value))

    def _check(self, key: str, value: object, kind: type[T]) -> T:
        if kind is float and type(value) is int and abs(value) <= _LARGEST:
            return float(value)  # type: ignore[return-value]
        # bool is a subclass of int, so isinstance would let `true` pass as 1.
        if type(value) is not kind:
            expected = _NAMES.get(kind, kind.__name__)
            raise ManifestError(f"{self.where}.{key}: expected {expected}, found {show(value)}. Correct this value.")
        return value


def one_of(value: object, choices: tuple[str, ...], where: str) -> None:
    """Refuse a value outside `choices`.

    Raises:
        ManifestError: Naming the value, the choices and the nearest of them.
    """
    if value not in choices:
        raise ManifestError(
            f"{where}: {show(value)} is not one of {', '.join(choices)}. {nearest(str(value), choices)}"
        )


def text(value: object, where: str) -> str:
    """Return `value` if it is a string; an element reader for `Fields.sequence`."""
    if not isinstance(value, str):
        raise ManifestError(f"{where}: expected a string, found {show(value)}. Correct this value.")
    return value


def whole(value: object, where: str, low: int, high: int, *, required: bool = True) -> None:
    """Refuse anything but a whole number in low..high; None passes where it is not required.

    Raises:
        ManifestError: Naming the value and the range.
    """
    if value is None and not required:
        return
    if type(value) is not int or not low <= value <= high:
        raise ManifestError(f"{where}: expected a whole number in {low}..{high}, found {show(value)}. Correct it.")


def read_json_object(data: bytes | str, where: str) -> Mapping[str, Any]:
    """Decode JSON that must be an object; an editor may have put a byte-order mark in front.

    Raises:
        ManifestError: If it is not UTF-8, not JSON or not an object.
    """
    try:
        text = decoded(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")
        value = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as err:
        raise ManifestError(f"{where}: not valid JSON ({err}). Write the file again.") from err
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: expected a JSON object, found {show(value)}. Write the file again.")
    return value


def _no_constant(word: str) -> None:
    """NaN and the infinities are words of Python's, not of JSON."""
    raise ValueError(f"{word} is no number of JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two, readers disagree about which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin!r} twice in one object")
    return found


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a sentence that names the choice most like `word`, or all of them."""
    from difflib import get_close_matches

    names = sorted(choices)
    close = get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Valid: {', '.join(names)}."


def show(value: object, limit: int = 60) -> str:
    """Return a short repr for messages."""
    shown = repr(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
