"""The scripts `edgeseg` and `bench`: the host's commands where its packages are, the device's elsewhere."""

from __future__ import annotations

import importlib

from edgeseg.runtime.text import terminal

# By name and late: this file is the one place that hands over to whatever else is installed beside the runtime,
# which stands alone and knows nothing of either.
_HOST_COMMANDS = "edgeseg.pipeline.cli"
_BENCH_COMMANDS = "edgeseg.benchmarks.cli"

# What the host's command line needs beyond the device's. Any other missing module is a fault, not a device.
_HOST_PACKAGES = {"typer", "rich", "click", "yaml", "jinja2", "torch", "lightning", "monai", "safetensors", "onnx"}


def main() -> int:
    """Run `edgeseg`: the host's commands, or the device's where the host's extras are missing."""
    return terminal.run(_edgeseg)


def bench() -> int:
    """Run `bench`, which is `edgeseg bench`; without its extras it says what to install."""
    return terminal.run(_bench)


def _edgeseg() -> int:
    try:
        app = importlib.import_module(_HOST_COMMANDS).app
    except ModuleNotFoundError as err:
        if not _is_host_only(err):
            raise
        return _device(err)
    app()
    return 0


def _bench() -> int:
    try:
        app = importlib.import_module(_BENCH_COMMANDS).app
    except ModuleNotFoundError as err:
        if not _is_host_only(err):
            raise
        terminal.say(f"error: bench needs {err.name}. Run: pip install 'edgeseg[bench]'")
        return 1
    app()
    return 0


def _device(err: ModuleNotFoundError) -> int:
    from edgeseg.runtime.__main__ import main as device_main

    terminal.say(
        f"edgeseg: the host's commands need {err.name} (pip install 'edgeseg[pipeline]'); "
        "these are the device's: verify, predict, evaluate, doctor."
    )
    return device_main()


def _is_host_only(err: ModuleNotFoundError) -> bool:
    name = err.name or ""
    return name.split(".")[0] in _HOST_PACKAGES or name.startswith(("edgeseg.pipeline", "edgeseg.benchmarks"))
