"""JSON that is always valid UTF-8 and gives back what was put in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.files.atomic import write_json, write_text
from edgeseg.runtime.text.jsontext import dumps, json_rows

from .test_names import GBK

ANY = st.text(st.characters(codec=None, exclude_categories=()))


@given(st.text(st.characters(codec="utf-8")), st.booleans())
def test_round_trip(text: str, ascii_only: bool) -> None:
    written = dumps({text: text}, ascii_only=ascii_only)
    assert json.loads(written.encode().decode("ascii" if ascii_only else "utf-8")) == {text: text}


@pytest.mark.parametrize("text", [GBK, f"a{GBK}b", "\ud800", "\udfff", f"检测{GBK}", "\x7f\x9b\u2028"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_lone_surrogates_come_back(text: str, ascii_only: bool) -> None:
    assert json.loads(dumps([text], ascii_only=ascii_only).encode()) == [text]


def test_values_json_has_no_word_for() -> None:
    report = {"a": float("nan"), "b": [float("inf"), (1.5,)], "c": np.float32(0.5), "d": Path("x")}
    assert json.loads(dumps(report)) == {"a": None, "b": [None, [1.5]], "c": 0.5, "d": "x"}
    assert dumps([np.float32("nan"), np.float32("inf"), float("nan")], indent=None) == "[null, null, null]"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_rows(n: int) -> None:
    parts: list[str] = []
    with json_rows(parts.append, {"head": GBK}, lambda reason: {"stopped": reason, "n": n}) as put:
        for k in range(n):
            put({"k": k})
    found = json.loads("".join(parts).encode())
    assert found == {"head": GBK, "images": [{"k": k} for k in range(n)], "stopped": None, "n": n}


def test_rows_are_closed_whatever_ends_them() -> None:
    parts: list[str] = []
    with (
        pytest.raises(KeyboardInterrupt),
        json_rows(parts.append, {}, lambda reason: {"stopped": reason}) as put,
    ):
        put({"k": 0})
        raise KeyboardInterrupt
    assert json.loads("".join(parts)) == {"images": [{"k": 0}], "stopped": "KeyboardInterrupt"}


def test_files_take_such_names(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {GBK: GBK})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {GBK: GBK}
    write_text(tmp_path / "a.html", f"<b>{GBK}</b>\n")
    assert (tmp_path / "a.html").read_text("utf-8") == "<b>\\xbc\\xec\\xb2\\xe2</b>\n"
