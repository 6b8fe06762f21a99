"""Recipe files: the shipped ones load, wrong ones are refused, data is found where it is said to be."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgeseg.pipeline.recipe.files import find_recipe, shipped_recipes
from edgeseg.pipeline.recipe.recipe import Recipe, find_data, load_recipe
from edgeseg.runtime.errors import ConfigError

SMALL = """\
name: small
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 96}
"""


@pytest.fixture
def write(tmp_path: Path):
    def to_file(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return to_file


@pytest.mark.parametrize("name", ["demo", "ultrasound", "inspection"])
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_recipe(find_recipe(name))
    assert recipe.name == name
    assert json.loads(json.dumps(recipe.to_json()))["teacher"]["epochs"] == recipe.teacher.epochs


def test_a_recipe_is_found_by_path_then_by_name(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(SMALL)
    assert find_recipe(str(path)) == path
    assert find_recipe("demo") == shipped_recipes()["demo"]
    with pytest.raises(ConfigError, match="did you mean 'demo'"):
        find_recipe("dem0")
    with pytest.raises(ConfigError, match="edgeseg init"):
        find_recipe("missing/zzz.yaml")


def test_the_hash_follows_the_settings_not_the_text(write) -> None:
    first = load_recipe(write(SMALL))
    assert load_recipe(write("# a comment\n" + SMALL + "train: {batch_size: 8}\n")).sha256() == first.sha256()
    assert load_recipe(write(SMALL), ["train.batch_size=4"]).sha256() != first.sha256()


def test_set_overrides_the_file(write) -> None:
    recipe = load_recipe(
        write(SMALL), ["teacher.epochs=3", "gates.min_speedup={x86-ort: 5}", "gates.max_dice_drop=null"]
    )
    assert recipe.teacher.epochs == 3
    assert recipe.gates.min_speedup == {"x86-ort": 5.0} and recipe.gates.max_dice_drop is None


def test_the_bundle_it_replaces_counts_only_where_it_is_named(write) -> None:
    plain, named = (load_recipe(write(SMALL + more)) for more in ("", "previous_bundle: part-0123456789abcdef\n"))
    assert "previous_bundle" not in plain.to_json() and plain.identity.previous_bundle is None
    assert named.identity.previous_bundle == "part-0123456789abcdef" and named.sha256() != plain.sha256()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "previous_bundle: old",
            "previous_bundle is 'old', which is no identity of a bundle; copy NAME-0123456789abcdef",
        ),
        ("teacher: {epoch: 3}", "teacher.epoch is no known key (value 3); did you mean 'epochs'?"),
        ("gatess: {}", "did you mean 'gates'?"),
        ("teacher: {epochs: many}", "teacher.epochs is 'many' (str), but must be of type int"),
        ("name: a/b", "name is 'a/b'"),
        ("geometry: {mode: resize, height_px: 64}", "height_px and width_px belong together"),
        ("geometry: {mode: resize, height_px: 64, width_px: 96, tile_px: 32, overlap_px: 8}", "has no tiles"),
        ("geometry: {mode: resize, height_px: 60, width_px: 96}", "needs multiples of 16"),
        ("reference: {depth: 7}", "reference.depth 7 needs multiples of 64"),
        ("reference: {base: 0}", "reference.base is 0, but must be above 0"),
        ("reference: {upsampling: nearest}", "use one of transposed, bilinear"),
        ("geometry: {mode: tile, tile_px: 64, overlap_px: 40}", "Use a smaller overlap"),
        ("geometry: {mode: squeeze}", "squeeze"),
        (
            "prune: {ratio: 0.2, rounds: 2}",
            "write in its place `budget: {target: x86-ort, macs_ratio: 0.64}`",
        ),
        ("prune: {ratio: 0.2, rounds: 2}", "way: group_l2-widths, rounds: 2, final_seeds: 1, baselines: []}`"),
        ("budget: {target: x86-ort, macs_ratio: 1.2}", "budget macs_ratio is 1.2; set it below 1"),
        ("gates: {min_speedup: {x86-trt: 3}}", "gates.min_speedup.x86-trt is no target; known are x86-ort"),
        ("train: {augment: {p_noise: 2}}", "augment.p_noise is 2.0"),
        ("budget: {target: x86-trt, latency_ms: 2}", "budget.target is 'x86-trt'; known are x86-ort"),
        ("budget: {target: x86-ort}", "the budget for x86-ort is empty"),
        ("budget: {target: x86-ort, latency: 2}", "did you mean 'latency_ms'?"),
        ("fit: {importances: [magic]}", "fit.importances has 'magic'; known are group_l2"),
        ("fit: {baselines: [magic]}", "fit.baselines has 'magic'; known are random_largest"),
        ("fit: {way: magic}", "fit.way is 'magic'; known are group_l2-depth"),
        ("fit: {way: taylor-depth, depth: false}", "fit.way is taylor-depth, but fit.depth is false"),
        ("decision: {objective: recall}", "decision.objective is 'recall'; use one of dice, region_recall"),
        ("decision: {objective: dice}", "a threshold belongs to one output; set binary_output: true"),
        ("gates: {min_skill: 1.5}", "gates.min_skill is 1.5; set it from 0 to below 1"),
        ("fit: {epochs: 2}", "fit.epochs is no known key"),
        ("data: synthetic", "data is 'synthetic', but must be a section"),
    ],
)
def test_wrong_recipes_are_refused(write, change: str, words: str) -> None:
    key = change.partition(":")[0]
    kept = [line for line in SMALL.splitlines() if not line.startswith(f"{key}:")]
    with pytest.raises(ConfigError) as caught:
        load_recipe(write("\n".join([*kept, change])))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds NoneType"),
        ("- a\n- b\n", "holds list"),
        ("name: [", "no valid YAML"),
        ("name: x\n", "data is missing"),
    ],
)
def test_files_that_are_no_recipe(write, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe(write(text))


def test_a_file_that_is_missing_or_binary(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match="no valid YAML"):
        load_recipe(tmp_path / "binary.yaml")


def named(recipe: Recipe, name: str) -> Recipe:
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, name=name))


def test_data_is_found_by_option_then_by_name(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(write(SMALL))
    monkeypatch.setenv("EDGESEG_DATA", str(tmp_path))
    (tmp_path / "parts").mkdir()
    assert find_data(recipe, None) is None  # synthetic: drawn by the chain
    assert find_data(recipe, tmp_path / "parts") == tmp_path / "parts"
    assert find_data(named(recipe, "parts"), None) == tmp_path / "parts"
    with pytest.raises(ConfigError, match=r"'other' not found \(looked at .*give --data DIR"):
        find_data(named(recipe, "other"), None)
    with pytest.raises(ConfigError, match="is no folder"):
        find_data(recipe, tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALL + "techer: {}\ntrain: {batchsize: 1, seeds: 2}\n", "line 4: techer is no known key"),
        (SMALL + "techer: {}\ntrain: {batchsize: 1, seeds: 2}\n", "line 5: train.batchsize is no known key"),
        (SMALL + "techer: {}\ntrain: {batchsize: 1, seeds: 2}\n", "line 5: train.seeds is no known key"),
        (SMALL + "teacher:\n  epochs: many\n", "line 5: teacher.epochs is 'many'"),
        (SMALL + "prune:\n  ratio: 0.3\n", "line 4: prune is no section any more"),
        (SMALL + "teacher:\n  epochs: 0\n", "line 5: teacher.epochs is 0, but must be above 0"),
        (SMALL + "teacher:\n  depth: -1\n", "line 5: teacher.depth is -1"),
        (SMALL + "student:\n  learning_rate: -0.1\n", "line 5: student.learning_rate is -0.1"),
        (SMALL + "student:\n  decoder_width: 0\n", "line 5: student.decoder_width is 0"),
        (SMALL + "student:\n  output_stride: 3\n", "line 5: student.output_stride is 3; set it to 2, 4 or 8"),
        (SMALL + "student: {stages: 3, output_stride: 8}\n", "set the stages to 4 or more, or the stride lower"),
        (SMALL + "train:\n  batch_size: 0\n", "line 5: train.batch_size is 0"),
        (SMALL + "bench: {processes: 0}\n", "line 4: bench.processes is 0"),
        (SMALL + "name: other\n", "line 4: name is there twice, first in line 1"),
        (SMALL + "student: {learning_rate: .nan}\n", "student.learning_rate is nan, but must be a finite number"),
        (
            SMALL.replace("name: small", "name: no"),
            "line 1: name is False (bool), but must be of type str; YAML reads no",
        ),
        (
            SMALL.replace("name: small", "name: ~"),
            "line 1: name is nothing, but must be of type str; it is empty, or null",
        ),
        (SMALL.replace("name: small", "name: " + "x" * 300), "use a short name"),
        (SMALL.replace("name: small", 'name: "a\\nb"'), "use a short name"),
        (SMALL.replace("name: small", "name: -x"), "use a short name"),
        ("classes: [a, b]\ncolor: gray\n", "it describes a data set; give a recipe"),
        ("path: .\ntrain: a\nval: b\nnc: 1\nnames: [x]\n", "it is the data.yaml of YOLO"),
    ],
)
def test_a_wrong_recipe_says_file_line_and_key(write, text: str, words: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_a_value_set_on_the_command_line_is_no_line_of_the_file(write) -> None:
    with pytest.raises(ConfigError, match=r"--set: teacher.epochs is 'x'"):
        load_recipe(write(SMALL + "teacher: {epochs: 3}\n"), ["teacher.epochs=x"])


@pytest.mark.parametrize("name", ["2024", "007", "2024-01-05", "0x10", "1_000", "1e3"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_numbers_and_dates_are_names_as_they_are_written(write, name: str, encoding: str) -> None:
    path = write("")
    path.write_bytes(SMALL.replace("name: small", f"name: {name}").encode(encoding))
    assert load_recipe(path).name == name
    assert load_recipe(path, [f"name={name}"]).name == name
    assert type(load_recipe(path).geometry.height_px) is int


def test_a_folder_in_place_of_a_recipe(write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; `edgeseg init .*` writes a recipe"):
        find_recipe(str(tmp_path))
    path = write(SMALL)
    with pytest.raises(ConfigError, match=f"is a folder; give {path}"):
        find_recipe(str(tmp_path))
    with pytest.raises(ConfigError, match="is no file"):
        find_recipe("x" * 300)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"train: a\nval: b\nnc: 2\nnames: [a, b]\n", "YOLO"),
        (b'{"images": [], "annotations": []}', "COCO"),
        (b'{"schema_version": 1, "kind": "edgeseg-benchmark"}', "a result of `bench run`"),
        (b'{"schema_version": 1, "variants": []}', "the manifest of a bundle"),
        (b'{"backend": "onnxruntime", "precision": "fp32", "input": {}}', "the spec.json of a model file"),
        (b'{"steps": [], "shipped": {}, "recipe": {}}', "the report of a run"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "no valid YAML, but a PNG image"),
        (b"PK\x05\x06" + bytes(18), "no valid YAML, but a zip archive"),
    ],
)
def test_files_of_other_kinds_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_recipe(tmp_path / "recipe.yaml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("\ufeffname: toy\ndata: {name: synthetic}\ngeometry: {mode: native}\n")
    assert load_recipe(tmp_path / "recipe.yaml").name == "toy"


@pytest.mark.parametrize("encoding", ["utf-16-le", "latin-1"])
def test_text_in_another_encoding_is_told_so(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes("name: ü\n".encode(encoding))
    with pytest.raises(ConfigError, match=r"line 1 is not UTF-8 text .*; save it as UTF-8"):
        load_recipe(path)
