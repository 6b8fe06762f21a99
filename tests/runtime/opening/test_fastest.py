"""`fastest`: measured with the real engine, remembered, measured again where anything is another."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeseg.runtime import Segmenter, Worker, WorkerConfig
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.user_cache import cache_folder
from edgeseg.runtime.opening import fastest, selection
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import accepted, rank

from .test_bundle import contents, summed, write
from .test_selection import bundle_with_a_refused_variant

SLOW = "onnx-int8-x86"  # which is what this machine is made to prefer


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selection, "machine_kind", lambda: "x86-vnni")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle, the preferred variant of which takes a hundred times as long to say the same."""
    entries = contents(tiny_bundle)
    model = onnx.load_from_string(entries[f"variants/{SLOW}.onnx"])
    steps = [helper.make_node("Erf", ["f" if n == 0 else f"e{n}"], [f"e{n + 1}"]) for n in range(300)]
    steps.append(helper.make_node("Mul", ["e300", "nothing"], ["e"]))
    steps.append(helper.make_node("Add", ["f", "e"], ["slow"]))
    nodes = list(model.graph.node)
    assert nodes[0].output[0] == "f" and nodes[1].input[0] == "f"
    nodes[1].input[0] = "slow"
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], *steps, *nodes[1:]])
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "nothing"))
    content = model.SerializeToString()
    manifest = json.loads(entries["manifest.json"])
    for variant in manifest["variants"]:
        if variant["name"] == SLOW:
            variant["sha256"], variant["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
            variant["needs"] = []  # of no processor: another process does not see the one that is pretended
    changed = {f"variants/{SLOW}.onnx": content, "manifest.json": json.dumps(manifest).encode()}
    return write(tmp_path / "slow.edgeseg", summed(entries | changed))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever variants are measured."""
    calls: list[int] = []
    real: Callable[..., dict[str, float]] = fastest._times_ms

    def counted(*args: object) -> dict[str, float]:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(fastest, "_times_ms", counted)
    return calls


def opened(path: Path, threads: int = 1) -> str:
    with Segmenter.open(path, "fastest", threads) as segmenter:
        return segmenter.name


def test_the_fastest_is_measured_once_and_remembered(bundle: Path, measured: list[int], stripes) -> None:
    with Bundle.open(bundle) as read:
        assert [one.name for one in rank(read.manifest)] == [SLOW, "onnx-fp32"]
    assert opened(bundle) == opened(bundle) == "onnx-fp32"
    assert len(measured) == 1
    record = json.loads(next(cache_folder("variants").iterdir()).read_text())
    assert record["variant"] == "onnx-fp32" and record["times_ms"][SLOW] > record["times_ms"]["onnx-fp32"] > 0
    assert opened(bundle, threads=2) == "onnx-fp32" and len(measured) == 2  # another question
    with Segmenter.open(bundle, threads=1) as segmenter:  # who does not ask gets what the rule says
        assert segmenter.name == SLOW


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b'{"variant": "tflite-int8"}', b'{"variant": 3}', b"[]"])
def test_a_record_that_says_nothing_of_use_is_measured_anew(bundle: Path, measured: list[int], content: bytes) -> None:
    opened(bundle)
    record = next(cache_folder("variants").iterdir())
    record.write_bytes(content)
    assert opened(bundle) == "onnx-fp32" and len(measured) == 2
    assert json.loads(record.read_text())["variant"] == "onnx-fp32"


def test_a_bundle_that_is_another_is_measured_anew(bundle: Path, tiny_bundle: Path, measured: list[int]) -> None:
    opened(bundle)
    opened(tiny_bundle)
    assert len(measured) == 2 and len(list(cache_folder("variants").iterdir())) == 2


def test_where_nothing_can_be_kept_it_is_measured_each_time(
    bundle: Path, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # as a disk that takes nothing
    assert opened(bundle) == opened(bundle) == "onnx-fp32"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert opened(bundle) == "onnx-fp32" and len(measured) == 3
    with pytest.raises(ConfigError, match=r"no home folder.*XDG_CACHE_HOME"):
        cache_folder("variants")


def test_what_its_engine_refuses_is_not_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    path = bundle_with_a_refused_variant(tiny_bundle, tmp_path / "newer.edgeseg")
    assert opened(path) == "onnx-fp32"


def test_what_a_gate_refused_is_not_asked(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as read:
        manifest = read.manifest
    assert len(accepted(manifest)) == 2
    row = {"target": "x86-ort", "status": "refused"}
    first, second = manifest.variants
    manifest = dataclasses.replace(manifest, variants=(dataclasses.replace(first, measured=(row,)), second))
    assert [one.name for one in accepted(manifest)] == [second.name]


def test_a_worker_started_again_stays_with_what_was_measured(bundle: Path, stripes) -> None:
    with Worker.open(bundle, "fastest", 1, WorkerConfig(hang_s=600, start_s=600)) as worker:
        assert worker.describe()["variant"] == "onnx-fp32"
        shutil.rmtree(cache_folder("variants"))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert worker(stripes).tries == 2
        assert worker.describe()["variant"] == "onnx-fp32" and not cache_folder("variants").exists()
