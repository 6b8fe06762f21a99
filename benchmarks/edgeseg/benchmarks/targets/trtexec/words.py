"""The words of trtexec by its version: engines from ONNX files, and runs that mean the same in all versions.

TensorRT 11 leaves copies out, spins and takes a CUDA graph by itself; 8 and 10 are told to. So "GPU Compute Time" is
the same figure everywhere.

Reference:
    NVIDIA/TensorRT samples/common/sampleOptions.cpp.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.errors import MeasureError

_WARM_UP_MS = 500
_UINT8_SINCE, _TYPED_SINCE, _NO_WEAK_SINCE = 10, 10, 11


@dataclass(frozen=True)
class Input:
    """An input of the file.

    Attributes:
        name: As the file calls it.
        dtype: numpy's name of its element type.
        shape: What it is run with.
        fixed: The file leaves no size of it open: then TensorRT takes none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    fixed: bool


def check_inputs(version: str, inputs: Sequence[Input]) -> None:
    """Refuse what this TensorRT does not read, before a board takes minutes to say so.

    Raises:
        MeasureError: An input is of bytes.
    """
    if _major(version) < _UINT8_SINCE and any(one.dtype == "uint8" for one in inputs):
        raise MeasureError(f"TensorRT {version} takes no pixels in uint8: {_how_to_write(version)}")


def build_words(version: str, model: Path, inputs: Sequence[Input], precision: str | None) -> tuple[str, ...]:
    """The words that build an engine of a file, to be run where it lies.

    Args:
        version: TensorRT's on the board.
        model: The ONNX file; the record that `edgeseg build --trtexec` wrote beside it has the last word.
        inputs: Of the file.
        precision: Of the file, `None` where it does not say.

    Raises:
        MeasureError: The record is of another version.
    """
    ordered = _recorded(version, model)
    if ordered is not None:
        return ordered
    words = [f"--onnx={model.name}", f"--saveEngine={model.stem}.engine", *shape_words(inputs), "--noTF32"]
    if _major(version) < _TYPED_SINCE:
        words += [f"--{precision}"] if precision in ("fp16", "int8") else []
    elif _major(version) < _NO_WEAK_SINCE:
        words.append("--stronglyTyped")  # in the precision that the file says, as 11 does by itself
    return tuple(words)


def run_words(version: str, model: Path, inputs: Sequence[Input], seconds: float, n: int) -> tuple[str, ...]:
    """The words that time an engine: at least so long and so often, nothing but the GPU's work."""
    words = [f"--loadEngine={model.stem}.engine", *shape_words(inputs)]
    words += [f"--warmUp={_WARM_UP_MS}", f"--duration={math.ceil(seconds)}", f"--iterations={n}"]
    if _major(version) < _NO_WEAK_SINCE:
        words += ["--noDataTransfers", "--useSpinWait", "--useCudaGraph"]
    return tuple(words)


def beside(model: Path) -> tuple[Path, ...]:
    """Files that the record's command reads beside the model."""
    words = _record(model).get("command", ())
    names = [word.partition("=")[2] for word in words if word.startswith("--calib=")]
    return tuple(model.with_name(name) for name in names)


def precision_of(model: Path) -> str | None:
    """What the record has the engine built in, or `None` without one."""
    words = _record(model).get("command")
    return None if words is None else next((one for one in ("int8", "fp16") if f"--{one}" in words), "fp32")


def shape_words(inputs: Sequence[Input]) -> tuple[str, ...]:
    """The shapes of inputs that the file leaves open; TensorRT refuses those of others."""
    shapes = [f"{one.name}:{'x'.join(map(str, one.shape))}" for one in inputs if not one.fixed]
    return (f"--shapes={','.join(shapes)}",) if shapes else ()


def _recorded(version: str, model: Path) -> tuple[str, ...] | None:
    record = _record(model)
    if not record:
        return None
    if record["version"] != _of_build(version):
        raise MeasureError(
            f"{model.name} was written for TensorRT {record['version']}, the board has {version}: "
            f"{_how_to_write(version)}"
        )
    return tuple(record["command"][1:])


def _record(model: Path) -> Mapping[str, Sequence[str]]:
    """What `edgeseg build --trtexec` says of a file, empty where it did not write it."""
    try:
        return dict(json.loads(model.with_suffix(".json").read_bytes())["trtexec"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _major(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])


def _of_build(version: str) -> str | None:
    """As `edgeseg build --trtexec` names it: its 8.2 stands for 8.3, too, its 8.5 for 8.4 to 8.6."""
    major, minor = (int(part) for part in version.split(".")[:2])
    if major != 8 or minor < 2:
        return None
    return "8.2" if minor < 4 else "8.5"


def _how_to_write(version: str) -> str:
    name = _of_build(version)
    if name is None:
        return "files are written for TensorRT 8.2 to 8.6, and 10 takes a bundle's as they are: update JetPack"
    return (
        f"write the file for it by `edgeseg build BUNDLE --variant trt-fp32 --trtexec {name} --out engines`, and "
        "measure engines/trt-fp32.onnx"
    )
