"""The runtime stands alone: every module of it imports without the host's packages, and without loading an engine."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeseg.runtime

HOST_ONLY = (
    *("torch", "lightning", "monai", "torch_pruning", "safetensors", "tensorboard", "onnx", "onnxscript"),
    *("tensorflow", "litert_torch", "ai_edge_quantizer", "yaml", "typer", "click", "rich", "jinja2"),
    *("matplotlib", "scipy", "PIL", "pandas", "jsonschema", "psutil", "cryptography"),
    *("edgeseg.train", "edgeseg.compress", "edgeseg.export", "edgeseg.benchmarks", "edgeseg.pipeline"),
)
ENGINES = (
    "onnxruntime",
    "ai_edge_litert",
    "tflite_runtime",
    "openvino",
    "tensorrt",
    "tensorrt_rtx",
    "tensorrt_rtx_bindings",
)
# The one file that may import an engine, by engine.
ENGINE_FILES = {"edgeseg.runtime.backends.ort": "onnxruntime", "edgeseg.runtime.backends.openvino": "openvino"}

# walk_packages imports the packages it finds, and __main__ is a module like any other.
MODULES = sorted(module.name for module in pkgutil.walk_packages(edgeseg.runtime.__path__, "edgeseg.runtime."))

SCRIPT = """
import importlib, json, sys

blocked, modules = json.loads(sys.argv[1])

class Block:
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in blocked):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())
for name in modules:
    importlib.import_module(name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def imported(modules: list[str], blocked: tuple[str, ...], folder: Path) -> set[str]:
    """The top-level names a fresh process holds after importing `modules` with `blocked` packages missing."""
    command = [sys.executable, "-c", SCRIPT, json.dumps([blocked, modules])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(json.loads(done.stdout))


def test_the_list_is_not_empty() -> None:
    some = ("segmenter", "backends.litert", "data.dataset")
    assert {f"edgeseg.runtime.{name}" for name in some} <= set(MODULES)


def test_every_module_imports_with_numpy_and_cv2_alone(tmp_path: Path) -> None:
    modules = [name for name in MODULES if name not in ENGINE_FILES]
    found = imported(modules, HOST_ONLY + ENGINES, tmp_path)
    assert {"numpy", "cv2"} <= found


@pytest.mark.parametrize("module", sorted(ENGINE_FILES))
def test_an_engine_s_own_file_needs_that_engine_and_nothing_more(module: str, tmp_path: Path) -> None:
    pytest.importorskip(ENGINE_FILES[module])
    others = tuple(engine for engine in ENGINES if engine != ENGINE_FILES[module])
    # onnxruntime itself may look for onnx and the like; what is blocked here is what we would import.
    imported([module], ("torch", "edgeseg.train", "edgeseg.export", *others), tmp_path)


def test_the_errors_and_specs_come_without_cv2(tmp_path: Path) -> None:
    light = ["edgeseg.runtime", "edgeseg.runtime.errors", "edgeseg.runtime.spec.manifest", "edgeseg.runtime.__main__"]
    assert not imported(light, ("cv2", *ENGINES), tmp_path) & {"cv2", "numpy"}


def test_whoever_imports_the_facade_waits_for_nothing_heavy_and_no_engine(tmp_path: Path) -> None:
    base = imported(["numpy", "cv2"], (), tmp_path)
    beyond = imported(["numpy", "cv2", "edgeseg.runtime.segmenter"], (), tmp_path) - base
    assert "edgeseg" in beyond
    # What takes milliseconds each and is needed, if at all, once a file is opened.
    slow = {"email", "zipfile", "tempfile", "argparse", "asyncio", "logging", "multiprocessing", "socket", "subprocess"}
    assert not beyond & {*slow, *ENGINES, *HOST_ONLY}
