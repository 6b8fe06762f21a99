"""What a search has done so far, on disk: every training with its settings, cost and result; measurements and choices.

trainings/NAME/   one training, as a step's folder: done.json is written last, a restart goes on from work/
KIND/NAME.json    something found once (a measurement, scores, a cut), with the key of what it depends on
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.pipeline.chain.store import StepFolder, make_key
from edgeseg.runtime.files.atomic import write_json

_VERSION = 1

Settings = dict[str, Any]


@dataclass
class Journal:
    """The folder of a search, and the trainings and findings this pass has come by, in order.

    Attributes:
        root: Folder of the search.
        trainings: Rows `name settings wall_s result reused`.
        finding_s: Seconds spent on findings by kind and name, what was found or trained inside of them left out;
            those of earlier passes included.
    """

    root: Path
    trainings: list[dict[str, Any]] = field(default_factory=list)
    finding_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _inner_s: float = 0.0

    def training(self, name: str) -> StepFolder:
        """Place of a training."""
        return StepFolder(self.root / "trainings" / name)

    def reused(self, name: str) -> bool:
        """Whether a training of this pass was read back from an earlier one."""
        return any(row["name"] == name and row["reused"] for row in self.trainings)

    def train(self, name: str, settings: Settings, run: Callable[[StepFolder], Settings]) -> Settings:
        """Run a training once; one that was finished under equal settings is read back, one that was cut short goes on.

        Args:
            name: Of the training, also its folder's.
            settings: All it depends on, JSON-able: parents by the hash of their weights.
            run: Trains inside the folder and returns the result.

        Returns:
            Its result.
        """
        folder, key = self.training(name), make_key(name, _VERSION, settings, [])
        record = folder.load(key)
        reused = record is not None
        if record is None:
            record = folder.fill(key, lambda: run(folder))
        row = {"name": name, "settings": settings, "wall_s": record["wall_s"], "result": record["result"]}
        if name not in [one["name"] for one in self.trainings]:
            self.trainings.append(row | {"reused": reused})
            self._write()
        self._inner_s += 0.0 if reused else float(record["wall_s"])
        found: Settings = record["result"]
        return found

    def find(
        self,
        kind: str,
        name: str,
        settings: Settings,
        make: Callable[[], Any],
        keep: Callable[[Any], bool] | None = None,
    ) -> Any:
        """Something found once: read back if everything it depends on is equal.

        Args:
            kind: Such as `measurements`.
            name: Within the kind.
            settings: All it depends on, JSON-able.
            make: Returns it, JSON-able.
            keep: Whether a value is kept; the next pass makes the others again. None keeps all.
        """
        path, key = self.root / kind / f"{name}.json", make_key(name, _VERSION, settings, [])
        stored = _read(path)
        if stored is None or stored.get("key") != key:
            start, outer_s, known = time.monotonic(), self._inner_s, set(self.finding_s)
            self._inner_s = 0.0
            path.unlink(missing_ok=True)  # `make` replaces the files that an earlier finding speaks of
            value = make()
            took_s = time.monotonic() - start
            inside = [[*place, seconds] for place, seconds in self.finding_s.items() if place not in known]
            own_s = round(max(took_s - self._inner_s, 0.0), 2)
            stored = {"key": key, "wall_s": own_s, "value": value, "inside": inside}
            if keep is None or keep(value):
                write_json(path, stored)
            self._inner_s = outer_s + took_s
        for of_kind, of_name, seconds in stored.get("inside", []):  # nobody asks for these again
            self.finding_s[of_kind, of_name] = seconds
        self.finding_s[kind, name] = stored["wall_s"]
        return stored["value"]

    def _write(self) -> None:
        """The journal as one readable file; nothing is decided from it."""
        write_json(self.root / "journal.json", {"schema_version": _VERSION, "trainings": self.trainings})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if {"key", "value", "wall_s"} <= stored.keys() else None
