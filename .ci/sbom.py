"""The software bill of materials of every extra, CycloneDX 1.6 JSON: what `pip install 'edgeseg[EXTRA]'` brings.

    make sbom                      # build/sbom/edgeseg-EXTRA.cdx.json, of the packages of constraints.txt

Which package needs which is read from what is installed, which must be what constraints.txt pins. A package that this
Python or machine does not take, or that is not installed here, is listed without a version, and says so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
_CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
}
_LONGEST_NAME = 80


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def pins() -> dict[str, str]:
    """Tested version by canonical name, from constraints.txt."""
    lines = (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in lines if version and not name.startswith("#")}


def requirements(extra: str | None) -> list[Requirement]:
    """What the project asks for with an extra (None: without one), extras of its own resolved, markers as they are."""
    told = project()
    asked = [Requirement(line) for line in told["dependencies"]]
    for line in told["optional-dependencies"][extra] if extra else ():
        one = Requirement(line)
        if canonicalize_name(one.name) == told["name"]:
            asked += [inner for name in sorted(one.extras) for inner in requirements(name)]
        else:
            asked.append(one)
    return list({str(one): one for one in asked}.values())


def sbom(extra: str | None) -> dict[str, Any]:
    """The bill of one extra; the same commit and packages give the same bill."""
    told = project()
    asked = requirements(extra)
    found: dict[str, dict[str, Any]] = {}
    needs: dict[str, list[str]] = {}
    for one in asked:
        _add(one, found, needs)
    version = told["version"]
    root = {
        "type": "application",
        "bom-ref": f"pkg:pypi/edgeseg@{version}",
        "name": "edgeseg",
        "version": version,
        "purl": f"pkg:pypi/edgeseg@{version}",
        "licenses": [{"license": {"id": told["license"]}}],
    }
    refs = {name: component["bom-ref"] for name, component in found.items()}
    direct = sorted({refs[canonicalize_name(one.name)] for one in asked})
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": _commit_time(),
            "component": root,
            "properties": [
                {"name": "edgeseg:extra", "value": extra or "none"},
                {"name": "edgeseg:python", "value": f"{sys.version_info.major}.{sys.version_info.minor}"},
                {"name": "edgeseg:platform", "value": sys.platform},
            ],
        },
        "components": [found[name] for name in sorted(found)],
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": direct}]
        + [{"ref": refs[name], "dependsOn": sorted({refs[one] for one in needs[name]})} for name in sorted(found)],
    }
    digest = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))
    return {**bill, "serialNumber": f"urn:uuid:{digest}"}


def _add(asked: Requirement, found: dict[str, dict[str, Any]], needs: dict[str, list[str]]) -> None:
    """Add a package and all that it brings."""
    name = canonicalize_name(asked.name)
    installed = _distribution(asked)
    if name not in found:
        found[name], needs[name] = _component(asked, installed), []
    for line in installed.requires or () if installed else ():
        one = Requirement(line)
        inner = canonicalize_name(one.name)
        if not _applies(one, asked.extras) or inner in needs[name]:
            continue
        needs[name].append(inner)
        _add(one, found, needs)


def _applies(one: Requirement, extras: set[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _distribution(asked: Requirement) -> metadata.Distribution | None:
    if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
        return None
    try:
        return metadata.distribution(asked.name)
    except metadata.PackageNotFoundError:
        return None


def _component(asked: Requirement, installed: metadata.Distribution | None) -> dict[str, Any]:
    name = canonicalize_name(asked.name)
    if installed is None:
        why = f"not installed here; asked for as {asked}"
        properties = [{"name": "edgeseg:unresolved", "value": why}]
        return {"type": "library", "bom-ref": f"pkg:pypi/{name}", "name": name, "purl": f"pkg:pypi/{name}",
                "properties": properties}  # fmt: skip
    version = installed.version.partition("+")[0]
    pinned = pins().get(name, version)
    if version != pinned:
        sys.exit(f"{name} {version} is installed, constraints.txt pins {pinned}; run make setup in a fresh .venv first")
    purl = f"pkg:pypi/{name}@{version}"
    component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    author = installed.metadata.get("Author") or installed.metadata.get("Author-email")
    if author:
        component["supplier"] = {"name": author}
    licence = licence_of(installed)
    return component if licence is None else {**component, "licenses": [licence]}


def licence_of(installed: metadata.Distribution) -> dict[str, Any] | None:
    """What a package says of its licence, as CycloneDX has it: an SPDX expression, an SPDX id, or its own words."""
    about = installed.metadata
    if about.get("License-Expression"):
        return {"expression": about["License-Expression"]}
    for one in about.get_all("Classifier") or ():
        if one in _CLASSIFIERS:
            return {"license": {"id": _CLASSIFIERS[one]}}
    words = (about.get("License") or "").strip().splitlines()
    if not words or words[0].upper() == "UNKNOWN":
        return None
    return {"license": {"name": words[0][:_LONGEST_NAME]}}


def _commit_time() -> str:
    """When the commit was made: the bill of a commit does not change with the day it is written."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%cI"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def main(folder: Path) -> None:
    """Write the bill of every extra into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for extra in project()["optional-dependencies"]:
        path = folder / f"edgeseg-{re.sub(r'[^a-z0-9-]', '-', extra)}.cdx.json"
        path.write_text(json.dumps(sbom(extra), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
