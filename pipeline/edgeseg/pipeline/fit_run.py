"""One call from recipe and budget to fit.json: runs the chain up to the student, sets the target up, fits, ships."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.budget import Budget
from edgeseg.pipeline.chain import Chain, ChainProgress
from edgeseg.pipeline.fit_config import STUDENTS
from edgeseg.pipeline.fit_student import TrainedChain, trained
from edgeseg.pipeline.recipe import TARGETS, Recipe
from edgeseg.runtime.errors import ConfigError, MeasureError

SHIPPED_VERSION = 3  # goes up when what is recorded of the shipped file means something else


@dataclass(frozen=True)
class FitOrder:
    """What `edgeseg fit` is told; see `cli_fit`."""

    recipe: str
    target: str | None
    budget: str | None
    data: Path | None
    out: Path
    assignments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that makes the same fit."""
        words = ["edgeseg", "fit", self.recipe]
        words += ["--target", self.target] if self.target else []
        words += ["--budget", self.budget] if self.budget else []
        words += ["--data", str(self.data)] if self.data is not None else []
        words += [word for assignment in self.assignments for word in ("--set", assignment)]
        return shlex.join(words)


def budget_of(order: FitOrder, recipe: Recipe) -> Budget:
    """The budget of the command line, else that of the recipe.

    Raises:
        ConfigError: If there is none, or the target is unknown.
    """
    stored = recipe.budget
    target = order.target or (stored.target if stored is not None else None)
    if target is None or target not in TARGETS:
        raise ConfigError(
            f"--target is {target!r}; use one of {', '.join(TARGETS)}, or set budget.target in the recipe"
        )
    if order.budget is not None:
        return Budget.parse(order.budget, target)
    if stored is None:
        raise ConfigError("no budget; give --budget latency_ms=2, or a budget section in the recipe")
    return Budget(target, **stored.limits)


def carry_out_fit(order: FitOrder, *, as_json: bool) -> bool:
    """Fit with a progress bar and print what came of it.

    Returns:
        Whether a network holds the budget.

    Raises:
        EdgesegError: From the recipe, or from what failed.
    """
    from edgeseg.pipeline.fit_text import fit_json, fit_text
    from edgeseg.pipeline.printed import show
    from edgeseg.pipeline.progress import chain_progress
    from edgeseg.pipeline.recipe import load_recipe
    from edgeseg.pipeline.recipe_files import find_recipe

    recipe = load_recipe(find_recipe(order.recipe), order.assignments)
    budget = budget_of(order, recipe)
    with chain_progress(fit_weights(recipe)) as progress:
        result = run_fit(recipe, budget, order, progress)
    show(fit_json(result), fit_text(result), as_json=as_json)
    return bool(result.met)


