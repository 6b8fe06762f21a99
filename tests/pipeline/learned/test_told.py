"""How warnings are told: the same on a page and on a terminal, whatever the record holds."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, Group

from edgeseg.pipeline.learned.told import told, warning_lines, warnings_box

GRAVE = {"kind": "no_skill", "step": "teacher", "message": "it has learned nothing", "remedy": "look at the data"}
FLAT = {"kind": "never_moved", "step": "teacher", "message": "val Dice stayed at 0.000", "remedy": "another rate"}
OF_DATA = {"kind": "val_too_small", "step": None, "message": "val has 3 images", "remedy": "give more"}


def printed(record: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=200).print(Group(*warning_lines(record)))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_one_network_is_one_entry() -> None:
    assert printed({"warnings": [GRAVE, OF_DATA, FLAT]}) == [
        "",
        "warning: teacher: it has learned nothing; val Dice stayed at 0.000",
        "         Look at the data. Another rate.",
        "warning: val has 3 images",
        "         Give more.",
    ]
    page = warnings_box([GRAVE, OF_DATA, FLAT])
    assert page.count("<li>") == 2 and "Do not use this as it is" in page and 'class="verdict bad"' in page


def test_folds_are_told_apart() -> None:
    lines = printed({"warnings": [GRAVE | {"fold": 0}, GRAVE | {"fold": 2}, OF_DATA | {"fold": 1}]})
    assert [line for line in lines if line.startswith("warning")] == [
        "warning: fold 0: teacher: it has learned nothing",
        "warning: fold 2: teacher: it has learned nothing",
        "warning: fold 1: val has 3 images",
    ]


@pytest.mark.parametrize("record", [{}, {"warnings": None}, {"warnings": []}, {"warnings": [None, 3, {}]}])
def test_a_record_without_any_prints_nothing(record: dict[str, Any]) -> None:
    assert warning_lines(record) == [] and warnings_box(record.get("warnings")) == ""
    assert told(record.get("warnings")) == []


def test_a_name_with_markup_is_text() -> None:
    evil = GRAVE | {"message": "<b>[red]x[/red]", "remedy": ""}
    assert "&lt;b&gt;[red]" in warnings_box([evil]) and "<b>[red]x[/red]" in printed({"warnings": [evil]})[1]
