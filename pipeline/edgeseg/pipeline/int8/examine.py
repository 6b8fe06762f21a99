"""One examination from patient to report: scores, causes, times, the fewest float layers, and the verdict."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from edgeseg.compress.int8.causes import causes_of, explain
from edgeseg.compress.int8.sensitivity import FloatLayers, LayerLoss, Sensitivity, Trial, examine, trial_json
from edgeseg.pipeline.int8.findings import correspondence, findings
from edgeseg.pipeline.int8.node_times import NodeTimes, node_times
from edgeseg.pipeline.int8.patient import File, Patient
from edgeseg.pipeline.int8.race import Race, race
from edgeseg.pipeline.int8.scored_patient import ScoredPatient
from edgeseg.pipeline.int8.verdict import too_much_lost, verdict_of
from edgeseg.runtime.data.dataset import read_image
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.opening.selection import target_name
from edgeseg.runtime.score.intervals import paired_bootstrap
from edgeseg.runtime.score.metrics import summarize

SCHEMA_VERSION = 1
WORK = "int8_doctor"  # folder beside the report, for candidates and their scores; one doctor at a time is in it

Report = dict[str, Any]
Racer = Callable[..., Race]


@dataclass(frozen=True)
class Settings:
    """How the doctor works.

    Attributes:
        max_drop: Largest mean Dice that INT8 may lose against float on val: 0.003 for 0.3 points.
        images: Val images to compare layers on; 0 for all, None to choose so that it takes about five minutes.
        threads: Threads of the engine.
        command: What the user typed.
    """

    max_drop: float = 0.003
    images: int | None = None
    threads: int = 2
    command: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise ConfigError(f"--max-drop is {self.max_drop}; give a share of Dice such as 0.003 for 0.3 points")
        if self.images is not None and self.images < 0:
            raise ConfigError(f"--images is {self.images}; give a number of val images, or 0 for all")


def examine_patient(
    patient: Patient,
    folder: Path,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    racer: Racer = race,
) -> Report:
    """Examine a network; whatever was scored before is not scored again.

    Args:
        patient: The network.
        folder: Where scores, candidates and a delivered file go.
        settings: Budget and effort.
        progress: Called with (done, total) candidates.
        racer: Times two files; another one in tests.

    Returns:
        The report as JSON.

    Raises:
        EdgesegError: If the network cannot be quantised, run or scored.
    """
    start, work = time.monotonic(), folder / WORK
    work.mkdir(parents=True, exist_ok=True)
    scored = ScoredPatient(patient, work, settings.images)
    found = examine(scored, settings.max_drop, progress)
    float_layers = frozenset(found.found.float_layers)
    times = _times(patient, scored, settings.threads)
    targets, notes = _targets(patient, float_layers, work)
    races = {name: racer(its, scored.samples[0], patient.data.color, settings.threads) for name, its in targets.items()}
    rows = {name: _target(its, scored) | {"race": races[name].to_json()} for name, its in targets.items()}
    for its in targets.values():
        its["int8"][0].unlink()
    sure = _sure(patient, scored, float_layers)
    lost = too_much_lost({name: row["drop"]["mean"] for name, row in rows.items()}, settings.max_drop)
    verdict = verdict_of(found, races, sure["findings"], lost)
    delivered = patient.deliver(float_layers, folder) if verdict.status == "ok" else None
    outcome = {
        "verdict": dataclasses.asdict(verdict),
        "targets": rows,
        "delivered": None if delivered is None else str(delivered),
        "wall_s": round(time.monotonic() - start, 1),
    }
    return (
        _told(patient, settings)
        | _measured(patient, settings, scored, found, times)
        | outcome
        | sure
        | {
            "data": _data(patient, scored),
            "notes": [*patient.notes(), *_notes(scored, settings), *notes],
        }
    )


def _told(patient: Patient, settings: Settings) -> Report:
    """What was asked, of what."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": settings.command,
        "name": patient.name,
        "engine": f"onnxruntime {onnxruntime.__version__}",
        "threads": settings.threads,
        "max_drop": settings.max_drop,
    }


def _measured(
    patient: Patient, settings: Settings, scored: ScoredPatient, found: Sensitivity, times: dict[str, NodeTimes]
) -> Report:
    """Losses, the search and what follows from it."""
    return {
        "dice_mean": _dice(patient, scored),
        "int8": trial_json(found.trials[0]),
        "result": trial_json(found.found),
        "float_layers": list(found.found.float_layers),
        "settings_to_use": patient.advice(found.found.float_layers),
        "layers": [_row(patient, loss, found.found, times, settings.max_drop) for loss in found.losses],
        "others_ms": {name: its.others_ms for name, its in times.items()},
        "repairs": [dataclasses.asdict(repair) for repair in patient.repairs()],
        "trials": [trial_json(trial) for trial in found.trials],
    }


