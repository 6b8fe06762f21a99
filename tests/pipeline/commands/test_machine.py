"""`edgeseg doctor`: engines are really run, and what is missing comes with the command that adds it."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import numpy as np
import pytest

from edgeseg.pipeline.commands import machine as doctor
from edgeseg.pipeline.commands.machine import doctor_text, examine, extras, install_command
from edgeseg.pipeline.text.shown import show
from edgeseg.runtime.device import selfcheck as probe
from edgeseg.runtime.device.selfcheck import probe_backend, probe_frame
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.opening.selection import wrong_without

CPU_ENGINES = {name: engine for name, engine in ENGINES.items() if not engine.needs_gpu}


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torch takes seconds and is not what is tested."""
    monkeypatch.setattr(doctor, "_training", lambda: {"device": "cpu", "words": "torch"})


def test_the_engines_of_this_machine_answer_rightly(no_torch: None) -> None:
    report = examine()
    for name, engine in CPU_ENGINES.items():
        pytest.importorskip(engine.packages[0].module)
        probes = report["backends"][name]["probes"]
        saturates = wrong_without(engine.u8s8_needs) is not None
        assert [(row["precision"], row["runs"]) for row in probes] == [("fp32", True), ("int8", not saturates)]
        reasons = [row["reason"] or "" for row in probes]
        assert ["no VNNI" in reason for reason in reasons] == [False, saturates]
    assert report["ok"] and json.dumps(report)


def test_a_wrong_answer_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, mask = probe_frame()
    monkeypatch.setattr(probe, "probe_frame", lambda: (frame, 1 - mask))
    assert all(not row["runs"] and "wrong answer" in row["reason"] for row in probe_backend("onnxruntime"))


def test_an_engine_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(probe.Segmenter, "from_file", refuse)
    assert all("libgomp" in row["reason"] and not row["runs"] for row in probe_backend("litert"))


def test_probes_cover_every_engine_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_probe", lambda file, spec: (file.suffix, spec.backend, spec.precision))
    for name, engine in CPU_ENGINES.items():
        assert probe_backend(name) == [(engine.suffixes[0], name, precision) for precision in ("fp32", "int8")]
    frame, mask = probe_frame()
    assert frame.shape == mask.shape == (32, 32) and np.unique(mask).tolist() == [0, 1]


def test_what_is_missing_comes_with_its_command(monkeypatch: pytest.MonkeyPatch, no_torch: None, capsys: Any) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("monai", "onnxscript"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = extras()
    assert found["train"]["missing"] == ["monai"] and found["train"]["packages"]["torch"]
    assert found["train"]["remedy"] == install_command("train")
    assert found["bench"]["missing"] == [] and found["bench"]["remedy"] is None
    show({}, doctor_text(examine()), as_json=False)
    printed = capsys.readouterr().out
    assert "missing monai" in printed and install_command("export") in printed and "works" in printed


def test_extras_are_those_of_the_package() -> None:
    found = extras()
    assert {"torch", "lightning", "monai"} <= found["train"]["packages"].keys()
    assert {"onnx", "litert-torch"} <= found["export"]["packages"].keys()
    assert {"ruff", "mypy", "pytest"} <= found["dev"]["packages"].keys()


def test_commands_in_a_checkout_and_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert install_command("train").startswith("pip install -e '.[train]' -c constraints.txt")
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "a" / "b" / "c" / "d" / "machine.py"))
    assert install_command("train") == "pip install 'edgeseg[train]'"
