"""The folder of one step: its key, its partial work, and the marker that says it is whole.

steps/NAME/done.json    written last: key, result, wall time, SHA-256 of every file
steps/NAME/files/       what the step made
steps/NAME/work/        partial state of an interrupted step, of use to the same key alone
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.hashes import sha256_file, sha256_json

# Raised when the meaning of stored results changes, so that old folders are not taken for new ones.
STORE_VERSION = 1
_SPENT = "spent.json"


def make_key(name: str, version: int, settings: Any, parents: list[str]) -> str:
    """Identity of a step's result: a hash over its name, code version, settings and the keys of what it reads."""
    return sha256_json([STORE_VERSION, name, version, settings, parents])


def content_of(records: Iterable[Mapping[str, Any]]) -> str:
    """What steps hold, whenever they were made and however long that took: a hash over their results and files."""
    return sha256_json([[record["result"], record["files"]] for record in records])


@dataclass(frozen=True)
class StepFolder:
    """One step's place on disk."""

    root: Path

    @property
    def files(self) -> Path:
        """What the step made."""
        return self.root / "files"

    @property
    def work(self) -> Path:
        """Partial state that a restart of the same key goes on from."""
        return self.root / "work"

    @property
    def key(self) -> str | None:
        """Under which its files were made, whole or not; None where there are none."""
        record = self._record()
        return None if record is None else str(record["key"])

    def load(self, key: str, made_of: str | None = None) -> dict[str, Any] | None:
        """The stored record if the step is whole under this key, else None.

        Whole means: the marker is there, the key is equal, every file has the size and hash it was stored with, and it
        was made of what its parents hold now (`made_of`, of `content_of`). Equal keys do not say the last: what is
        measured comes out otherwise the next time. Records of before 2026-11-28 do not know what they were made of.
        """
        record = self._record()
        if record is None or record.get("key") != key:
            return None
        if made_of is not None and record.get("made_of", made_of) != made_of:
            return None
        for name, entry in record["files"].items():
            path = self.files / name
            if not path.is_file() or path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
                return None
        return record

    def begin(self, key: str, made_of: str | None = None) -> None:
        """Make room for a run of `key`; partial work of the same key and parents is kept, everything else removed.

        As for `load`, equal keys do not say that the parents hold the same; work of an earlier version says nothing
        of them, and is kept.
        """
        (self.root / "done.json").unlink(missing_ok=True)
        marker = self.work / "key.json"
        began = json.loads(marker.read_text() or "{}") if marker.is_file() else {}
        if began.get("key") != key or (made_of is not None and began.get("made_of", made_of) != made_of):
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(parents=True)
            began = {"key": key}
        write_json(marker, began if made_of is None else began | {"made_of": made_of})
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir(parents=True)

    def finish(self, key: str, result: dict[str, Any], wall_s: float, made_of: str | None = None) -> dict[str, Any]:
        """Mark the step as whole and drop its partial work."""
        paths = sorted(path for path in self.files.rglob("*") if path.is_file())
        files = {
            str(path.relative_to(self.files)): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in paths
        }
        made = {"key": key, "wall_s": round(wall_s, 2), "result": result, "files": files}
        if made_of is not None:
            made["made_of"] = made_of
        record: dict[str, Any] = json.loads(json.dumps(made))  # what is read back, so that both are the same
        write_json(self.root / "done.json", record)
        shutil.rmtree(self.work, ignore_errors=True)
        return record

    def fill(self, key: str, make: Callable[[], dict[str, Any]], made_of: str | None = None) -> dict[str, Any]:
        """Begin, make and finish; what interrupted runs of the same key have spent counts into the wall time.

        Args:
            key: Of the result.
            make: Writes into `files` and returns the result.
            made_of: As for `load`.
        """
        self.begin(key, made_of)
        start = time.monotonic() - self._spent_s()
        try:
            result = make()
        finally:
            if self.work.is_dir():
                write_json(self.work / _SPENT, {"wall_s": time.monotonic() - start})
        return self.finish(key, result, time.monotonic() - start, made_of)

    def _spent_s(self) -> float:
        try:
            return float(json.loads((self.work / _SPENT).read_text())["wall_s"])
        except (OSError, ValueError, KeyError):
            return 0.0

    def _record(self) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads((self.root / "done.json").read_text())
        except (OSError, ValueError):
            return None
        return record if {"key", "files", "result"} <= record.keys() else None
