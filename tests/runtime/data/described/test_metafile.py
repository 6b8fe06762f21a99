"""meta.csv as people and spreadsheets write it: taken where it is clear, a fault where it is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from edgeseg.runtime.data.dataset import SPLITS, open_dataset
from edgeseg.runtime.errors import DataError

from ...data_folders import write_folder

SPLIT = ("train", "train", "train", "train", "train", "val", "val", "test", "test")


def table(header: str, delimiter: str = ",", rows: int = 9) -> str:
    """Nine rows: stem, split, group of two."""
    lines = [delimiter.join((str(i), SPLIT[i], f"p{(i + 1) // 2}")) for i in range(rows)]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize(
    "header",
    [
        *("stem, split, group", "stem,Split,Group", "STEM,SPLIT,GROUP", " stem , split\t,group "),
        '"stem", "split", "group"',
        *("stem,split,\u00a0group", "stem,split\u200b,group", "\ufeffstem,split,group"),
    ],
)  # fmt: skip
def test_headers_are_known_in_any_case_and_with_blanks(tmp_path: Path, header: str) -> None:
    data = open_dataset(write_folder(tmp_path, meta=table(header)))
    assert [len(data.split(name)) for name in SPLITS] == [5, 2, 2]
    assert [sample.group for sample in data.samples[:3]] == ["p0", "p1", "p1"]
    assert all(sample.columns == {} for sample in data.samples)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
def test_what_spreadsheets_write(tmp_path: Path, delimiter: str, encoding: str, first: str) -> None:
    text = first.format(delimiter) + table(delimiter.join(("Stem", "Split", "Group")), delimiter).replace("\n", "\r\n")
    text += delimiter * 4 + "\r\n"  # a row of nothing, as where a cell was cleared
    root = write_folder(tmp_path, meta=None)
    (root / "meta.csv").write_bytes(text.encode(encoding))
    assert [len(open_dataset(root).split(name)) for name in SPLITS] == [5, 2, 2]


def test_blanks_around_values_and_capital_splits(tmp_path: Path) -> None:
    rows = [f" {i} ,{SPLIT[i].capitalize()} , p{(i + 1) // 2} , M{i % 2} " for i in range(9)]
    data = open_dataset(write_folder(tmp_path, meta="\n".join(["stem,split,group,Machine", *rows])))
    assert [len(data.split(name)) for name in SPLITS] == [5, 2, 2]
    assert {sample.columns["Machine"] for sample in data.samples} == {"M0", "M1"}
    assert len({sample.group for sample in data.samples}) == 5


def test_a_line_end_within_quotes_is_part_of_the_value(tmp_path: Path) -> None:
    meta = "stem,note,split\n" + "".join(f'{i},"a; b,\nc",{SPLIT[i]}\n' for i in range(9))
    assert open_dataset(write_folder(tmp_path, meta=meta)).samples[0].columns == {"note": "a; b,\nc"}


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ("stem,Group,group\n", "group is there twice"),
        ("stem,split,group ,Group\n", "group is there twice"),
        ("stem,,split\n0,x,train\n", "one column has no name"),
        ("File,split\n0,train\n", "the header is File, split; .*perhaps 'File' is it"),
        (table("stem,subset,group"), "the column subset holds test, train, val, .*rename subset to split"),
        (
            table("stem,split,group").replace(",val,", ",Validation,"),
            r"'Validation'; write train, val, test \(here val\)",
        ),
        (table("stem,split,group").replace(",train,", ",training,"), r"\(here train\)"),
        (table("stem,split,group").replace(",test,", ",tset,"), r"\(here test\)"),
        (table("stem,split,group").replace("5,val,", "5,,"), "5 has the split ''; write train, val, test$"),
        (table("stem,split,group").replace("\n4,", "\n4.png,"), r"take '.png' out of the names in the column stem"),
        (table("stem,split,group").replace("\n4,", "\n004,"), "leading zeros: 004, images/4.png"),
        (table("stem,split,group").replace("\n4,", "\n3,"), "3 has two rows, one in line 6"),
        ("stem,split\n0,tr\0ain\n", "meta.csv: "),
    ],
)
def test_what_is_not_clear_is_a_fault(tmp_path: Path, meta: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(write_folder(tmp_path, meta=meta))
    assert re.search(says, str(caught.value), re.MULTILINE), caught.value


def test_a_table_under_another_case_is_not_left_out_in_silence(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "meta.csv").rename(root / "Meta.CSV")
    with pytest.raises(DataError, match=r"Meta\.CSV: not read.*rename it to meta\.csv"):
        open_dataset(root)
    (root / "Meta.CSV").rename(root / "metadata.csv")
    (remark,) = open_dataset(root).remarks
    assert "metadata.csv: not read" in remark


def test_a_folder_or_a_dead_link_in_place_of_the_table(tmp_path: Path) -> None:
    root = write_folder(tmp_path, meta=None)
    (root / "meta.csv").mkdir()
    with pytest.raises(DataError, match=r"meta\.csv: cannot be read"):
        open_dataset(root)
    (root / "meta.csv").rmdir()
    (root / "meta.csv").symlink_to("moved.csv")
    with pytest.raises(DataError, match=r"meta\.csv: cannot be read"):
        open_dataset(root)


def test_names_that_are_no_text_pair_with_a_table_in_their_bytes(tmp_path: Path) -> None:
    root = write_folder(tmp_path, meta=None)
    name = os.fsdecode("检".encode("gbk"))
    for folder in ("images", "masks"):
        (root / folder / "0.png").rename(root / folder / f"{name}.png")
    rows = b"".join(f"{i},{SPLIT[i]}\n".encode() for i in range(1, 9))
    (root / "meta.csv").write_bytes(b"stem,split\n" + "检".encode("gbk") + b",test\n" + rows)
    data = open_dataset(root, split_file=None)
    assert {sample.stem: sample.split for sample in data.samples}[name] == "test"
    (root / "meta.csv").unlink()
    kept = tmp_path / "run" / "split.csv"
    first = open_dataset(root, split_file=kept)
    assert open_dataset(root, split_file=kept).samples == first.samples


def test_an_index_that_a_program_put_first_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one column has no name; .*index=False"):
        open_dataset(write_folder(tmp_path, meta=table(",stem,split,group").replace("\n0,", "\n0,0,", 1)))


@pytest.mark.parametrize("name", ["splits.csv", "groups.csv", "patients.xlsx", "train.txt", "test.csv", "Metadata.CSV"])
def test_tables_under_other_names_are_told(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path, meta=None)
    (root / name).write_text("x")
    (remark,) = open_dataset(root).remarks
    assert remark.startswith(f"warning: {name}: not read") and "meta.csv" in remark


def test_a_table_beside_the_images_is_a_fault(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "meta.csv").rename(root / "images" / "meta.csv")
    with pytest.raises(DataError, match=r"images/meta.csv: not read.*move it beside images/ and masks/"):
        open_dataset(root)
