"""The detached process on the device: an environment where it is missing, then the job in it.

`python -m edgeseg.benchmarks.targets.ssh.work FOLDER FD…` by the device's own Python, which may have no numpy. The open
locks (FD) are handed down to whoever measures, so that they are held as long as anybody does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.process.events import EVENT_MARK


def work(folder: Path, held: tuple[int, ...]) -> int:
    """Make the environment, and do the job of `folder` in it."""
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    try:
        python = _environment(folder, order)
    except subprocess.CalledProcessError as error:
        _say({"event": "end", "ok": False, "reason": _words(error)})
        return 1
    except OSError as error:
        _say({"event": "end", "ok": False, "reason": f"the environment cannot be made: {error}"})
        return 1
    env = dict(os.environ)
    if order["venv"]:
        env.pop("PYTHONPATH", None)  # the wheel is installed there
    command = [python, "-m", "edgeseg.benchmarks.targets.device", str(folder)]
    return subprocess.run(command, env=env, pass_fds=held, check=False).returncode  # noqa: S603


def _environment(folder: Path, order: dict[str, Any]) -> str:
    """The Python to measure with; made once for a wheel and what is asked beside it."""
    if not order["venv"]:
        return str(order["python"])
    place = folder.parent.parent / "environments" / order["environment"]
    python, ready = str(place / "venv" / "bin" / "python"), place / "ready"
    if not ready.is_file():
        for other in place.parent.iterdir():  # the card of a Pi is small, and no other bench is at work
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
        _say({"event": "note", "text": "making an environment, once: this takes minutes"})
        # JetPack's cv2 and TensorRT are no packages of an index.
        site = ["--system-site-packages"] if Path("/etc/nv_tegra_release").exists() else []
        _call([order["python"], "-m", "venv", "--clear", *site, str(place / "venv")])
        for extra in order["extras"]:
            _add(python, folder / "wheels" / order["wheel"], extra, offline=order["offline"])
        ready.touch()
    return python


def _add(python: str, wheel: Path, extra: str, *, offline: bool) -> None:
    """Install the wheel with one of its extras; an engine that cannot be had costs its own rows alone."""
    has_cv2 = [python, "-I", "-c", "import cv2"]
    if extra == "cv" and not subprocess.run(has_cv2, capture_output=True, check=False).returncode:  # noqa: S603
        return
    local = ["--no-index", "--find-links", str(wheel.parent)] if offline else []
    # -I: on PYTHONPATH lies this very code, which pip would take for an installed package.
    pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", *local]
    try:
        _call([*pip, f"{wheel}[{extra}]" if extra else str(wheel)])
    except subprocess.CalledProcessError as error:
        if extra in ("", "cv"):
            raise
        _say({"event": "note", "text": f"{extra} cannot be installed: {_words(error)}"})


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603


def _words(error: subprocess.CalledProcessError) -> str:
    """What a program said last, or its complaints where it marks them."""
    lines = [line.strip() for line in (error.stdout or "").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
    step = "the environment cannot be made" if "venv" in error.cmd else "pip failed"
    return f"{step}: {' '.join(said) or f'exit code {error.returncode}'}"


def _say(obj: dict[str, Any]) -> None:
    sys.stdout.write(EVENT_MARK + json.dumps(obj) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), tuple(int(number) for number in sys.argv[2:])))
