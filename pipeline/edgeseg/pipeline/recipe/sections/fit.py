"""The recipe's `fit` section: how far the search for the best network within the budget may go."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.runtime.errors import ConfigError

# Kept in step with `edgeseg.compress.search.importance.IMPORTANCE`, which imports torch; a test compares the two.
IMPORTANCES = ("group_l2", "taylor", "random")
STUDENTS = ("student_alone", "student_distilled")
BASELINES = ("random_largest", "thin_student", "thin_pretrained", "coarse_student")

_DEPTH, _WIDTHS = "depth", "widths"
# Names of `edgeseg.pipeline.search.cut.Way`.
WAYS = tuple(f"{name}-{parts}" for name in IMPORTANCES for parts in (_DEPTH, _WIDTHS))


@dataclass(frozen=True)
class FitSection:
    """See docs/fit.md; every training it allows is bounded by its epochs.

    Attributes:
        importances: Ways to rank channels that are tried by short trainings; the best on val goes on.
        depth: Whether blocks, stages and the last decoder level may go; channels alone are tried beside it.
        student: The student that goes on; named, the other is not trained. None takes the better one on val.
        way: The one way to cut, such as `taylor-depth` or `taylor-widths`; named, nothing else is tried.
        search_epochs: Of each short training; where whole parts went, the first few show nothing.
        search_scale: Side of the images in short trainings, as a ratio of the recipe's (resized frames and tiles).
        rounds: Steps of equal factors from the student to the budget, fine-tuned after each.
        round_epochs: Fine-tuning after each round.
        final_epochs: Training after the last round; as much again is given to the pruned baseline.
        learning_rate: Peak of each fine-tuning.
        gate_batches: Training batches that `taylor` looks at.
        corrections: How often a cut whose measurement misses the budget is made again, deeper, before any training.
        margin: The search aims this ratio below the budget, so that a measurement's noise does not break it.
        final_seeds: Trainings with other seeds of the final row and of the winning baseline.
        baselines: What runs beside the method; without any the method ships unopposed. `thin_pretrained` runs where
            `student.init` is not `none`, `coarse_student` where it is named: what a finer answer costs, spent on width.
    """

    importances: tuple[str, ...] = ("taylor", "group_l2")
    depth: bool = True
    student: str | None = None
    way: str | None = None
    search_epochs: int = 10
    search_scale: float = 0.5
    rounds: int = 2
    round_epochs: int = 4
    final_epochs: int = 20
    learning_rate: float = 1.5e-3
    gate_batches: int = 8
    corrections: int = 3
    margin: float = 0.03
    final_seeds: int = 3
    baselines: tuple[str, ...] = ("random_largest", "thin_student", "thin_pretrained")

    def __post_init__(self) -> None:
        if not self.importances:
            raise ConfigError(f"fit.importances is empty; name at least one of {', '.join(IMPORTANCES)}")
        for name in self.importances:
            if name not in IMPORTANCES:
                raise ConfigError(f"fit.importances has {name!r}; known are {', '.join(IMPORTANCES)}")
        for name in self.baselines:
            if name not in BASELINES:
                raise ConfigError(f"fit.baselines has {name!r}; known are {', '.join(BASELINES)}, or [] for none")
        if self.student not in (None, *STUDENTS):
            raise ConfigError(f"fit.student is {self.student!r}; known are {', '.join(STUDENTS)}, or leave it out")
        self._check_way()
        for name in ("search_epochs", "rounds", "round_epochs", "final_epochs", "gate_batches", "final_seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"fit.{name} is {getattr(self, name)}; set it to 1 or more")
        if not 0.0 < self.search_scale <= 1.0:
            raise ConfigError(f"fit.search_scale is {self.search_scale}; set it above 0 and at most 1")
        if not 0.0 <= self.margin < 0.5:
            raise ConfigError(f"fit.margin is {self.margin}; set it between 0 and 0.5 (0.03 aims 3 % below the budget)")
        if self.corrections < 0 or self.learning_rate <= 0:
            raise ConfigError("fit.corrections must be 0 or more, fit.learning_rate above 0")

    @property
    def ways(self) -> tuple[str, ...]:
        """What is tried: the one way that is named, or each importance, and channels alone beside the first."""
        if self.way is not None:
            return (self.way,)
        tried = tuple(f"{name}-{_DEPTH if self.depth else _WIDTHS}" for name in self.importances)
        return (*tried, f"{self.importances[0]}-{_WIDTHS}") if self.depth else tried

    def _check_way(self) -> None:
        if self.way is None:
            return
        if self.way not in WAYS:
            raise ConfigError(f"fit.way is {self.way!r}; known are {', '.join(WAYS)}")
        if self.way.endswith(_DEPTH) and not self.depth:
            raise ConfigError(f"fit.way is {self.way}, but fit.depth is false; set it to true, or cut widths alone")
