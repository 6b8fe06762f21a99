"""Who uses the runtime as a library decides what is printed: outside of the commands it logs."""

from __future__ import annotations

import ast
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
