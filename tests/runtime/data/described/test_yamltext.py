"""YAML as people write it: names as written, every key once, a line for every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.data.described.yamltext import YamlError, as_name, plain, read_yaml
from edgeseg.runtime.errors import DataError

from ...data_folders import write_folder


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
    found = plain(read_yaml("a: 10\nb: [1.5, 0x10, 0, -7]\nno: {2: x}").values)
    assert found == {"a": 10, "b": [1.5, 16, 0, -7], "no": {"2": "x"}}
    assert [type(value) for value in (found["a"], *found["b"])] == [int, float, int, int, int]


@pytest.mark.parametrize("text", ["010", "-007", "0_7", "1:30", "10:00:00", "1:30.5"])
def test_what_yaml_1_1_alone_takes_for_a_number_is_text(text: str) -> None:
    assert plain(read_yaml(f"a: {text}").values["a"]) == text


@pytest.mark.parametrize("text", ["1e-3", "1E3", "-2e2", ".5e1", "1.5e3", "1.0e+2"])
def test_an_exponent_makes_a_number(text: str) -> None:
    value = read_yaml(f"a: {text}").values["a"]
    assert type(plain(value)) is float and plain(value) == float(text) and as_name(value) == text


def test_only_whole_words_are_numbers() -> None:
    assert read_yaml("[1e3x, 5e, e5, 1e2 b]").values == ["1e3x", "5e", "e5", "1e2 b"]


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
        ("a: &x [*x]", "line 1: what & names holds itself"),
        ("b: 1\na: &x {c: {d: *x}}", "line 2: what & names holds itself"),
    ],
)
def test_what_is_no_yaml(text: str, says: str) -> None:
    with pytest.raises(YamlError, match=says):
        read_yaml(text)


def test_anchors_and_merges() -> None:
    assert read_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: [*x, *x]").values["c"] == {"b": 1, "d": 2}


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
        (
            "classes: {1: b, 0: a}\ncolor: gray\n",
            r"line 1: classes is a section.*write a list of names by id: \[a, b\]",
        ),
        ("classes: {a: 0, b: 1}\ncolor: gray\n", r"line 1: classes is a section.*write a list .*: \[background, ...\]"),
        ("classes: a, b\ncolor: gray\n", r"line 1: classes is no list: 'a, b'; write a list of names by id: \[a, b\]"),
        ("classes: (a, b)\ncolor: gray\n", r"write a list of names by id: \[a, b\]$"),
        ("classes: '[a, b]'\ncolor: gray\n", r"write a list of names by id: \[a, b\]$"),
        ("classes: 2\ncolor: gray\n", "classes is no list: 2"),
        ("classes: [a, b]\ncolor: gray\npixel_mm: 0:05\n", "line 3: pixel_mm is '0:05'"),
        ("classes: [a, b]\ncolor: gray\nignore: 0377\n", "line 3: ignore is '0377'"),
        (
            "classes: [a, b]\ncolor: gray\nignore_index: 255\n",
            "line 3: unknown key 'ignore_index'; did you mean ignore?",
        ),
        ("names: [a, b]\ncolor: gray\n", "unknown key 'names'; did you mean classes?"),
        ("trainer: {}\n", "unknown key 'trainer', and no classes and color; if this is a file of another kind"),
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


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "latin-1"])
def test_a_file_that_is_no_utf_8_is_told_so_everywhere(tmp_path: Path, encoding: str) -> None:
    root = write_folder(tmp_path)
    (root / "dataset.yaml").write_bytes("name: ü\nclasses: [a, b]\n".encode(encoding))
    with pytest.raises(DataError, match=r"dataset.yaml: .*line 1 is not UTF-8 text.*save it as UTF-8"):
        open_dataset(root)
    (root / "meta.csv").write_bytes("stem,split\nü,train\n".encode(encoding))
    with pytest.raises(DataError, match=r"meta.csv: line \d is not UTF-8 text.*save it as CSV in UTF-8"):
        open_dataset(root)


def test_a_folder_or_a_lost_link_in_place_of_the_description(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "dataset.yaml").unlink()
    (root / "dataset.yaml").symlink_to("nowhere")
    with pytest.raises(DataError, match="is a link that leads nowhere"):
        open_dataset(root)
    (root / "dataset.yaml").unlink()
    (root / "dataset.yaml").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        open_dataset(root)
