"""Byte-order marks: text and JSON that an editor or a shell of Windows has saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.runtime.data.splits import read_split
from edgeseg.runtime.errors import DataError, ManifestError, MeasureError
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.spec.fields import Fields, read_json_object
from edgeseg.runtime.text.textfile import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_text_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a").write_bytes("ä\r\n検".encode(encoding))
    assert read_text(tmp_path / "a") == "ä\r\n検"


@pytest.mark.parametrize("data", [b'\xef\xbb\xbf{"a": 1}', '\ufeff{"a": 1}', '{"a": 1}'.encode("utf-16"), b'{"a": 1}'])
def test_json_objects_with_a_mark(data: bytes | str) -> None:
    assert read_json_object(data, "x.json") == {"a": 1}


def test_json_that_is_none() -> None:
    for data in (b"\xff\xfe{", b"\xe4", b"[1]", b'{"a": NaN}', b'{"a": [-Infinity]}'):
        with pytest.raises(ManifestError, match=r"x\.json"):
            read_json_object(data, "x.json")


def test_all_unknown_keys_at_once() -> None:
    with pytest.raises(ManifestError, match=r"2 unknown keys. 'nmae': Did you mean 'name'\? 'b'"):
        Fields({"nmae": 1, "b": 2}, "here", ("name", "size"))


def test_files_of_results_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text('{"schema_version": 1, "images": []}', encoding="utf-8-sig")
    assert load_scores(path) == []
    path.write_text('{"schema_version": 9}', encoding="utf-8-sig")
    with pytest.raises(DataError, match="schema_version 9"):
        load_scores(path)
    with pytest.raises(MeasureError, match="is no benchmark result"):
        read_result(path)


def test_a_split_that_a_spreadsheet_has_saved(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("stem,split,group\r\n0,test,0\r\n", encoding="utf-8-sig", newline="")
    assert read_split(path, {"0": "0"}) == {"0": "test"}
