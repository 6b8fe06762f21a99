"""Puts a fit together from a trained chain: its networks, this machine as the target, the lab, and what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.search.budget import Budget
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.predictor import Predictor
from edgeseg.export.fits import fixed_size
from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.plan.plan import INT8_VERSION, RANGES_VERSION
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.pipeline.search.evidence import Evidence
from edgeseg.pipeline.search.journal import Journal
from edgeseg.pipeline.search.lab import Lab
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.pipeline.search.rounds import Start
from edgeseg.pipeline.search.run import SHIPPED_VERSION, fit_folder
from edgeseg.pipeline.search.search import FitResult, fit_network
from edgeseg.pipeline.search.ship import Shipping
from edgeseg.pipeline.search.student import TrainedChain
from edgeseg.pipeline.target.fit_target import (
    LocalTarget,
    beside_student,
    keep_known_scores,
    local_target,
    teacher_and_student_ms,
)
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.train.checkpoint import WEIGHTS, load_checkpoint
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Networks:
    """What the chain has trained: the student that is cut, whose answers it follows, and what it is held against."""

    student: SegmentationNet
    answers: SegmentationNet
    teacher: SegmentationNet

    @classmethod
    def load(cls, chain: RecipeChain, before: TrainedChain) -> Networks:
        """From the steps' checkpoints."""
        steps = (before.student, before.teaches, "teacher")
        return cls(*(load_checkpoint(chain.folder(step).files)[0] for step in steps))


def fit_trained(
    chain: RecipeChain, before: TrainedChain, budget: Budget, order: FitOrder, progress: ChainProgress
) -> FitResult:
    """Fit the student of a chain that has been trained; see `fit_run.fit_chain`."""
    networks, journal = Networks.load(chain, before), Journal(fit_folder(chain.root, budget))
    target = _target(chain, budget, networks, journal.root / "scratch")
    evidence = Evidence.of_chain(chain, before, target.data)
    table = LatencyTable(target.probe, order.out / "latency_table.json", target.calls)
    pair: dict[str, float] = {}
    if budget.speedup is not None:  # a ratio, so that everything is measured beside something known
        pair = _pair_ms(journal, chain, target, networks)
        target = beside_student(target, networks.student, pair["student_ms"])
    lab = Lab(
        recipe=chain.recipe,
        data_root=chain.data_root,
        split_file=chain.root / "split.csv",
        data_key=chain.data_key,
        probe=target.probe,
        budget=budget,
        ceilings=budget.ceilings(pair.get("teacher_ms")),
        journal=journal,
        predictor=Predictor(table, fixed_size(target.probe.input_spec)),
        score=target.score,
        progress=progress,
        calibration_sha256=target.calibration_sha256,
        yardstick_ms=pair.get("student_ms"),
        evidence=evidence,
    )
    start = _start(lab, chain, before, networks)
    on_val = before.records["val_teacher"]["result"]["summary"]
    shipping = Shipping(chain, target, networks.teacher, journal.root / "shipped", progress, on_val)
    return fit_network(
        lab,
        start,
        taught=before.taught,
        teacher_ms=pair.get("teacher_ms"),
        ship=lambda checkpoint: _ship_once(journal, shipping, checkpoint),
        command=order.command,
    )


def _target(chain: RecipeChain, budget: Budget, networks: Networks, scratch: Path) -> LocalTarget:
    """This machine, with the scores that the chain has taken already."""
    recipe, split_file = chain.recipe, chain.root / "split.csv"
    data = open_dataset(chain.data_root, split_file=split_file, seed=recipe.data.seed)
    stride = max(int(networks.student.stride), int(networks.teacher.stride))
    target = local_target(recipe, data, budget.target, stride, scratch)
    keep_known_scores(target, chain, "teacher")
    return target


def _pair_ms(journal: Journal, chain: RecipeChain, target: LocalTarget, networks: Networks) -> dict[str, float]:
    """`fit_target.teacher_and_student_ms`, once; latencies do not depend on the weights."""
    teacher, student = networks.teacher, networks.student
    settings = {"arch": teacher.arch, "student": student.arch, "target": target.probe.identity}
    settings |= {"geometry": chain.recipe.to_json()["geometry"], "data": chain.data_key}

    def take() -> dict[str, float]:
        return teacher_and_student_ms(target, teacher, student)

    return dict(journal.find("measurements", "teacher_student", settings, take))


def _start(lab: Lab, chain: RecipeChain, before: TrainedChain, networks: Networks) -> Start:
    """The student with its cost, from which everything is predicted.

    Raises:
        MeasureError: If what the budget limits cannot be measured of it.
    """
    student, checkpoint = networks.student, chain.folder(before.student).files
    start = Start(student, lab.measure(student), networks.answers, checkpoint, before.student)
    unknown = [name for name in lab.ceilings if start.figures.get(name) is None]
    if unknown:
        reason = start.figures["reason"]
        raise MeasureError(f"{unknown[0]} of the student cannot be measured on {lab.budget.target}: {reason}")
    if start.figures["infer_ms"] is not None:
        lab.around_ms = start.figures["total_ms"] - start.figures["infer_ms"]
    return start


def _ship_once(journal: Journal, shipping: Shipping, checkpoint: Path) -> dict[str, Any]:
    """What ships, made and scored on test once, made again if its bundle is gone; and its plan's other files."""
    settings = {
        "weights": sha256_file(checkpoint / WEIGHTS),
        "teacher": fingerprint(shipping.teacher),
        "target": shipping.target.probe.identity,
        "recipe": shipping.chain.recipe.sha256(),
        "data": shipping.chain.data_key,
        "about": dict(shipping.chain.about),
        "versions": [SHIPPED_VERSION, RANGES_VERSION, INT8_VERSION],
        "calibration": shipping.target.calibration_sha256,
    }
    found = journal.find("shipped", "shipped", settings, lambda: shipping(checkpoint))
    whole = (journal.root / found["bundle"]).is_file()
    return dict(found if whole else shipping(checkpoint))