def run_fit(recipe: Recipe, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    """Train what is missing, then fit.

    Args:
        recipe: Checked settings.
        budget: On a target of this machine.
        order: Where things are.
        progress: Told what is done.

    Returns:
        A `fit.FitResult`.

    Raises:
        EdgesegError: From the training, export or measurement that failed; everything done before is kept.
    """
    from edgeseg.pipeline.run import make_chain

    return fit_chain(make_chain(recipe, order.data, order.out), budget, order, progress)


def fit_chain(chain: Chain, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    """The same in the folder of a given chain; of `order` only the latency table's place and the command are used.

    Raises:
        ConfigError: If the recipe or the budget cannot be fitted on this target; nothing is trained.
        EdgesegError: As `run_fit`.
    """
    from edgeseg.pipeline.fit_target import check_target

    check_target(chain, budget)  # what cannot be measured is refused before hours of training
    return _fit(chain, trained(chain, progress), budget, order, progress)


def fit_folder(root: Path, budget: Budget) -> Path:
    """Place of a fit in a run's folder: one a budget, so that asking for another keeps what was trained for this."""
    return root / "fit" / budget.target / str(budget).replace("=", "-").replace(",", "_")


def fit_weights(recipe: Recipe) -> dict[str, float]:
    """Rough share of each part's time by name, for the progress bar."""
    from edgeseg.pipeline.plan import plan_steps

    steps = {step.name: step.weight for step in plan_steps(recipe)}
    before = list(steps)[: list(steps).index("choose_student") + 1]
    left_out = {name for name in STUDENTS if recipe.fit.student not in (None, name)}
    return {name: steps[name] for name in before if name not in left_out} | _search_weights(recipe)


def _search_weights(recipe: Recipe) -> dict[str, float]:
    """What follows the chain; an epoch of the student weighs 0.3."""
    section, first = recipe.fit, recipe.train.seed
    searched = section.ways if len(section.ways) > 1 else ()  # one way alone needs no contest
    epochs: dict[str, float] = {f"search_{name}": section.search_epochs for name in searched}
    epochs |= {f"round_{done}": section.round_epochs for done in range(1, section.rounds)}
    epochs |= {f"final_{seed}": section.final_epochs for seed in range(first, first + section.final_seeds)}
    baselines = {"random_largest": section.final_epochs, "thin_student": recipe.student.epochs}
    baselines |= {"flat_unet": recipe.teacher.epochs}
    epochs |= {f"{name}_{first}": baselines[name] for name in section.baselines}
    return {"latency_table": 10.0} | {name: 0.3 * count for name, count in epochs.items()}


def _fit(chain: Chain, before: TrainedChain, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    from edgeseg.compress.latency_table import LatencyTable
    from edgeseg.export.fits import fixed_size
    from edgeseg.pipeline.fit import fit_network
    from edgeseg.pipeline.fit_journal import Journal
    from edgeseg.pipeline.fit_lab import Lab
    from edgeseg.pipeline.fit_predict import Predictor
    from edgeseg.pipeline.fit_rounds import Start
    from edgeseg.pipeline.fit_ship import Shipping
    from edgeseg.pipeline.fit_target import beside_student, keep_known_scores, local_target
    from edgeseg.runtime.dataset import open_dataset
    from edgeseg.train.checkpoint import load_checkpoint

    recipe = chain.recipe
    root = fit_folder(chain.root, budget)
    student, _ = load_checkpoint(chain.folder(before.student).files)
    answers, _ = load_checkpoint(chain.folder(before.teaches).files)
    teacher, _ = load_checkpoint(chain.folder("teacher").files)
    data = open_dataset(chain.data_root, split_file=chain.root / "split.csv", seed=recipe.data.seed)
    stride = max(int(student.stride), int(teacher.stride))
    target = local_target(recipe, data, budget.target, stride, root / "scratch")
    keep_known_scores(target, chain, "teacher")
    table = LatencyTable(target.probe, order.out / "latency_table.json", target.calls)
    journal = Journal(root)
    pair: dict[str, float] = {}
    if budget.speedup is not None:  # a ratio, so that everything is measured beside something known
        pair = _pair_ms(journal, chain, target, teacher, student)
        target = beside_student(target, student, pair["student_ms"])
    lab = Lab(
        recipe=recipe,
        data_root=chain.data_root,
        split_file=chain.root / "split.csv",
        data_key=chain.data_key,
        probe=target.probe,
        budget=budget,
        ceilings=budget.ceilings(pair.get("teacher_ms")),
        journal=journal,
        predictor=Predictor(table, fixed_size(target.probe.input_spec)),
        score=target.score,
        choice=before.records[before.student]["result"]["choice"],
        progress=progress,
        calibration_sha256=target.calibration_sha256,
        yardstick_ms=pair.get("student_ms"),
    )
    on_val = before.records["val_teacher"]["result"]["summary"]
    shipping = Shipping(chain, target, teacher, root / "shipped", progress, on_val)
    start = Start(student, lab.measure(student), answers, chain.folder(before.student).files, before.student)
    unknown = [name for name in lab.ceilings if start.figures.get(name) is None]
    if unknown:
        reason = start.figures["reason"]
        raise MeasureError(f"{unknown[0]} of the student cannot be measured on {budget.target}: {reason}")
    if start.figures["infer_ms"] is not None:
        lab.around_ms = start.figures["total_ms"] - start.figures["infer_ms"]
    return fit_network(
        lab,
        start,
        taught=before.taught,
        teacher_ms=pair.get("teacher_ms"),
        ship=lambda checkpoint: _ship_once(journal, shipping, checkpoint),
        command=order.command,
    )


def _pair_ms(journal: Any, chain: Chain, target: Any, teacher: Any, student: Any) -> dict[str, float]:
    """`fit_target.teacher_and_student_ms`, once; latencies do not depend on the weights."""
    from edgeseg.pipeline.fit_target import teacher_and_student_ms

    settings = {"arch": teacher.arch, "student": student.arch, "target": target.probe.identity}
    settings |= {"geometry": chain.recipe.to_json()["geometry"], "data": chain.data_key}

    def take() -> dict[str, float]:
        return teacher_and_student_ms(target, teacher, student)

    return dict(journal.find("measurements", "teacher_student", settings, take))


def _ship_once(journal: Any, shipping: Any, checkpoint: Path) -> dict[str, Any]:
    """What ships, made and scored on test once, made again if its bundle is gone; and its plan's other files."""
    from edgeseg.compress.fingerprint import fingerprint
    from edgeseg.pipeline.plan import INT8_VERSION, RANGES_VERSION
    from edgeseg.pipeline.store import sha256_file
    from edgeseg.train.checkpoint import WEIGHTS

    recipe = shipping.chain.recipe
    settings = {
        "weights": sha256_file(checkpoint / WEIGHTS),
        "teacher": fingerprint(shipping.teacher),
        "target": shipping.target.probe.identity,
        "recipe": recipe.sha256(),
        "data": shipping.chain.data_key,
        "versions": [SHIPPED_VERSION, RANGES_VERSION, INT8_VERSION],
        "calibration": shipping.target.calibration_sha256,
    }
    found = journal.find("shipped", "shipped", settings, lambda: shipping(checkpoint))
    whole = (journal.root / found["bundle"]).is_file()
    return dict(found if whole else shipping(checkpoint)) | {"plan_files": shipping.plan_files(checkpoint)}
