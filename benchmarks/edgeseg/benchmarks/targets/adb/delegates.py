"""By what a phone runs a TFLite file, as the user names it and as `benchmark_model` is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.runtime.errors import ConfigError

DEFAULT = ("cpu", "gpu")
_FLAGS = {
    "cpu": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true",),
    "nnapi": ("--use_nnapi=true",),
}
_EXTERNAL = re.compile(r"external=(/[\w./+-]+)")


@dataclass(frozen=True)
class Delegate:
    """One of them.

    Attributes:
        name: In rows.
        flags: Of `benchmark_model`.
        accelerates: It is to take the graph from the processor, so that a graph it did not take is no result of it.
    """

    name: str
    flags: tuple[str, ...]
    accelerates: bool


def read_delegates(names: Sequence[str]) -> tuple[Delegate, ...]:
    """The delegates of `--delegate`, each once; the processor and the GPU where nothing is said.

    Raises:
        ConfigError: A name is none of them.
    """
    return tuple(_read(name) for name in dict.fromkeys(names or DEFAULT))


def _read(name: str) -> Delegate:
    if name in _FLAGS:
        return Delegate(name, _FLAGS[name], accelerates=name != "cpu")
    if found := _EXTERNAL.fullmatch(name):
        library = found[1].rpartition("/")[2].removesuffix(".so")
        return Delegate(library, (f"--external_delegate_path={found[1]}",), accelerates=True)
    raise ConfigError(f"--delegate {name}: give cpu, gpu, nnapi or external=/path/on/the/phone/delegate.so")
