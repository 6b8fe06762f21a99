"""The repository itself: links that lead somewhere, commands that parse, nothing of one machine, nothing large."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[1]
CODE = ("train", "compress", "export", "runtime", "benchmarks", "pipeline")
LARGEST_BYTES = 1_000_000
MOST_LINES = 300

# A made-up path that the tests of a message's clean-up need.
MADE_UP = {"/home/jo"}
ABSOLUTE = re.compile(r"(?<![\w.~*$}>/-])/(?:home|root|work|Users|mnt|media|opt)/[\w.-]+")
# Hosts that packages come from: pip knows them, and many who use this have others.
REGISTRIES = re.compile(
    "|".join(("py" + r"pi\.org", "python" + "hosted", r"download\.py" + r"torch\.org", "conda" + r"\."))
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = ("edgeseg", "bench", "make", "python -m edgeseg.runtime")


def tracked() -> list[Path]:
    """Files git knows, or all of them where there is no git (as in an unpacked archive)."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for folder in (*CODE, "tests", "docs", "recipes") for path in (ROOT / folder).rglob("*")]
        paths += list(ROOT.glob("*"))
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


FILES = tracked()
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def test_no_paths_of_one_machine_and_no_registries() -> None:
    found = [
        f"{name(path)}: {match[0]}"
        for path in FILES
        if path != Path(__file__).resolve()
        for pattern in (ABSOLUTE, REGISTRIES)
        for match in pattern.finditer(text_of(path) or "")
        if match[0] not in MADE_UP
    ]
    assert not found, "\n".join(found)


def test_no_large_files() -> None:
    large = [f"{name(path)}: {path.stat().st_size} bytes" for path in FILES if path.stat().st_size > LARGEST_BYTES]
    assert not large, large


def test_no_long_files() -> None:
    code = [path for path in FILES if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE]
    lengths = {name(path): len((text_of(path) or "").splitlines()) for path in code}
    assert code and not {file: lines for file, lines in lengths.items() if lines > MOST_LINES}


def test_edgeseg_is_a_namespace() -> None:
    assert not [name(path) for path in FILES if path.parts[-2:] == ("edgeseg", "__init__.py")]


def test_every_folder_says_what_it_is() -> None:
    assert [folder for folder in CODE if not (ROOT / folder / "README.md").is_file()] == []


def anchors(document: Path) -> set[str]:
    """What a link can name in it: its headings in lower case, without signs, blanks as hyphens."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(document) or ""), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    text = FENCE.sub("", text_of(document) or "")
    for target in (target for target in LINK.findall(text) if "://" not in target):
        file, _, anchor = target.partition("#")
        place = document.parent / file if file else document
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_python_examples_compile(document: Path) -> None:
    for language, block in FENCE.findall(text_of(document) or ""):
        if language == "python":
            ast.parse(block)


def commands() -> Iterator[Any]:
    """Every command line of ours in the documents' code blocks."""
    for document in DOCUMENTS:
        for language, block in FENCE.findall(text_of(document) or ""):
            for line in block.replace("\\\n", " ").splitlines() if language in ("", "sh", "bash", "console") else ():
                plain = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if plain.startswith(tuple(f"{command} " for command in COMMANDS)) or plain in COMMANDS:
                    yield pytest.param(plain, id=f"{name(document)}: {plain[:60]}")


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_documents_parse(line: str) -> None:
    words = shlex.split(line.replace("|", " | "), comments=True)
    words = words[: next((k for k, word in enumerate(words) if word in ("|", "&&", ";", ">")), len(words))]
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets or "=" in word for word in words[1:])
    elif words[0] == "python":
        _parse_for_device(words[3:])
    else:
        _parse_for_host(words if words[0] == "edgeseg" else ["edgeseg", *words])


def _parse_for_device(arguments: list[str]) -> None:
    from edgeseg.runtime.__main__ import _parser

    _parser().parse_args(arguments)  # exits where it cannot


def _parse_for_host(words: list[str]) -> None:
    from typer.testing import CliRunner

    from edgeseg.pipeline.cli import app

    # With --help a command says what it takes after its options have been parsed, and does nothing.
    done = CliRunner().invoke(app, [*words[1:], "--help"])
    assert done.exit_code == 0, done.stderr


def test_make_names_every_target_in_its_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^  {target} ", shown, re.MULTILINE) for target in phony)


def test_constraints_pin_everything_the_extras_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    asked = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
    # Engines that are chosen instead of what is pinned, or that only their own devices have.
    assert asked - pinned <= {"edgeseg", "tflite-runtime", "openvino"}


def test_the_lowest_versions_that_are_tested_are_those_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = dict(
        re.match(r"([\w.-]+)>=([\d.]+)", one).groups()
        for one in [
            *project["dependencies"],
            *(one for extra in ("cv", "ort", "litert", "sign", "bench") for one in extras[extra]),
        ]
        if not one.startswith("edgeseg[")
    )
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert declared.keys() == tested.keys()
    assert {name: f"{tested[name]}.".startswith(f"{bound}.") for name, bound in declared.items()} == dict.fromkeys(
        declared, True
    )


def test_the_runtime_s_commands_stand_alone_as_documented() -> None:
    arguments = [sys.executable, "-m", "edgeseg.runtime", "--help"]
    assert "doctor" in subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
