"""Any bytes as an image, bundle, manifest or spec give an EdgesegError, never a crash, a hang or unbounded memory.

The same inputs each time, a few seconds a reader; `run.py` goes on for as long as one likes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime import container
from edgeseg.runtime.errors import EdgesegError, ManifestError
from edgeseg.runtime.spec.manifest import Manifest

from .mutation import mutated
from .run import run
from .targets import IN_PROCESS, manifest, targets

CRASHES = (3002239,)  # inputs of the target `tflite` that end LiteRT 2.3


@pytest.mark.parametrize("name", IN_PROCESS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    found = run(name, first=0, seconds=1.5, most=3000)
    assert found["inputs"] > 0 and not found["faults"], found


@pytest.mark.parametrize("name", IN_PROCESS)
def test_what_is_right_is_taken(name: str, tmp_path: Path) -> None:
    """Else nothing behind the first check would ever be reached."""
    target = targets()[name]
    for seed in target.seeds:
        target.run(seed, tmp_path)
        if name == "image":
            container.decode(seed, container.look(seed))


@pytest.mark.parametrize("number", CRASHES)
def test_a_model_file_that_ends_its_process_is_an_error_in_a_worker(number: int) -> None:
    pytest.importorskip("ai_edge_litert")
    found = run("tflite-worker", number, seconds=600, most=1)
    assert found["inputs"] == 1 and not found["faults"], found


def test_the_same_number_gives_the_same_input() -> None:
    seeds = [b"abcdefgh" * 20, b"12345678" * 20]
    inputs = [mutated(seeds, number) for number in range(200)]
    assert inputs == [mutated(seeds, number) for number in range(200)] and len(set(inputs)) > 150


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value stands in a JSON document, of each there is."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in paths(one, (*path, key)))]


def test_a_whole_number_that_is_no_float_is_refused() -> None:
    whole = json.loads(manifest())
    whole["golden"][0]["expected"][0]["max_differing_share"] = 10**400
    with pytest.raises(ManifestError, match="max_differing_share"):
        Manifest.from_bytes(json.dumps(whole).encode())


WHOLE = json.loads(manifest())
JSON = st.recursive(
    st.sampled_from((10**400, -(10**400), 1e999, "\ud800", "\0"))
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100)
@given(st.sampled_from(paths(WHOLE)[1:]), JSON)
def test_any_value_in_any_place_of_a_manifest_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    whole = json.loads(json.dumps(WHOLE))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        read = Manifest.from_bytes(json.dumps(whole).encode())
    except EdgesegError as error:
        assert isinstance(error, ManifestError)
        str(error).encode()  # what cannot be printed is no message
    else:
        assert Manifest.from_json(json.loads(json.dumps(read.to_json()))) == read
