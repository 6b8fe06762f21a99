"""Decisions of gates and failed rows as a JUnit file, which build servers show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from edgeseg.benchmarks.gates.gates import Decision
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.runtime.files.atomic import write_text

# XML 1.0 has no way to write these.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(result: BenchResult, decisions: Sequence[Decision] = (), alone: Sequence[str] = ()) -> str:
    """A test case per row (did it run?), per decision (was the gate kept?), and per row that no gate looks at."""
    broken = [one for one in decisions if one.outcome == "broken"]
    failed = [row for row in result.rows if row.status == "failed"]
    unshown = [one for one in decisions if one.outcome == "not shown"]
    absent = [row for row in result.rows if row.status == "unsupported"]
    counts = {
        "tests": str(len(result.rows) + len(decisions) + len(alone)),
        "failures": str(len(broken) + len(failed)),
        "skipped": str(len(unshown) + len(absent) + len(alone)),
    }
    suite = ET.Element("testsuite", {"name": "edgeseg bench", "timestamp": result.created, **counts})
    for row in result.rows:
        reason = f"{row.status}: {row.reason}"
        _case(suite, row.name, "runs", {"failed": "failure", "unsupported": "skipped"}.get(row.status), reason)
    for one in decisions:
        kind = {"broken": "failure", "not shown": "skipped"}.get(one.outcome)
        _case(suite, one.new, one.gate.text, kind, f"{one.outcome} against {one.old}: {one.reason}")
    for name in alone:
        _case(suite, name, "gates", "skipped", "held against nothing: it has no counterpart")
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def write_junit(path: Path, result: BenchResult, decisions: Sequence[Decision], alone: Sequence[str]) -> None:
    """Write the file, whole or not at all."""
    write_text(path, to_junit(result, decisions, alone))


def _case(suite: ET.Element, name: str, gate: str, kind: str | None, message: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": _clean(name), "name": _clean(gate)})
    if kind is None:
        ET.SubElement(case, "system-out").text = _clean(message)
    else:
        ET.SubElement(case, kind, {"message": _clean(message)})


def _clean(text: str) -> str:
    return _NO_XML.sub("?", text)
