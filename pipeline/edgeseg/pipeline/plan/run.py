"""One call from recipe to report: finds the data, runs the chain, puts report and bundle where they are looked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.machine.environment import read_device
from edgeseg.compress.calibration.folder import recipe_folder, unlabelled_folder
from edgeseg.compress.distill.given.named_file import teacher_sha256
from edgeseg.pipeline.chain.chain import Chain, ChainProgress, ChainRun, no_progress, result_of
from edgeseg.pipeline.chain.lock import alone_in, check_own
from edgeseg.pipeline.plan.beside import Here, OwnFiles, There
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.plan.outcome import Outcome, outcome_of
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.results import Packed, gate_failed
from edgeseg.pipeline.recipe.data_said import say_data
from edgeseg.pipeline.recipe.recipe import Recipe, find_data
from edgeseg.pipeline.recipe.settled import settled
from edgeseg.pipeline.recipe.split_seed import check_seed, keep_seed
from edgeseg.pipeline.recipe.start import StartSection
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.engines import engine_of_target, installed_version
from edgeseg.runtime.errors import GATE, OK
from edgeseg.runtime.files.atomic import replacing

_HERE = There()


@dataclass(frozen=True)
class RunResult:
    """What a run leaves behind.

    Attributes:
        report: Content of report.json, or None if the chain stopped earlier (`only`).
        report_json: Where it is.
        report_html: The page beside it.
        bundle: The bundle, or None if nothing could be packed.
        gate_failed: Whether nothing ships, or what does is beyond the budget.
        chain: Which steps ran and which were reused.
        stopped: How the step of `only` ended; None where the chain went to its end.
        removed: The bundle of an earlier run, which was where this one has none.
    """

    report: dict[str, Any] | None
    report_json: Path
    report_html: Path
    bundle: Path | None
    gate_failed: bool
    chain: ChainRun
    stopped: Outcome | None = None
    removed: Path | None = None

    @property
    def exit_code(self) -> int:
        """Of the command."""
        if self.stopped is not None:
            return self.stopped.exit_code
        return GATE if self.gate_failed else OK


@dataclass(frozen=True)
class RecipeChain(Chain):
    """The chain of a recipe.

    Attributes:
        recipe: Checked settings, with what they leave to the machine filled in.
        about: What dataset.yaml says beside images and split; trainings do not depend on it.
    """

    recipe: Recipe
    about: Mapping[str, Any] = field(default_factory=dict)


def run_recipe(  # noqa: PLR0913 - the command line's own options
    recipe: Recipe,
    data: Path | None = None,
    out: Path = Path("runs"),
    progress: ChainProgress = no_progress,
    *,
    only: str | None = None,
    images: bool = True,
    command: str = "",
    there: There = _HERE,
) -> RunResult:
    """Run a recipe's chain, reusing every step that is whole.

    Args:
        recipe: Checked settings.
        data: Folder of the data set, or None for the one the recipe names.
        out: Parent of the run's folder.
        progress: Told which step runs and how far it is.
        only: Stop after this step.
        images: Whether the report shows test images.
        command: What the user typed, printed in the report.
        there: Where the budget is held.

    Raises:
        ConfigError: If another process fills the same folder.
        EdgesegError: From the step that failed; everything done before is kept.
    """
    chain = make_chain(recipe, data, out, command=command, images=images, there=there)
    with alone_in(chain.root):
        return run_chain(chain, progress, only)


def run_chain(chain: RecipeChain, progress: ChainProgress = no_progress, only: str | None = None) -> RunResult:
    """Run a chain of `chain_in`, and put report and bundle into its folder, which the caller has for itself."""
    root = chain.root
    _open_starts(chain)
    state = chain.run(progress, only)
    report_json, report_html = root / "report.json", root / "report.html"
    if "report" not in state.records:
        assert only is not None, "the whole chain ends with the report"
        stopped = outcome_of(only, state.records[only]["result"])
        return RunResult(None, report_json, report_html, None, False, state, stopped)
    made = chain.folder("report").files
    _publish(made / "report.json", report_json)
    _publish(made / "report.html", report_html)
    bundle = result_of(state.records, "bundle", Packed)
    packed = root / bundle.file if bundle.file is not None else None
    if packed is not None:
        _publish(chain.folder("bundle").files / packed.name, packed)
    removed = _remove(root / f"{chain.recipe.name}.edgeseg") if packed is None else None
    report = json.loads(report_json.read_text())
    failed = gate_failed(report["shipped"])
    return RunResult(report, report_json, report_html, packed, failed, state, removed=removed)


def _open_starts(chain: Chain) -> None:
    """Make sure of what trainings start from before the first of them; whole ones need it no more."""
    keys = chain.keys()
    for step in chain.steps:
        start = step.settings.get("start")
        if start and step.left_out is None and chain.folder(step.name).load(keys[step.name]) is None:
            StartSection(**start).open(step.places.get("start"))


def make_chain(
    recipe: Recipe, data: Path | None, out: Path, *, command: str = "", images: bool = True, there: There = _HERE
) -> RecipeChain:
    """The chain of a recipe in its run folder `out`/NAME; see `chain_in`."""
    return chain_in(out / recipe.name, recipe, data, command=command, images=images, there=there)


def chain_in(  # noqa: PLR0913 - as of `run_recipe`
    root: Path,
    recipe: Recipe,
    data: Path | None,
    *,
    command: str = "",
    images: bool = True,
    shared: Path | None = None,
    there: There = _HERE,
) -> RecipeChain:
    """The chain of a recipe in a folder, with its data found or drawn; nothing is run yet.

    Args:
        root: The run's folder.
        recipe: Checked settings.
        data: Folder of the data set, or None for the one the recipe names.
        command: What the user typed, printed in the report.
        images: Whether the report shows test images.
        shared: Where runs keep what is known of machines; None for the parent of `root`.
        there: Where the budget is held.

    Raises:
        EdgesegError: If the data set, or a folder or file that the recipe names, is not there or cannot be used, or
            `root` is a folder of the user's.
    """
    check_own(root)
    opened = data_of(recipe, data, root)
    calibration = recipe_folder(opened, recipe.quantize.folder)
    unlabelled = unlabelled_folder(opened, recipe.distill.unlabelled)
    own = OwnFiles(
        None if calibration is None else calibration.sha256,
        None if unlabelled is None else unlabelled.sha256,
        teacher_sha256(opened, recipe.distill.teacher),
    )
    recipe, about = settled(recipe, root), _about(opened)
    here = Here(_machine(recipe, there), str((shared or root.parent) / "latency_table.json"), there.place)
    steps = plan_steps(recipe, command=command, images=images, own=own, about=about, here=here)
    return RecipeChain(steps, root, opened.root, data_identity(opened), recipe, about)


def data_of(recipe: Recipe, given: Path | None, root: Path) -> DataSet:
    """The data set of a recipe's run, with its split; what of the folder is taken, and what is not, is said on stderr.

    Args:
        recipe: Checked settings.
        given: Folder of the data set, or None for the one the recipe names.
        root: The run's folder.

    Raises:
        EdgesegError: If the data set is not there or cannot be used.
        ConfigError: If the run's split was drawn with another seed.
    """
    split_file, seed = root / "split.csv", recipe.data.seed
    is_drawn = not split_file.is_file()
    data = open_dataset(data_root(recipe, given, root), split_file=split_file, seed=seed)
    if not data.split_given:
        keep_seed(split_file, seed) if is_drawn else check_seed(split_file, seed)
    say_data(data)
    return data


def data_root(recipe: Recipe, given: Path | None, root: Path) -> Path:
    """Folder of the data set of a recipe's run, drawn where that is asked for; arguments and errors as of `data_of`."""
    return find_data(recipe, given) or _synthetic(recipe, root)


