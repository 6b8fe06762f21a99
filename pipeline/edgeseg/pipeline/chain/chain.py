"""The resumable chain: each step is keyed by a hash of its inputs and settings and run once.

Nothing heavy is imported here. Whether a step is whole is decided from JSON and hashes; a step's own module (and with
it torch, monai or an exporter) is imported only when it has to run.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.pipeline.chain.store import StepFolder, content_of, make_key
from edgeseg.pipeline.reader import read_config
from edgeseg.runtime.errors import EdgesegError

T = TypeVar("T")

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
        settings: All it is told, and so all it depends on beside its parents and the images; JSON-able.
        module: Where its `run(context)` lives, `package.module:function`, imported only when it runs;
            it returns a dataclass or a dict, JSON-able.
        version: Raised when the step's code changes what it makes.
        uses_data: Whether the images are among its inputs.
        weight: Rough share of the chain's time, for the progress bar.
        places: Where things lie whose content, not whose place, is among the settings.
        left_out: Why it is not run at all; its record says so, and what it left before stays.
    """

    name: str
    parents: tuple[str, ...]
    settings: Mapping[str, Any]
    module: str
    version: int = 1
    uses_data: bool = True
    weight: float = 1.0
    places: Mapping[str, str] = field(default_factory=dict)
    left_out: str | None = None


@dataclass
class StepContext:
    """What a running step is handed.

    Attributes:
        step: The step itself.
        data_root: Folder of the data set.
        split_file: Where a split made by us is written down.
        folder: Its place on disk.
        results: Records of its parents by name.
        folders: Folders of all steps by name.
        progress: Called with a share in [0, 1] and a few words.
        data_key: Identity of the images that it works on, for who opens them; None where nothing is keyed by it.
    """

    step: Step
    data_root: Path
    split_file: Path
    folder: StepFolder
    results: dict[str, dict[str, Any]]
    folders: dict[str, StepFolder]
    progress: Callable[[float, str], None]
    data_key: str | None = None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the step is told, just as its key hashes it."""
        settings: dict[str, Any] = json.loads(json.dumps(dict(self.step.settings)))
        return settings

    def setting(self, name: str) -> Any:
        """One of its settings.

        Raises:
            KeyError: If the plan does not hand it to this step: what is read is what the step is keyed by.
        """
        if name not in self.settings:
            known = ", ".join(self.settings) or "nothing"
            raise KeyError(f"step {self.step.name!r} reads {name!r}, but is keyed by {known}; hand it over in the plan")
        return self.settings[name]

    def section(self, name: str, cls: type[T]) -> T:
        """One of its settings as the dataclass that it is, all of whose fields must be there.

        Raises:
            KeyError: As `setting`.
            ConfigError: If it is no `cls`, or not a whole one.
        """
        return read_config(cls, self.setting(name), f"{self.step.name}: {name}", whole=True)

    def result(self, name: str, cls: type[T]) -> T:
        """What one of its parents has left; see `result_of`."""
        return result_of(self.results, name, cls)

    @property
    def views_folder(self) -> Path:
        """Where stored views lie: beside the split, one place for all trainings of a run."""
        return self.split_file.parent / "views"


def result_of(records: Mapping[str, Mapping[str, Any]], name: str, cls: type[T]) -> T:
    """What a step has left, as the dataclass that it returned.

    Args:
        records: By step.
        name: Of a step that is among them.
        cls: Fields that it lacks and that have a default take that.

    Raises:
        ConfigError: If it is no `cls`.
    """
    return read_config(cls, records[name]["result"], f"result of {name}")


@dataclass
class ChainRun:
    """State of one pass over the chain: what was reused, run or left."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chain:
    """Steps over one data set, in one run folder.

    Attributes:
        steps: In order.
        root: The run's folder.
        data_root: Folder of the data set.
        data_key: Identity of images, masks and split.
    """

    steps: tuple[Step, ...]
    root: Path
    data_root: Path
    data_key: str

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
        needed, keys = needed_steps(self.steps, only), self.keys()
        state = ChainRun()
        for step in self.steps:
            if step.name not in needed:
                continue
            key = keys[step.name]
            if step.left_out is not None:
                state.records[step.name] = _left_out(key, step.left_out)
                continue
            made_of = content_of(state.records[name] for name in step.parents)
            record = self.folder(step.name).load(key, made_of)
            if record is None:
                record = self._run_step(step, key, made_of, state, progress)
                state.ran.append(step.name)
            else:
                state.reused.append(step.name)
                progress(step.name, 1.0, "unchanged")
            state.records[step.name] = record
        return state

    def keys(self) -> dict[str, str]:
        """Key of each step by name; of equal keys the results are equal."""
        keys: dict[str, str] = {}
        for step in self.steps:
            keys[step.name] = self.key_of(step, keys)
        return keys

    def _run_step(self, step: Step, key: str, made_of: str, state: ChainRun, progress: ChainProgress) -> dict[str, Any]:
        folder = self.folder(step.name)
        context = StepContext(
            step=step,
            data_root=self.data_root,
            split_file=self.root / "split.csv",
            folder=folder,
            results={name: state.records[name] for name in step.parents},
            folders={other.name: self.folder(other.name) for other in self.steps},
            progress=lambda share, words: progress(step.name, share, words),
            data_key=self.data_key,
        )
        module, function = step.module.split(":")

        def make() -> dict[str, Any]:
            result = getattr(importlib.import_module(module), function)(context)
            return asdict(result) if is_dataclass(result) else result  # type: ignore[arg-type]

        return folder.fill(key, make, made_of)

    def key_of(self, step: Step, keys: Mapping[str, str]) -> str:
        """Key of a step whose parents have these keys."""
        parents = [keys[name] for name in step.parents] + ([self.data_key] if step.uses_data else [])
        settings = dict(step.settings) if step.left_out is None else {"left_out": step.left_out}
        return make_key(step.name, step.version, settings, parents)


def needed_steps(steps: Iterable[Step], only: str | None) -> set[str]:
    """Names of the steps that `only` stands on, with itself; None: of all.

    Raises:
        EdgesegError: `only` is no step.
    """
    by_name = {step.name: step for step in steps}
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


def _left_out(key: str, reason: str) -> dict[str, Any]:
    return {"key": key, "wall_s": 0.0, "result": {"status": "not measured", "reason": reason}, "files": {}}
