"""A soak sees what grows, and counts what a process holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgeseg.benchmarks.soak import Look, grew, look, soak
from edgeseg.runtime import Segmenter
from edgeseg.runtime.device.selfcheck import FOLDER
from edgeseg.runtime.spec.model_spec import ModelSpec


@pytest.mark.parametrize(
    ("memory_mib", "handles", "grows"),
    [
        (lambda n: 80 + min(n, 4), lambda n: 9, False),  # caches that fill at first
        (lambda n: 80 + n / 5, lambda n: 9, True),
        (lambda n: 80, lambda n: 9 + n // 10, True),
    ],
)
def test_it_tells_what_grows(memory_mib, handles, grows) -> None:
    assert grew([Look(n, memory_mib(n), handles(n), 3) for n in range(20)]) is grows


def test_a_process_is_looked_at_twenty_times() -> None:
    pytest.importorskip("onnxruntime")
    spec = ModelSpec.from_json(json.loads((FOLDER / "specs.json").read_text())["fp32.onnx"])
    with Segmenter.from_file(FOLDER / "fp32.onnx", spec, threads=1) as segmenter:
        (looks,) = soak(segmenter, 200, [os.getpid()])
    assert [one.frames for one in looks] == list(range(10, 201, 10))
    assert all(one.memory_mib > 20 and one.threads >= 1 for one in looks)


def test_handles_are_counted(tmp_path: Path) -> None:
    before = look(0, os.getpid()).handles
    with (tmp_path / "a").open("w"):
        assert look(0, os.getpid()).handles == before + 1
