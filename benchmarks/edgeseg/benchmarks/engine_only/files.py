"""From paths of foreign files to subjects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.benchmarks.engine_only.probe import ask_inputs
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.engine_only.tensors import Sizes, Tensor, Values, resolved
from edgeseg.runtime.engines import engine_of_suffix
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.files.onnx_header import read_onnx_header


def engine_subjects(
    paths: Sequence[Path], sizes: Sizes, values: Values = "random", timeout_s: float = 300.0
) -> tuple[EngineSubject, ...]:
    """Look into foreign files and ask their engines what they take.

    Args:
        paths: ONNX and TensorFlow Lite files, by content whatever their names.
        sizes: Of inputs that the files leave open.
        values: What the inputs hold.
        timeout_s: An engine that is silent for longer counts as broken [s].

    Returns:
        One subject a path. One that its engine cannot open has no inputs, and becomes a failed row.

    Raises:
        MeasureError: A file is of another kind, is cut off, or lacks the weights beside it.
        ConfigError: An input's size is open, or what was said of it does not fit.
    """
    names = distinct_names(paths)
    found, taken = [], list[Tensor]()
    for path, name in zip(paths, names, strict=True):
        engine = engine_of_suffix(f".{kind_of(path).key}")
        if engine is None:
            raise MeasureError(refusal(path, "a bundle, a step's folder, or an ONNX or TensorFlow Lite file"))
        beside = weights_beside(path) if engine.suffixes == (".onnx",) else ()
        inputs = ask_inputs(path, engine.name, timeout_s) or ()
        taken += inputs
        found.append(EngineSubject(name, path, EngineSpec(engine.name, resolved(inputs, sizes, name), values), beside))
    _refuse_strangers(sizes, taken)
    return tuple(found)


def weights_beside(path: Path) -> tuple[Path, ...]:
    """Files beside an ONNX file that hold its weights.

    Raises:
        MeasureError: One is not there.
    """
    header = read_onnx_header(path)
    files = tuple(path.parent / name for name in (header.external if header else ()))
    for file in files:
        if not file.is_file():
            raise MeasureError(
                f"{path} keeps weights in {file.name}, which is not beside it: copy both files into one folder"
            )
    return files


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """File names, with as many of their folders as tell them apart; the same file again gets a number."""
    parts = [path.absolute().parts for path in paths]
    names = []
    for index, own in enumerate(parts):
        others = [other for other in parts[:index] + parts[index + 1 :] if other != own]
        depth = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
        again = sum(other == own for other in parts[:index])
        names.append("/".join(own[-depth:]) + (f"#{again + 1}" if again else ""))
    return names


def _refuse_strangers(sizes: Sizes, taken: Sequence[Tensor]) -> None:
    known = sorted({tensor.name for tensor in taken})
    strange = [name for name in sizes.shapes or {} if name and name not in known]
    if strange and taken:
        raise ConfigError(f"--shape {strange[0]}=...: no file has an input of that name; there are {', '.join(known)}")
