"""The steps `target` and `student_pruned`: the chain's student, cut to what the recipe's budget allows.

Trainings, cuts and measurements are kept in the run's `search/TARGET/BUDGET/`, each by what it depends on: a search
that was killed goes on, and one for another budget, or with other settings, repeats nothing that it need not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeseg.compress.cost import cost
from edgeseg.compress.search.budget import Budget
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.predictor import Predictor, macs
from edgeseg.export.fits import fixed_size
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.plan.layout import SEARCH_FILE
from edgeseg.pipeline.plan.search_parts import search_parts
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.journal import Journal
from edgeseg.pipeline.search.lab import Lab
from edgeseg.pipeline.search.networks import Networks, recipe_of, reference_of
from edgeseg.pipeline.search.rounds import Start
from edgeseg.pipeline.search.search import search_network
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.start import weights_of
from edgeseg.pipeline.target.elsewhere import machine_of
from edgeseg.pipeline.target.here import (
    LocalTarget,
    beside_student,
    local_target,
    reference_and_student_ms,
    reference_ms,
)
from edgeseg.pipeline.target.machine import Machine
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import SegmentationNet
from edgeseg.train.pretrained.weights import Weights

Result = dict[str, Any]


def run_target(context: StepContext) -> Result:
    """Make sure, before hours of training, that the budget can be held against its machine."""
    recipe, budget = _asked(context)
    compared, machine = reference_of(context), _machine(context)
    stride = 1 if compared is None else int(compared.stride)
    target = local_target(recipe, open_data(context), budget, stride, context.folder.work, machine)
    found = {"target": budget.target, "identity": target.probe.identity, "sensor": machine.sensor()}
    return found if compared is None else found | {"reference_ms": reference_ms(target, compared)}


def run_student_pruned(context: StepContext) -> Result:
    """Search, train and compare; what goes on is the winner's checkpoint, `search.json` is the evidence."""
    data = open_data(context)
    mute = _mute(context, data)
    if mute is not None:
        return {"status": "refused", "reason": mute}
    networks = Networks.load(context, data)
    lab, known_ms = open_lab(context, data, networks)
    start = _start(lab, networks, weights_of(context))
    found = search_network(lab, start, taught=networks.taught, reference_ms=known_ms)
    write_json(context.folder.files / SEARCH_FILE, found.record)
    told = {"sentence": found.record["sentence"], "detail": found.record["detail"]}
    if found.checkpoint is None:
        return {"status": "refused", "reason": f"{told['sentence']} {told['detail']}"} | told
    return _keep(context, data, lab, networks, found.checkpoint) | told


def search_folder(root: Path, budget: Budget) -> Path:
    """Place of a search in a run's folder: one a budget, so that asking for another keeps what was trained for this."""
    return root / "search" / budget.target / str(budget).replace("=", "-").replace(",", "_")


def open_lab(context: StepContext, data: DataSet, networks: Networks) -> tuple[Lab, float | None]:
    """The lab on the budget's machine, and the p50 of the FP32 reference [ms] where the budget is a ratio of it."""
    recipe, budget = _asked(context)
    journal = Journal(search_folder(context.split_file.parent, budget))
    compared = networks.reference
    stride = max(int(one.stride) for one in (networks.student, compared) if one is not None)
    machine = _machine(context)
    target = local_target(recipe, data, budget, stride, journal.root / "scratch", machine)
    table = LatencyTable(target.probe, Path(context.step.places["layer_times"]), target.calls)
    pair: dict[str, float] = {}
    data_key = data_identity(data)
    if compared is not None:  # the budget is a ratio, so that everything is measured beside something known
        pair = _pair_ms(journal, recipe, data_key, target, (compared, networks.student))
        target = beside_student(target, networks.student, pair["student_ms"])
    predictor = Predictor(table, fixed_size(target.probe.input_spec), budget.is_timed)
    known_ms = pair.get("reference_ms")
    lab = Lab(
        recipe=recipe,
        data_root=context.data_root,
        split_file=context.split_file,
        data_key=data_key,
        probe=target.probe,
        budget=budget,
        ceilings=budget.ceilings(known_ms, macs(predictor.layers(networks.student.arch))),
        journal=journal,
        predictor=predictor,
        score=target.score,
        progress=_told(recipe, context.progress),
        calibration_sha256=target.calibration_sha256,
        taught_from=context.setting("taught_from"),
        yardstick_ms=pair.get("student_ms"),
        evidence=machine.evidence,
        sensor=machine.sensor(),
    )
    return lab, known_ms


