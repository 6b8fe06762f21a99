"""JSON of others handed in as a result: whose it is, and what is wrong with it."""

import json
import zipfile

import pytest

from edgeseg.benchmarks.results.result_file import read_result, to_json
from edgeseg.runtime.errors import MeasureError


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"benchmarks": [], "machine_info": {}}', "pytest-benchmark"),
        (b'{"results": [{"command": "sleep"}]}', "hyperfine"),
        (b'{"schema_version": 1, "variants": []}', "the manifest of a bundle"),
        (b'{"steps": [], "shipped": {}, "recipe": {}}', "the report of a run"),
        (b'{"verdict": {}, "settings_to_use": {}}', "a report of `doctor int8`"),
        ('{"benchmarks": []}'.encode("utf-16"), "pytest-benchmark"),
        (b'{"a": 1, "b": 2}', "JSON with the keys a, b"),
        (b"[1, 2]", "a JSON list"),
        (b"", "empty"),
        (b'{"kind": "edgeseg-benchmark", "schema_', "was it cut off"),
        (b"\x80\x04K\x01.", "a Python pickle"),
        (b"name: demo\n", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_it_is_named(content, words, tmp_path):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(MeasureError, match=words):
        read_result(tmp_path / "r.json")


def test_a_folder_and_an_archive(tmp_path):
    with pytest.raises(MeasureError, match="a folder"):
        read_result(tmp_path)
    with zipfile.ZipFile(tmp_path / "r.json", "w") as archive:
        archive.writestr("a", b"x")
    with pytest.raises(MeasureError, match="a zip archive"):
        read_result(tmp_path / "r.json")


def test_a_mark_at_the_beginning_and_results_of_before_engines_alone(make_result, make_row, noisy, tmp_path):
    obj = to_json(make_result(make_row("a", noisy(4.0, 1))))
    del obj["pipeline"], obj["rows"][0]["engine_only"]
    (tmp_path / "r.json").write_text("\ufeff" + json.dumps(obj))
    assert read_result(tmp_path / "r.json").pipeline == "pre + infer + post"
    del obj["device"]
    (tmp_path / "r.json").write_text(json.dumps(obj))
    with pytest.raises(MeasureError, match="the key 'device' is missing"):
        read_result(tmp_path / "r.json")