def _synthetic(recipe: Recipe, root: Path) -> Path:
    """Draw the embedded data set once per settings."""
    section = recipe.data
    folder = root / "data" / f"synthetic_{section.synthetic_images}_{section.synthetic_px}_{section.seed}"
    if not folder.is_dir():
        from edgeseg.train.synthetic.dataset import write_dataset

        folder.parent.mkdir(parents=True, exist_ok=True)
        write_dataset(folder, section.synthetic_images, section.seed, section.synthetic_px)
    return folder


def _machine(recipe: Recipe, there: There) -> Mapping[str, Any] | None:
    """What a budget in time is measured on, as far as a search there would come out otherwise elsewhere."""
    if there.machine is not None:
        return there.machine
    if recipe.budget is None or not recipe.budget.is_timed:
        return None
    device, engine = read_device(), engine_of_target(recipe.budget.target)
    version = None if engine is None else installed_version(engine.name)
    cpu = {"cpu": device.cpu_model or device.arch, "flags": list(device.cpu_flags), "cpus": device.usable_cpus}
    metered = {} if recipe.budget.energy_mj is None else {"meter": there.meter or "auto"}
    return cpu | {"engine": version and list(version)} | metered


def _about(data: DataSet) -> dict[str, Any]:
    """What is said of the data beside its pixels; no training depends on it, so it is no part of the data's key."""
    return {name: getattr(data, name) for name in ("name", "pixel_mm", "licence", "may_redistribute")}


def _remove(bundle: Path) -> Path | None:
    """Take away what an earlier run has shipped: it would be taken for what this one ships."""
    if not bundle.is_file():
        return None
    bundle.unlink()
    return bundle


def _publish(source: Path, target: Path) -> None:
    """Copy a step's file to the run's folder, unless an equal one is there."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
