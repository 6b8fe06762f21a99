"""A recipe: everything one run of the chain is told, read from YAML and checked at once."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.reader import UnknownKeysError, read_config
from edgeseg.pipeline.recipe.assignment import set_value
from edgeseg.pipeline.recipe.sections.distill import DistillSection
from edgeseg.pipeline.recipe.sections.export import DecisionSection, ExportSection, QuantizeSection
from edgeseg.pipeline.recipe.sections.fit import FitSection
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.recipe.sections.prune import refuse_prune
from edgeseg.pipeline.recipe.sections.reference import ReferenceSection
from edgeseg.pipeline.recipe.sections.student import StudentSection
from edgeseg.pipeline.recipe.sections.teacher import TeacherSection
from edgeseg.pipeline.recipe.source import place, read_source
from edgeseg.runtime.engines import BUDGET_TARGETS
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_json
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, LossConfig

# It names the run's folder and the bundle: no separators, nothing a terminal acts on, no lone surrogates, no option.
_NAME = re.compile(r"[^-\s/\\.\x00-\x1f\x7f-\x9f\ud800-\udfff][^\s/\\.\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
_LONGEST_NAME_BYTES = 160
_BUNDLE_ID = re.compile(r".+-[0-9a-f]{16}")


@dataclass(frozen=True)
class DataConfig:
    """Which images.

    Attributes:
        name: `synthetic`, or the name of a folder in EDGESEG_DATA (or beside the checkout), unless `--data` names one.
        synthetic_images: Number of images drawn where `name` is `synthetic`.
        synthetic_px: Side of these images [px].
        seed: Of the drawing, and of the split where the data brings none.
    """

    name: str
    synthetic_images: int = 240
    synthetic_px: int = 128
    seed: int = 0


@dataclass(frozen=True)
class TrainSection:
    """What all trainings share; see `edgeseg.train.config.TrainConfig`.

    `threads` and `precision` left out follow from the kind of machine (`edgeseg.train.machine`); a run keeps them.
    """

    batch_size: int = 8
    weight_decay: float = 0.01
    schedule: str = "onecycle"
    samples_per_epoch: int = 0
    p_defect: float = 0.7
    validate_every: int = 2
    patience: int = 0
    ema: float = 0.05
    seed: int = 0
    workers: int = 1
    devices: int = 1
    threads: int | None = None
    precision: str | None = None
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class BenchSection:
    """How latency is measured; see docs/measuring.md and `edgeseg.benchmarks.config.HarnessConfig`."""

    threads: int = 2
    processes: int = 5
    blocks: int = 5
    seconds: float = 5.0
    min_samples: int = 75
    warmup_cap_s: float = 10.0


@dataclass(frozen=True)
class RecipeIdentity:
    """Which recipe a bundle is made by."""

    name: str
    sha256: str
    intended_use: str
    bundle_version: str = "1"
    previous_bundle: str | None = None


# What makes no network, or no step of training, at 0 or below: told here, with its line, not after the data are read.
_ABOVE_ZERO = {
    "train": ("batch_size", "validate_every", "devices", "threads"),
    "teacher": ("base", "depth", "epochs", "learning_rate", "seeds"),
    "student": ("width", "depth", "stages", "decoder_width", "epochs", "learning_rate", "seeds"),
    "distill": ("temperature",),
    "bench": ("threads", "processes", "blocks", "seconds", "min_samples"),
    "reference": ("base", "depth"),
}


@dataclass(frozen=True)
class Recipe:
    """One run of the chain, from images to bundle. Without a budget the student goes on uncut."""

    name: str
    data: DataConfig
    geometry: Geometry
    intended_use: str = "research; no clinical or safety claim"
    bundle_version: str = "1"
    previous_bundle: str | None = None
    binary_output: bool = False
    train: TrainSection = field(default_factory=TrainSection)
    teacher: TeacherSection = field(default_factory=TeacherSection)
    student: StudentSection = field(default_factory=StudentSection)
    distill: DistillSection = field(default_factory=DistillSection)
    decision: DecisionSection = field(default_factory=DecisionSection)
    export: ExportSection = field(default_factory=ExportSection)
    quantize: QuantizeSection = field(default_factory=QuantizeSection)
    bench: BenchSection = field(default_factory=BenchSection)
    reference: ReferenceSection = field(default_factory=ReferenceSection)
    gates: GateSection = field(default_factory=GateSection)
    fit: FitSection = field(default_factory=FitSection)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES:
            raise ConfigError(
                f"name is {self.name!r}; use a short name without slashes, dots and spaces, as it names files"
            )
        if self.previous_bundle is not None and not _BUNDLE_ID.fullmatch(self.previous_bundle):
            found = f"previous_bundle is {self.previous_bundle!r}, which is no identity of a bundle"
            raise ConfigError(f"{found}; copy NAME-0123456789abcdef from what `edgeseg inspect` says of it")
        unknown = [target for target in self.gates.min_speedup if target not in BUDGET_TARGETS]
        if unknown:
            raise ConfigError(f"gates.min_speedup.{unknown[0]} is no target; known are {', '.join(BUDGET_TARGETS)}")
        if self.budget is not None and self.budget.target not in BUDGET_TARGETS:
            raise ConfigError(f"budget.target is {self.budget.target!r}; known are {', '.join(BUDGET_TARGETS)}")
        for section, names in _ABOVE_ZERO.items():
            for key in names:
                value = getattr(getattr(self, section), key)
                if value is not None and not value > 0:
                    raise ConfigError(f"{section}.{key} is {value}, but must be above 0")
        stride = self.teacher.stride
        if self.geometry.mode == "resize" and (
            int(self.geometry.height_px or 0) % stride or int(self.geometry.width_px or 0) % stride
        ):
            raise ConfigError(
                f"geometry is {self.geometry.height_px}x{self.geometry.width_px}, but {self.teacher.named_by} needs "
                f"multiples of {stride}; change one of them"
            )
        self.distill.check(self.teacher.seeds, self.train.devices, self.train.augment)
        if self.decision.objective is not None and not self.binary_output:
            raise ConfigError(
                f"decision.objective is {self.decision.objective!r}, but a threshold belongs to one output; "
                "set binary_output: true (two classes), or leave the objective out"
            )
        self.reference.check(self.geometry)

    def to_json(self) -> dict[str, Any]:
        """The recipe with every default written out."""
        values = dataclasses.asdict(self)
        if self.previous_bundle is None:
            del values["previous_bundle"]  # named only where there is one: other recipes keep the hash they always had
        return values

    def sections(self, *names: str) -> dict[str, Any]:
        """Some of its sections and values, as plain JSON: what a step is handed and keyed by."""
        values = self.to_json()
        return {name: values[name] for name in names}

    def of_search(self) -> Recipe:
        """What the search for a network within the budget reads of it; all else is as if it were not said."""
        return Recipe(
            name="search",
            data=DataConfig("search"),
            geometry=self.geometry,
            binary_output=self.binary_output,
            train=self.train,
            teacher=TeacherSection(self.teacher.encoder, depth=self.teacher.depth),  # decides which sizes are right
            student=self.student,
            distill=self.distill,
            quantize=dataclasses.replace(self.quantize, folder=None, float_paths=(), qat=None),
            bench=BenchSection(threads=self.bench.threads),
            reference=ReferenceSection(depth=self.reference.depth),  # as that of the teacher
            fit=self.fit,
            budget=self.budget,
        )

    def of_target(self) -> Recipe:
        """What of `of_search` is asked of a target, before anything is trained."""
        return dataclasses.replace(
            self.of_search(),
            train=TrainSection(seed=self.train.seed),
            student=StudentSection(),
            distill=DistillSection(),
            fit=FitSection(),
        )

    @property
    def identity(self) -> RecipeIdentity:
        """What a bundle and a report say of it."""
        return RecipeIdentity(self.name, self.sha256(), self.intended_use, self.bundle_version, self.previous_bundle)

    def sha256(self) -> str:
        """Identity of the recipe: the hash of its canonical JSON."""
        return sha256_json(self.to_json())


def load_recipe(path: Path, assignments: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply `--set` assignments.

    Args:
        path: A YAML file.
        assignments: Such as `teacher.epochs=20`.

    Raises:
        ConfigError: For anything unknown, of a wrong type or contradictory, with its key, value and remedy.
    """
    document = read_source(path)
    values = document.values
    for assignment in assignments:
        set_value(values, assignment)
    set_here = tuple(assignment.partition("=")[0].strip() for assignment in assignments)
    try:
        refuse_prune(values)
        return read_config(Recipe, values, "")
    except UnknownKeysError as err:
        found = (f"{place(sentence, document.lines, set_here)}{sentence}" for sentence in err.sentences)
        raise ConfigError(f"recipe {path}: {'; '.join(found)}") from err
    except Exception as err:  # also a section's own check, such as ManifestError of the geometry
        raise ConfigError(f"recipe {path}: {place(str(err), document.lines, set_here)}{err}") from err


def find_data(recipe: Recipe, given: Path | None) -> Path | None:
    """Where a recipe's images are; None means the synthetic set, which the chain draws itself.

    Raises:
        ConfigError: If the folder is nowhere to be found, with the places looked at.
    """
    if given is not None:
        if not given.is_dir():
            raise ConfigError(f"--data {given} is no folder; name one with images/ and masks/")
        return given
    if recipe.data.name == "synthetic":
        return None
    roots = [Path(os.environ["EDGESEG_DATA"])] if os.environ.get("EDGESEG_DATA") else []
    roots += [Path("../shared/data"), Path("data")]
    for root in roots:
        if (root / recipe.data.name).is_dir():
            return root / recipe.data.name
    looked = ", ".join(str(root / recipe.data.name) for root in roots)
    raise ConfigError(f"data set {recipe.data.name!r} not found (looked at {looked}); give --data DIR")
