"""One row to be: a foreign file and what it is fed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.runtime.files.hashes import sha256_file


@dataclass(frozen=True)
class EngineSubject:
    """Stands where a pipeline has its `Subject`.

    Attributes:
        name: Unique within one measurement.
        model: The file that is loaded.
        spec: Its engine and inputs.
        beside: Files beside it that hold its weights; hash and size are of all.
    """

    name: str
    model: Path
    spec: EngineSpec
    beside: tuple[Path, ...] = ()
    accuracy: None = None
    params: None = None
    macs: None = None

    def sha256(self) -> str:
        """The hash of the bytes of all its files, hexadecimal."""
        return sha256_file(self.model, *self.beside)

    def n_bytes(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in (self.model, *self.beside))
