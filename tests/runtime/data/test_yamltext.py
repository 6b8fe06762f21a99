"""YAML as people write it: names as written, every key once, a line for every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.data.yamltext import YamlError, as_name, plain, read_yaml
from edgeseg.runtime.dataset import open_dataset
from edgeseg.runtime.errors import DataError

from ..data_folders import write_folder


@pytest.mark.parametrize(
    "text",
    ["2024", "007", "0x10", "1_000", "12:30:00", "1e3", "1.50", "2024-01-05", "2024-01-05 10:00:00", "=", "-1", "0b_"],
)
def test_a_number_or_date_is_a_name_as_it_is_written(text: str) -> None:
    assert as_name(read_yaml(f"name: {text}").values["name"]) == text


@pytest.mark.parametrize("text", ["no", "yes", "on", "True", "~", "null", "", "[a]", "{a: 1}"])
def test_truths_nulls_and_sections_are_no_names(text: str) -> None:
    assert as_name(read_yaml(f"name: {text}").values["name"]) is None


def test_numbers_stay_numbers() -> None:
    found = plain(read_yaml("a: 010\nb: [1.5, 0x10]\nno: {2: x}").values)
    assert found == {"a": 8, "b": [1.5, 16], "no": {"2": "x"}}
    assert [type(value) for value in (found["a"], *found["b"])] == [int, float, int]


def test_lines() -> None:
    lines = read_yaml("# c\na: 1\nb:\n  c: 2\n  d:\n  - x\n  - y\n").lines
    assert lines == {"a": 2, "b": 3, "b.c": 4, "b.d": 5, "b.d[0]": 6, "b.d[1]": 7}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is there twice, first in line 1"),
        ("a: {b: 1, b: 2}", "line 1: a.b is there twice"),
        ("a: 1\nb: x: y\n", "line 2: mapping values are not allowed"),
        ("a:\n\t- b\n", "line 2: "),
        ("a: !!python/object:os.system x", "line 1: "),
        ("a: \x00", "special characters"),
        ("---\na: 1\n---\nb: 2\n", "line 3: "),
        ("[" * 5000, "nested|line"),
    ],
)
def test_what_is_no_yaml(text: str, says: str) -> None:
    with pytest.raises(YamlError, match=says):
        read_yaml(text)


def test_anchors_merges_and_what_holds_itself() -> None:
    assert read_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}").values["c"] == {"b": 1, "d": 2}
    assert read_yaml("a: &x [*x]").values["a"][0] is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_description_in_any_marked_encoding(tmp_path: Path, encoding: str) -> None:
    root = write_folder(tmp_path)
    (root / "dataset.yaml").write_bytes("name: Nähte 検\nclasses: [a, b, ß]\ncolor: gray\n".encode(encoding))
    assert (open_dataset(root).name, open_dataset(root).classes) == ("Nähte 検", ("a", "b", "ß"))


def test_names_in_a_description_are_taken_as_written(tmp_path: Path) -> None:
    yaml = "name: 2024-01-05\nclasses: [0, 007, 1.50]\ncolor: gray\nlicence: 4.0\n"
    data = open_dataset(write_folder(tmp_path, yaml=yaml))
    assert (data.name, data.classes, data.licence) == ("2024-01-05", ("0", "007", "1.50"), "4.0")


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        (
            "name: x\nclasses: [no, yes]\ncolor: gray\n",
            r"line 2: classes\[0\] is false, classes\[1\] is true.* in quotes",
        ),
        ("classes:\n- a\n- ~\ncolor: gray\n", r"line 3: classes\[1\] is empty.*in quotes"),
        ("name: true\nclasses: [a, b]\ncolor: gray\n", "line 1: name is true.*in quotes"),
        (
            "classes: [a, b]\ncolor: gray\ncolour: x\nfoo: 1\n",
            r"'colour' \(line 3, did you mean color\?\), 'foo' \(line 4\)",
        ),
        ("classes: {0: a, 1: b}\ncolor: gray\n", r"line 1: classes is a section.*write a list"),
        ("classes: a, b\ncolor: gray\n", r"line 1: classes is one text: 'a, b'; write a list of names by id: \[a, b\]"),
        ("licence: x\nclasses: [a, a]\ncolor: gray\n", "line 2: the classes are"),
        (
            "path: .\ntrain: images\nval: images\nnc: 1\nnames: [crack]\n",
            r"data\.yaml of YOLO.*edgeseg data import --from yolo",
        ),
        ("names: {0: crack}\ntrain: x\nroboflow: {}\n", "YOLO"),
        ("dataset_type: ADE20KDataset\ndata_root: data\n", "MMSegmentation"),
        ("labels: {background: 0}\nnumTraining: 3\nfile_ending: .png\n", "nnU-Net"),
        ("geometry: {}\ndata: {}\nname: x\n", "a recipe of edgeseg"),
    ],
)
def test_a_wrong_description_says_where_and_what_to_do(tmp_path: Path, yaml: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        open_dataset(write_folder(tmp_path, yaml=yaml))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("data.yaml", "names: [a]\nnc: 1\ntrain: x\n", "but data.yaml, which is the data.yaml of YOLO"),
        ("dataset.json", '{"labels": {}, "numTraining": 3}', "nnU-Net"),
        (
            "instances.json",
            '{"info": {}, "images": [' + '{"id": 1},' * 20000 + '{}], "annotations": []}',
            "a COCO file",
        ),
        ("annotations.xml", "<annotations/>", "--from cvat"),
        ("dataset.yml", "classes: [a, b]\ncolor: gray\n", r"rename it to dataset\.yaml"),
    ],
)
def test_a_missing_description_looks_at_what_is_there(tmp_path: Path, name: str, text: str, says: str) -> None:
    root = write_folder(tmp_path)
    (root / "dataset.yaml").unlink()
    (root / name).write_text(text)
    with pytest.raises(DataError, match=says):
        open_dataset(root)