def _asked(context: StepContext) -> tuple[Recipe, Budget]:
    """What of the recipe a search reads, and its budget."""
    recipe = recipe_of(context)
    assert recipe.budget is not None, "without one the step is left out"
    folder = context.step.places.get("calibration")
    return dataclasses.replace(recipe, quantize=dataclasses.replace(recipe.quantize, folder=folder)), recipe.budget


def _machine(context: StepContext) -> Machine:
    return machine_of(context.setting("machine"), context.step.places["on"])


def _mute(context: StepContext, data: DataSet) -> str | None:
    """Why nothing can be chosen on val, if so."""
    path = context.folders["val_teacher"].files / "scores.json"
    if not path.is_file():  # its file does not run here; the students' do
        return None
    scores = load_scores(path)
    if skill_of(scores, data.classes[1:])["value"] is not None:
        return None
    return (
        "the masks of val are of one class everywhere, so that nothing can be chosen on it; give val images of every "
        "class (`split` in meta.csv, or another data.seed)"
    )


def _pair_ms(
    journal: Journal,
    recipe: Recipe,
    data_key: str,
    target: LocalTarget,
    pair: tuple[SegmentationNet, SegmentationNet],
) -> dict[str, float]:
    """`here.reference_and_student_ms`, once; latencies do not depend on the weights."""
    reference, student = pair
    settings = {"arch": reference.arch, "student": student.arch, "target": target.probe.identity}
    settings |= {"geometry": recipe.to_json()["geometry"], "data": data_key}

    def take() -> dict[str, float]:
        return reference_and_student_ms(target, reference, student)

    return dict(journal.find("measurements", "reference_student", settings, take))


def _start(lab: Lab, networks: Networks, weights: Weights | None) -> Start:
    """The student with its cost, from which everything is predicted.

    Raises:
        MeasureError: If what the budget limits cannot be measured of it.
    """
    figures = lab.measure(networks.student)
    unknown = [name for name in lab.ceilings if figures.get(name) is None]
    if unknown:
        raise MeasureError(
            f"{unknown[0]} of the student cannot be measured on {lab.budget.target}: {figures['reason']}"
        )
    if figures["infer_ms"] is not None:
        lab.around_ms = figures["total_ms"] - figures["infer_ms"]
    return Start(networks.student, figures, networks.answers, networks.checkpoint, networks.name, weights)


def _keep(context: StepContext, data: DataSet, lab: Lab, networks: Networks, checkpoint: Path) -> Result:
    """The winner as the step's files, described as every trained network is."""
    model, _ = load_checkpoint(checkpoint)
    trained = {one["name"]: one["result"] for one in lab.journal.trainings}
    made = trained.get(checkpoint.parent.name) or context.results[networks.name]["result"]
    size = fixed_size(lab.probe.input_spec)  # type: ignore[attr-defined]
    figures = cost(model, (1, int(model.arch["in_channels"]), *size))
    result = {
        "status": "ok",
        "reason": None,
        **{name: made[name] for name in ("val_dice_at_network_size", "kept_epoch", "highest_val_dice", "history")},
        "params": figures.params,
        "macs": figures.macs,
        "macs_at": list(size),
        "parent": networks.name,
        "taught_by": networks.teaches,
    }
    meta = {"classes": list(data.classes), "color": data.color, "step": context.step.name}
    save_checkpoint(context.folder.files, model, meta | result)
    return result


def _told(recipe: Recipe, progress: Callable[[float, str], None]) -> Callable[[str, float, str], None]:
    """What a part of the search says, as the share of the whole step."""
    weights: dict[str, float] = search_parts(recipe)
    done: dict[str, float] = {}
    whole = sum(weights.values())

    def tell(part: str, share: float, words: str) -> None:
        done[part] = max(share, done.get(part, 0.0))
        progress(sum(weights.get(name, 0.0) * one for name, one in done.items()) / whole, f"{part}: {words}")

    return tell
