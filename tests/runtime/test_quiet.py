"""Who uses the runtime as a library decides what is printed: outside of the commands it logs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import edgeseg.runtime

ROOT = Path(next(iter(edgeseg.runtime.__path__)))
COMMANDS = {"__main__.py", "entry.py", "text/terminal.py"}


def prints(tree: ast.AST) -> list[int]:
    """Lines with a call of `print`, or that name the standard output."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input"):
            found.append(node.lineno)
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "__stdout__"):
            found.append(node.lineno)
    return found


def test_no_module_but_the_commands_prints() -> None:
    files = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}
    assert files.keys() >= COMMANDS
    found = {name: prints(ast.parse(path.read_text("utf-8"))) for name, path in files.items() if name not in COMMANDS}
    assert not {name: lines for name, lines in found.items() if lines}


def test_the_check_sees_what_it_looks_for() -> None:
    assert prints(ast.parse("print(1)\nimport sys\nsys.stdout.write('a')")) == [1, 3]


def test_a_worker_leaves_standard_output_to_its_user(tiny_bundle: Path) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np
from edgeseg.runtime import Segmenter, Worker
with Segmenter.open(Path(sys.argv[1])) as segmenter, Worker.open(Path(sys.argv[1])) as worker:
    segmenter(np.zeros((9, 9), np.uint8)), worker(np.zeros((9, 9), np.uint8))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tiny_bundle)], capture_output=True, check=True)
    assert done.stdout == b""


def wall_clocks(tree: ast.AST) -> list[int]:
    """Lines that ask for the time of day, which jumps when a device finds its clock wrong."""
    named = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in named:
            found.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [node.lineno for one in node.names if one.name in ("time", "time_ns")]
    return found


def test_nothing_waits_or_measures_by_a_clock_that_jumps() -> None:
    assert wall_clocks(ast.parse("from time import time\nimport time\ntime.time()\ndate.today()")) == [1, 3, 4]
    found = {str(path): wall_clocks(ast.parse(path.read_text("utf-8"))) for path in ROOT.rglob("*.py")}
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_bundle_opens_where_nothing_can_be_written(tiny_bundle: Path, tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from edgeseg.runtime import Segmenter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a disk without a byte left
for variant in (None, "onnx-fp32", "fastest"):
    with Segmenter.open(Path(sys.argv[1]), variant, 1) as segmenter:
        assert segmenter(np.full((9, 9), 200, np.uint8)).mask.all()
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("XDG_CACHE_HOME", None)
    command = [sys.executable, "-c", script, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [path for path in home.rglob("*") if path.is_file()]
