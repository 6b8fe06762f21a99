"""The resumable chain: each step is keyed by a hash of its inputs and settings and run once.

Nothing heavy is imported here. Whether a step is whole is decided from JSON and hashes; a step's own module (and with
it torch, monai or an exporter) is imported only when it has to run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.pipeline.chain.store import StepFolder, make_key
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.errors import EdgesegError

# (step, share done in [0, 1], a few words) -> None
ChainProgress = Callable[[str, float, str], None]


def no_progress(step: str, share: float, words: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Step:
    """One step of the chain.

    Attributes:
        name: Also its folder's name.
        parents: Steps whose results it reads.
        settings: What of the recipe it depends on; JSON-able.
        module: Where its `run(context)` lives, `package.module:function`, imported only when it runs.
        version: Raised when the step's code changes what it makes.
        uses_data: Whether the images are among its inputs.
        weight: Rough share of the chain's time, for the progress bar.
    """

    name: str
    parents: tuple[str, ...]
    settings: Mapping[str, Any]
    module: str
    version: int = 1
    uses_data: bool = True
    weight: float = 1.0


@dataclass
class StepContext:
    """What a running step is handed.

    Attributes:
        step: The step itself.
        recipe: The whole recipe; a step reads only what is in its `settings`.
        data_root: Folder of the data set.
        split_file: Where a split made by us is written down.
        folder: Its place on disk.
        results: Records of its parents by name.
        folders: Folders of all steps by name.
        progress: Called with a share in [0, 1] and a few words.
    """

    step: Step
    recipe: Recipe
    data_root: Path
    split_file: Path
    folder: StepFolder
    results: dict[str, dict[str, Any]]
    folders: dict[str, StepFolder]
    progress: Callable[[float, str], None]

    @property
    def views_folder(self) -> Path:
        """Where stored views lie: beside the split, one place for all trainings of a run and of its fits."""
        return self.split_file.parent / "views"


@dataclass
class ChainRun:
    """State of one pass over the chain: what was reused, run or left."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chain:
    """The steps of one recipe over one data set, in one run folder.

    Attributes:
        recipe: Checked settings, with what they leave to the machine filled in.
        steps: In order.
        root: The run's folder.
        data_root: Folder of the data set.
        data_key: Identity of images, masks and split.
        about: What dataset.yaml says beside them; trainings do not depend on it.
    """

    recipe: Recipe
    steps: tuple[Step, ...]
    root: Path
    data_root: Path
    data_key: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def folder(self, name: str) -> StepFolder:
        """Place of a step on disk."""
        return StepFolder(self.root / "steps" / name)

    def run(self, progress: ChainProgress = no_progress, only: str | None = None) -> ChainRun:
        """Run what is not whole, in order.

        Args:
            progress: Told which step runs and how far it is.
            only: Stop after this step; steps it does not need are left alone.

        Returns:
            Records of all steps passed, by name.

        Raises:
            EdgesegError: From the step that failed; what was done before stays, and partial work is kept.
        """
        needed = self._needed(only)
        state = ChainRun()
        keys: dict[str, str] = {}
        for step in self.steps:
            if step.name not in needed:
                continue
            keys[step.name] = key = self._key(step, keys)
            record = self.folder(step.name).load(key)
            if record is None:
                record = self._run_step(step, key, state, progress)
                state.ran.append(step.name)
            else:
                state.reused.append(step.name)
                progress(step.name, 1.0, "unchanged")
            state.records[step.name] = record
        return state

    def _run_step(self, step: Step, key: str, state: ChainRun, progress: ChainProgress) -> dict[str, Any]:
        folder = self.folder(step.name)
        context = StepContext(
            step=step,
            recipe=self.recipe,
            data_root=self.data_root,
            split_file=self.root / "split.csv",
            folder=folder,
            results={name: state.records[name] for name in step.parents},
            folders={other.name: self.folder(other.name) for other in self.steps},
            progress=lambda share, words: progress(step.name, share, words),
        )
        module, function = step.module.split(":")
        return folder.fill(key, lambda: getattr(importlib.import_module(module), function)(context))

    def _key(self, step: Step, keys: Mapping[str, str]) -> str:
        parents = [keys[name] for name in step.parents] + ([self.data_key] if step.uses_data else [])
        return make_key(step.name, step.version, dict(step.settings), parents)

    def _needed(self, only: str | None) -> set[str]:
        by_name = {step.name: step for step in self.steps}
        if only is None:
            return set(by_name)
        if only not in by_name:
            raise EdgesegError(f"step {only!r} is unknown; known are {', '.join(by_name)}")
        needed, waiting = set(), [only]
        while waiting:
            name = waiting.pop()
            needed.add(name)
            waiting += by_name[name].parents
        return needed