def _targets(patient: Patient, float_layers: FloatLayers, work: Path) -> tuple[dict[str, dict[str, File]], list[str]]:
    """The files `float` and `int8` of each target, and why a target has none."""
    path = work / "candidate.onnx"
    pair = {"float": (patient.float_model, patient.float_spec), "int8": (path, patient.write(float_layers, path))}
    targets: dict[str, dict[str, File]] = {target_name("onnxruntime"): pair}
    try:
        others = patient.elsewhere(float_layers, work)
    except EdgesegError as err:
        return targets, [f"Other engines were not examined: {err}"]
    for backend, (floats, integers) in others.items():
        targets[target_name(backend)] = {"float": floats, "int8": integers}
    return targets, []


def _row(
    patient: Patient, loss: LayerLoss, result: Trial, times: dict[str, NodeTimes], max_drop: float
) -> dict[str, Any]:
    facts, in_float = patient.facts(loss.layer), loss.layer in result.float_layers
    bad = loss.drop.mean > max_drop or in_float
    return {
        "layer": loss.layer,
        "kind": facts.kind,
        "drop": loss.drop.to_json(),
        "differs": loss.differs,
        "float_ms": times["float"].layers_ms.get(loss.layer),
        "int8_ms": times["int8"].layers_ms.get(loss.layer),
        "in_float": in_float,
        "bad": bad,
        "explanation": explain(facts) if bad else None,
        "causes": [dataclasses.asdict(cause) for cause in causes_of(facts)],
    }


def _target(files: dict[str, File], scored: ScoredPatient) -> dict[str, Any]:
    """Sizes of a target's two files, and what its own INT8 file loses against the float reference."""
    int8 = scored.run(files["int8"], scored.samples)
    drop = paired_bootstrap(scored.score(None, whole=True).images, int8.images, None)
    return {f"{name}_bytes": path.stat().st_size for name, (path, _spec) in files.items()} | {"drop": drop.to_json()}


def _times(patient: Patient, scored: ScoredPatient, threads: int) -> dict[str, NodeTimes]:
    """Per-layer times of the float file and of the file with everything in INT8."""
    frame = read_image(scored.samples[0].image, patient.data.color, patient.data.window)
    tensor = prepare(frame, patient.float_spec.input).tensor[:1]
    names = patient.layer_names()
    patient.write(frozenset(), scored.candidate)
    return {
        "float": node_times(patient.float_model, tensor, names, threads),
        "int8": node_times(scored.candidate, tensor, names, threads),
    }


def _data(patient: Patient, scored: ScoredPatient) -> dict[str, Any]:
    return {
        "name": patient.data.name,
        "split": "val",
        "n_images": len(scored.samples),
        "n_groups": len({sample.group for sample in scored.samples}),
        "compared_on": [sample.stem for sample in scored.subset],
        "frame": scored.samples[0].stem,
    }


def _notes(scored: ScoredPatient, settings: Settings) -> list[str]:
    part, whole = len(scored.subset), len(scored.samples)
    compared = f"all {whole} val images" if part == whole else f"a seeded draw of {part} of the {whole} val images"
    return [
        f"A layer's loss: it alone in INT8, all others in float, by Dice on {compared}. The search and its result are "
        f"on all {whole} val images; test was not looked at.",
        f"A layer's time: median of its own nodes in ONNX Runtime's profile, {settings.threads} thread(s), "
        "everything in float and everything in INT8. The whole pipeline was timed apart, both taking turns in one run.",
    ]


def _sure(patient: Patient, scored: ScoredPatient, float_layers: FloatLayers) -> Report:
    """Whether the masks say anything, and which class of the float network lies on which of the truth."""
    confusion, classes = scored.confusion(), patient.data.classes
    int8 = scored.score(float_layers, whole=True).images
    return {
        "findings": list(findings(confusion, int8, _dice(patient, scored)["float"], classes)),
        "class_correspondence": correspondence(confusion, classes),
    }


def _dice(patient: Patient, scored: ScoredPatient) -> dict[str, Any]:
    """Mean Dice on val of the float file and of the one with everything in INT8."""
    scores = {"float": scored.score(None, whole=True), "int8": scored.score(frozenset(), whole=True)}
    return {name: summarize(score.images, patient.data.classes)["dice_mean"] for name, score in scores.items()}
