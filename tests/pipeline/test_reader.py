"""Recipes' values: what is taken, what is refused, and what the message says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from edgeseg.pipeline.reader import read_config
from edgeseg.pipeline.recipe.assignment import set_value
from edgeseg.runtime.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 3
    flag: bool = False
    limit: float | None = None
    mode: Literal["a", "b"] = "a"
    inner: Inner = field(default_factory=Inner)
    speeds: dict[str, float] = field(default_factory=dict)


def read(**values: Any) -> Outer:
    return read_config(Outer, {"name": "x"} | values, "")


def test_defaults_and_nested_values() -> None:
    assert read() == Outer("x")
    found = read(inner={"rate": 2, "names": ["a", "b"]}, speeds={"cpu": 3}, limit=1, mode="b")
    assert found == Outer("x", limit=1.0, mode="b", inner=Inner(2.0, ("a", "b")), speeds={"cpu": 3.0})
    assert isinstance(found.inner.rate, float)


def test_numbers_that_yaml_reads_as_text() -> None:
    assert read(inner={"rate": "2e-3"}).inner.rate == 2e-3  # YAML 1.1 wants 2.0e-3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cuont": 1}, "cuont is no known key (value 1); did you mean 'count'?"),
        ({"inner": {"rates": 1}}, "inner.rates is no known key (value 1); did you mean 'rate'?"),
        ({"zzz": 1}, "known are name, count"),
        ({"count": "many"}, "count is 'many' (str), but must be of type int"),
        ({"count": True}, "count is True (bool)"),
        ({"count": 1.5}, "count is 1.5 (float)"),
        ({"count": None}, "count is nothing"),
        ({"flag": 1}, "flag is 1 (int), but must be of type bool"),
        ({"limit": "high"}, "limit is 'high'"),
        ({"mode": "c"}, "mode is 'c'; use one of a, b"),
        ({"inner": 3}, "inner is 3, but must be a section"),
        ({"inner": {"names": "a"}}, "inner.names is 'a', but must be a list"),
        ({"inner": {"names": ["a", 1]}}, "inner.names[1] is 1 (int)"),
        ({"speeds": [1]}, "speeds is [1], but must be a section"),
        ({"speeds": {"cpu": "fast"}}, "speeds.cpu is 'fast'"),
    ],
)
def test_what_does_not_belong_is_refused_with_key_value_and_remedy(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**values)
    assert words in str(caught.value)


def test_a_missing_key() -> None:
    with pytest.raises(ConfigError, match="name is missing"):
        read_config(Outer, {}, "")
    with pytest.raises(ConfigError, match=r"inner\.count is missing"):
        read_config(dataclass(frozen=True)(type("One", (), {"__annotations__": {"count": int}})), {}, "inner")


def test_read_whole_no_default_takes_the_place_of_what_is_not_said() -> None:
    said = dataclasses.asdict(read()) | {"inner": {"rate": 0.5, "names": []}}
    assert read_config(Outer, said, "", whole=True) == read()
    for missing in ("count", "inner"):
        with pytest.raises(ConfigError, match=f"{missing} is missing"):
            read_config(Outer, {key: value for key, value in said.items() if key != missing}, "", whole=True)
    with pytest.raises(ConfigError, match=r"inner\.names is missing"):
        read_config(Outer, said | {"inner": {"rate": 0.5}}, "", whole=True)


def test_set_changes_one_value_and_makes_sections() -> None:
    values: dict[str, Any] = {"inner": {"rate": 1.0}}
    for assignment in ("inner.rate=0.25", "count=7", "flag=true", "limit=null", "new.deep.key=[1, 2]", "name=a=b"):
        set_value(values, assignment)
    assert values == {
        "inner": {"rate": 0.25},
        **{"count": 7, "flag": True, "limit": None, "name": "a=b"},
        "new": {"deep": {"key": [1, 2]}},
    }


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs", "is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("count.more=3", "'count' is a single value and has no keys below it"),
        ("limit=[1, 2", "the value is no YAML"),
    ],
)
def test_set_refuses(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_value({"count": 1}, assignment)
    assert words in str(caught.value) and assignment in str(caught.value)
