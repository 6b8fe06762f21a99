"""keygen, sign, verify, inspect and unpack as commands, one after the other as a release goes."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.export.signing.keys import read_private
from edgeseg.pipeline import cli
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.spec.model_spec import ModelSpec


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    spec = ModelSpec.from_json(json.loads((FOLDER / "specs.json").read_text())["fp32.onnx"])
    path = tmp_path / "bright.edgeseg"
    variants = [VariantSource("onnx-fp32", FOLDER / "fp32.onnx", spec)]
    pack(path, BundleInfo("bright", "1", "tests only", spec.input), variants, [probe_frame()[0]])
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    done = edgeseg("keygen", tmp_path / "release.key")
    assert done.exit_code == 0 and "keep it secret" in done.stdout, done.output
    return tmp_path / "release.key"


def test_from_keygen_to_verify(bundle: Path, key: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "never overwritten" in edgeseg("keygen", key).stderr
    done = edgeseg("sign", bundle, "--key", key)
    assert done.exit_code == 0 and "as release by key" in done.stdout, done.output
    done = edgeseg("verify", bundle, "--trust", tmp_path / "release.pub")
    assert done.exit_code == 0 and "checked: signature: signed as release" in done.stdout, done.output
    other = tmp_path / "other.key"
    edgeseg("keygen", other)
    done = edgeseg("verify", bundle, "--trust", other.with_suffix(".pub"))
    assert done.exit_code == 3 and "refused: a trusted signature is required" in done.stdout
    report = json.loads(edgeseg("inspect", bundle, "--json").stdout)
    assert [one["role"] for one in report["signatures"]] == ["release"]
    assert report["manifest"]["bundle_version"] == "1" and "manifest.json" in report["sha256"]
    done = edgeseg("inspect", bundle)
    assert "signed by: release, " in done.stdout and "onnx-fp32" in done.stdout
    assert edgeseg("unpack", bundle, "--out", tmp_path / "out").exit_code == 0
    assert len(list((tmp_path / "out" / "signatures").iterdir())) == 1


def test_a_policy_file_is_what_devices_have(bundle: Path, key: Path, tmp_path: Path) -> None:
    made = json.loads(edgeseg("keygen", tmp_path / "more.key", "--json").stdout)
    house = {"name": "house", "public_key": made["public_key"]}
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"schema_version": 1, "require_signature": True, "keys": [house]}))
    assert edgeseg("verify", bundle, "--policy", policy).exit_code == 3
    edgeseg("sign", bundle, "--key", tmp_path / "more.key")
    assert edgeseg("verify", bundle, "--policy", policy).exit_code == 0
    assert edgeseg("verify", bundle, "--policy", tmp_path / "gone.json").exit_code == 1


def test_signing_on_another_machine(bundle: Path, key: Path, tmp_path: Path) -> None:
    statement, signature, copy = tmp_path / "to-sign.txt", tmp_path / "sig", tmp_path / "copy.edgeseg"
    shutil.copy(bundle, copy)
    done = edgeseg("sign", bundle, "--digest-out", statement, "--public", tmp_path / "release.pub")
    assert done.exit_code == 0 and bundle.read_bytes() == copy.read_bytes(), done.output
    signature.write_bytes(read_private(key).sign(statement.read_bytes()))
    done = edgeseg("sign", bundle, "--attach", signature, "--statement", statement)
    assert done.exit_code == 0, done.output
    edgeseg("sign", copy, "--key", key)
    assert bundle.read_bytes() == copy.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--digest-out", "x"],
        ["--attach", "x"],
        ["--public", "x"],
        ["--key", "x", "--digest-out", "y", "--public", "z"],
        ["--key", "x", "--statement", "y"],
    ],
)
def test_one_way_of_signing_at_a_time(bundle: Path, words: list[str]) -> None:
    done = edgeseg("sign", bundle, *words)
    assert done.exit_code == 2 and "give --key, or --digest-out" in done.stderr


def test_a_role_cannot_be_changed_when_attaching(bundle: Path) -> None:
    done = edgeseg("sign", bundle, "--attach", "x", "--statement", "y", "--role", "quality")
    assert done.exit_code == 2 and "stands in the statement" in done.stderr
