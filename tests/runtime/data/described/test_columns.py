"""Columns that nothing reads: which of them are warned of, and which are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.data.check import examine
from edgeseg.runtime.data.described.columns import column_warnings, unused_columns

from ...data_folders import write_folder

SPLITS = ("train", "train", "val", "test")


def rows_of(values: list[str], name: str = "c", split: bool = True, group: str = "") -> dict[str, dict[str, str]]:
    rows = {}
    for i, value in enumerate(values):
        rows[f"{i:03d}"] = (
            {name: value} | ({"split": SPLITS[i % 4]} if split else {}) | ({"group": group} if group else {})
        )
    return rows


def warned(values: list[str], name: str = "c", split: bool = True) -> list[str]:
    columns = (name, "split") if split else (name,)
    return [fault.message for fault in column_warnings(columns, rows_of(values, name, split))]


PATIENTS = [f"P{i // 3}" for i in range(12)]


@pytest.mark.parametrize(
    "name",
    ["patient", "Patient ID", "PatientID", "patientid", "subject", "case_no", "Series", "Lot", "part-nr", "serial"],
)
def test_a_column_named_like_a_group_is_warned_of_by_name(name: str) -> None:
    (message,) = warned(PATIENTS, name)
    assert f"4 of the 4 values of the column {name}, such as P0, have images in more than one split" in message


def test_so_is_one_whose_contents_are_those_of_a_group() -> None:
    assert warned([f"anna{i // 4}" for i in range(48)])
    assert warned([str(100 + i // 4) for i in range(48)])  # numbers that follow each other


@pytest.mark.parametrize(
    "values",
    [
        ["good", "bad", "worse"] * 8,  # a category
        [str(30 + (i * 7) % 11) for i in range(48)],  # a measure in whole numbers
        [f"{(i * 7) % 11}.5" for i in range(48)],
        ["x"] * 24,  # the same everywhere
        [f"id{i}" for i in range(24)],  # no value twice
        [["", "unknown", "n/a"][i % 3] for i in range(24)],
    ],
)
def test_categories_measures_and_constants_are_not(values: list[str]) -> None:
    assert warned(values) == []


def test_a_group_that_is_whole_in_its_split_is_not() -> None:
    rows = {f"{i}": {"patient": f"P{i}", "split": SPLITS[i % 4]} for i in range(12)}
    assert column_warnings(("patient", "split"), rows) == []


def test_without_a_split_the_one_that_is_made_may_part_it() -> None:
    (message,) = warned(PATIENTS, "patient", split=False)
    assert "may be parted by the split that is made" in message
    rows = {stem: row | {"group": row["patient"]} for stem, row in rows_of(PATIENTS, "patient", split=False).items()}
    assert column_warnings(("patient", "group"), rows) == []


@pytest.mark.parametrize(
    ("name", "meant"), [("groups", "group"), ("Group ID", "group"), ("fold", "split"), ("splits", "split")]
)
def test_a_name_near_a_known_one_is_told(name: str, meant: str) -> None:
    (warning,) = column_warnings((name,), {"0": {name: "1"}, "1": {name: "2"}})
    assert warning.level == "warning" and f"rename {name} to {meant}" in warning.remedy


def test_groups_that_differ_in_capitals_are_told() -> None:
    rows = {"0": {"group": "p1"}, "1": {"group": "P1"}}
    (warning,) = column_warnings(("group",), rows)
    assert "P1 and p1 are taken as different groups" in warning.message


def test_all_are_listed() -> None:
    (column,) = unused_columns(("kind", "split", "group"), rows_of(["a", "b"] * 6, "kind", group="g"))
    assert (column.name, column.n_values, column.n_crossing, column.like_group) == ("kind", 2, 2, False)


def test_check_warns_and_still_finds_no_fault(tmp_path: Path) -> None:
    meta = "stem,split,patient\n" + "".join(f"{i},{('train', 'val', 'test')[i % 3]},p{i // 3}\n" for i in range(9))
    found = examine(write_folder(tmp_path, meta=meta))
    assert found.faults == () and [one.kind for one in found.warnings] == ["column across splits"]
    assert "rename patient to group" in found.warnings[0].remedy
    assert [column.name for column in found.columns] == ["patient"]


@pytest.mark.parametrize("name", ["pid", "Pat.-Nr.", "Patienten-ID", "paciente", "Bauteil", "Proband", "患者"])
def test_other_words_for_a_patient_or_part(name: str) -> None:
    assert len(warned(PATIENTS, name)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P1", "p1"),
        ("P 1", "P1"),
        ("7", "007"),
        ("7", "7.0"),
        ("P_07", "P7"),
        ("M\u00fcller", "Mu\u0308ller"),
        ("１", "1"),
    ],
)
def test_groups_that_a_person_reads_as_one_are_told(one: str, other: str) -> None:
    rows = {"a": {"group": one}, "b": {"group": other}, "c": {"group": "other"}}
    (warning,) = column_warnings(("group",), rows)
    assert warning.kind == "groups alike" and one in warning.message and other in warning.message


@pytest.mark.parametrize(("one", "other"), [("7", "70"), ("1.5", "1.05"), ("p1", "p11"), ("1.0.0", "1")])
def test_groups_that_differ_are_not(one: str, other: str) -> None:
    assert column_warnings(("group",), {"a": {"group": one}, "b": {"group": other}}) == []


def test_words_for_an_unknown_group_make_one_group_of_many_and_are_told() -> None:
    rows = {"a": {"group": "NA"}, "b": {"group": "NA"}, "c": {"group": "p1"}}
    (warning,) = column_warnings(("group",), rows)
    assert warning.kind == "unknown group" and warning.message == "2 images are taken as one group called NA"


def test_a_half_filled_group_is_told_and_an_empty_one_is_not() -> None:
    rows = {"a": {"group": "p1"}, "b": {"group": ""}, "c": {"group": ""}}
    (warning,) = column_warnings(("group",), rows)
    assert warning.kind == "no group" and warning.message.startswith("2 of the 3 images have no group")
    assert column_warnings(("group",), {"a": {"group": ""}, "b": {"group": ""}}) == []


@pytest.mark.parametrize(
    ("name", "known"), [("gr\u043eup", "group"), ("ｇｒｏｕｐ", "group"), ("spilt", "split"), ("is_train", "split")]
)
def test_letters_that_only_look_alike_are_told(name: str, known: str) -> None:
    (warning,) = column_warnings((name,), {"a": {name: "1"}, "b": {name: "2"}})
    assert warning.kind == "column not read" and f"{known} is what a column must be called" in warning.message


@pytest.mark.parametrize("name", ["height", "Width_px", "n_channels", "pos_frac"])
def test_a_measure_is_none_however_it_is_spread(name: str) -> None:
    values = [str(400 + i // 3) for i in range(36)]
    assert warned(values, "x1") and not warned(values, name)
