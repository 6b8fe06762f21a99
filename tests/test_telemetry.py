"""No engine sends or stores anything by itself, in no command, unless the user has asked for it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.runtime.telemetry import SWITCHES, switch_off

from .runtime.conftest import tiny_bundle, tiny_onnx  # noqa: F401  fixtures

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("runtime", "train", "compress", "export", "benchmarks", "pipeline")
# Packages that send or store something by themselves; see telemetry.py.
TALKING = ("onnxruntime", "openvino")


def sources() -> list[Path]:
    """Every Python file of the repository."""
    folders = [ROOT / name for name in (*FOLDERS, "tests", "docs", "recipes")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports_talking(path: Path) -> bool:
    """Whether a file imports such a package, wherever in it and in whichever way."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            *("import_module", "__import__", "importorskip"),
        ):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if any(name.split(".")[0] in TALKING for name in names):
            return True
    return False


def home(tmp_path: Path, **more: str) -> dict[str, str]:
    """An environment with a home of its own, in which nothing has been decided."""
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES and not name.startswith("XDG_")}
    return kept | {"HOME": str(tmp_path / "home"), "EDGESEG_TURNS": str(tmp_path / "turns")} | more


def test_only_files_of_our_folders_import_what_talks() -> None:
    """Python runs a folder's `__init__`, which switches off, before any of its files; a script outside has none."""
    found = [path.relative_to(ROOT) for path in sources() if imports_talking(path)]
    assert any(path.parts[0] == "runtime" for path in found), "the search finds what is there"
    ours = {Path(name) / "edgeseg" / name for name in FOLDERS}
    # tests/conftest.py imports edgeseg.runtime before any test file is read.
    outside = [path for path in found if path.parts[0] != "tests" and not any(one in path.parents for one in ours)]
    assert outside == [], "import edgeseg.runtime there first, and move the import into one of the folders"
    assert "import edgeseg.runtime" in (ROOT / "tests/conftest.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_switches_off_before_anything_else(folder: str, tmp_path: Path) -> None:
    script = f"import edgeseg.{folder}, json, os, sys; print([os.environ[name] for name in {list(SWITCHES)}], "
    script += f"[name for name in {TALKING} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=home(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [*str(list(SWITCHES.values())).split(), "[]"]


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("", "1"), ("0", "0"), ("1", "1"), ("no", "no")])
def test_what_the_user_has_set_stays(before: str | None, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
        if before is not None:
            monkeypatch.setenv(name, before)
    switch_off()
    assert {os.environ[name] for name in SWITCHES} == {after}


@pytest.mark.parametrize(("answer", "kept_out"), [(None, True), ("0", False), ("1", False)])
def test_what_sends_when_it_is_imported_is_kept_out_where_the_user_has_not_answered(
    answer: str | None, kept_out: bool, tmp_path: Path
) -> None:
    (tmp_path / "home/intel").mkdir(parents=True)
    if answer is not None:
        (tmp_path / "home/intel/openvino_telemetry").write_text(answer)
    script = "import edgeseg.runtime, sys; print('openvino_telemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=home(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(kept_out)


def host_modules() -> list[str]:
    """Modules outside the runtime that import what talks."""
    paths = [path.relative_to(ROOT) for path in sources() if imports_talking(path)]
    return [".".join(path.with_suffix("").parts[1:]) for path in paths if path.parts[0] in FOLDERS[1:]]


COMMANDS = {
    "predict": ["-m", "edgeseg.runtime", "predict", "BUNDLE", "IMAGE", "--out", "OUT", "--variant", "onnx-fp32"],
    "verify": ["-m", "edgeseg.runtime", "verify", "BUNDLE", "--allow-unsigned"],
    "doctor": ["-m", "edgeseg.runtime", "doctor", "BUNDLE"],
    "bench": [
        *("-c", "from edgeseg.runtime.entry import bench; bench()", "run", "BUNDLE", "--threads", "1"),
        *("--processes", "1", "--blocks", "1", "--seconds", "0.01", "--min-samples", "1", "--warmup-cap", "0.1"),
    ],
    "the host's modules": ["-c", f"import importlib; [importlib.import_module(name) for name in {host_modules()}]"],
    "the host's doctor": ["-c", "from edgeseg.runtime.entry import main; main()", "doctor"],
}


@pytest.fixture(params=list(COMMANDS))
def command(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> list[str]:  # noqa: F811
    """A command that runs an engine, with a small bundle and image."""
    if request.param.startswith("the host"):
        pytest.importorskip("lightning", reason="needs the host's packages")
    if request.param == "bench":
        pytest.importorskip("typer", reason="needs the extra 'bench'")
    image = tmp_path / "part.png"
    cv2.imwrite(str(image), np.arange(4096, dtype=np.uint8).reshape(64, 64))
    paths = {"BUNDLE": str(tiny_bundle), "IMAGE": str(image), "OUT": str(tmp_path / "masks")}
    return [sys.executable, *(paths.get(word, word) for word in COMMANDS[request.param])]


def test_a_fresh_home_stays_empty(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    done = subprocess.run(command, env=home(tmp_path), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [str(path) for path in (tmp_path / "home").rglob("*")] == []


def strace() -> str | None:
    """The program, or None where it is missing or may not trace."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        return None
    return found


def test_no_socket_but_of_this_machine_is_opened(command: list[str], tmp_path: Path) -> None:
    tracer = strace()
    if tracer is None:
        pytest.skip("strace is not installed, or may not trace here")
    (tmp_path / "home").mkdir()
    log = tmp_path / "calls"
    traced = [tracer, "-f", "-e", "trace=socket,connect,sendto", "-o", str(log), *command]
    done = subprocess.run(traced, env=home(tmp_path), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    families = set(re.findall(r"\b(?:socket\(|sa_family=)(AF_\w+)", log.read_text()))
    assert families <= {"AF_UNIX"}
