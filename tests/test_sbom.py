"""The bill of materials holds what CycloneDX requires, and what is really installed and pinned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[1]

# What the schema of CycloneDX 1.6 requires of the fields that we write.
_LICENCE = {
    "oneOf": [
        {"required": ["expression"], "properties": {"expression": {"type": "string", "minLength": 1}}},
        {
            "required": ["license"],
            "properties": {"license": {"oneOf": [{"required": ["id"]}, {"required": ["name"]}]}},
        },
    ]
}
_COMPONENT = {
    "type": "object",
    "required": ["type", "name", "bom-ref", "purl"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library"]},
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string", "minLength": 1},
        "bom-ref": {"type": "string", "minLength": 1},
        "purl": {"type": "string", "pattern": "^pkg:pypi/[a-z0-9.-]+(@[^ ]+)?$"},
        "supplier": {"type": "object", "required": ["name"]},
        "licenses": {"type": "array", "minItems": 1, "maxItems": 1, "items": _LICENCE},
        "properties": {"type": "array", "items": {"required": ["name", "value"]}},
    },
}
_SCHEMA = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"],
    "properties": {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "version": {"type": "integer", "minimum": 1},
        "metadata": {
            "required": ["timestamp", "component"],
            "properties": {
                "timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"},
                "component": _COMPONENT,
            },
        },
        "components": {"type": "array", "items": _COMPONENT, "uniqueItems": True},
        "dependencies": {
            "type": "array",
            "items": {
                "required": ["ref", "dependsOn"],
                "properties": {"dependsOn": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
            },
        },
    },
}


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / ".ci" / "sbom.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _script()


@pytest.mark.parametrize("extra", script.project()["optional-dependencies"])
def test_every_extra_has_a_bill_that_holds_what_the_format_requires(extra: str) -> None:
    bill = script.sbom(extra)
    jsonschema.validate(bill, _SCHEMA)
    refs = [bill["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in bill["components"])]
    assert len(set(refs)) == len(refs)
    assert [one["ref"] for one in bill["dependencies"]] == refs
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= set(refs)
    assert script.sbom(extra) == bill


def test_it_lists_what_an_extra_asks_for_and_what_that_brings() -> None:
    bill = script.sbom("ort")
    versions = {one["name"]: one.get("version") for one in bill["components"]}
    pins = script.pins()
    assert versions.keys() >= {"numpy", "onnxruntime", "protobuf"} and "torch" not in versions
    assert all(version == pins[name] for name, version in versions.items())
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    runtime = f"pkg:pypi/onnxruntime@{pins['onnxruntime']}"
    assert runtime in needs[bill["metadata"]["component"]["bom-ref"]]
    assert f"pkg:pypi/protobuf@{pins['protobuf']}" in needs[runtime]
    licences = {one["name"]: one.get("licenses") for one in bill["components"]}
    assert licences["onnxruntime"] == [{"license": {"id": "MIT"}}]
    assert "torch" in {one["name"] for one in script.sbom("all")["components"]}


def test_what_is_not_installed_says_so_in_the_place_of_a_version() -> None:
    (found,) = (one for one in script.sbom("tflite")["components"] if one["name"] == "tflite-runtime")
    assert "version" not in found and "licenses" not in found
    assert "tflite-runtime>=2.14" in found["properties"][0]["value"].replace(" ", "")


def test_a_version_that_was_not_tested_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "pins", lambda: {"numpy": "0.1"})
    with pytest.raises(SystemExit, match=r"numpy .* is installed, constraints.txt pins 0\.1"):
        script.sbom("ort")


def test_it_is_written_as_one_file_an_extra(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**script.project(), "optional-dependencies": {"ort": script.project()["optional-dependencies"]["ort"]}}
    monkeypatch.setattr(script, "project", lambda: small)
    script.main(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["edgeseg-ort.cdx.json"]
    assert "edgeseg-ort.cdx.json" in capsys.readouterr().out
