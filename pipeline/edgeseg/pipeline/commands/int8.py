"""`edgeseg doctor int8` as the command line takes it: a recipe with its run, or an ONNX file with its data."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.calibration.folder import open_folder
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.pipeline.chain.lock import alone_in
from edgeseg.pipeline.int8.delivered import delivered_place, withdraw
from edgeseg.pipeline.int8.examine import WORK, Report, Settings, examine_patient
from edgeseg.pipeline.int8.made_by import check_made_by
from edgeseg.pipeline.int8.page import write_page
from edgeseg.pipeline.int8.patient import Patient
from edgeseg.pipeline.int8.run_files import read_steps
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.files import find_recipe
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.text.progress import count_progress
from edgeseg.runtime.cores import default_threads
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.opening.step_folder import SPEC, open_step
from edgeseg.runtime.text.shell import command

_JSON, _PAGE = "int8_doctor.json", "int8_doctor.html"


@dataclass(frozen=True)
class DoctorOrder:
    """What the doctor is told.

    Attributes:
        subject: A recipe (file or name), an .onnx file, or a step's folder with one.
        data: Folder of the data set; needed for an .onnx file.
        calibration: Folder of images to calibrate an .onnx file on, or None for training images.
        runs: Where runs are kept.
        out: Folder for the report, or None for the run's own (`runs`/NAME).
        size: `HxW`, or "" for the file's own.
        scale: Of raw pixels; see `adopt.Feeding`.
        mean: Values with commas between.
        std: Likewise.
        max_drop: Largest loss of Dice on val.
        images: Val images to compare layers on; 0 for all, None to choose.
        threads: Threads of the engine, or None for the recipe's or the default.
        output: The tensor of an .onnx file that holds its answer; "" for its only output.
        assignments: Settings of a recipe that its run was made with, `key=value`.
    """

    subject: str
    data: Path | None = None
    calibration: Path | None = None
    runs: Path = Path("runs")
    out: Path | None = None
    size: str = ""
    scale: float = 1 / 255
    mean: str = "0"
    std: str = "1"
    max_drop: float = 0.003
    images: int | None = None
    threads: int | None = None
    output: str = ""
    assignments: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that gives the same report."""
        words = ["edgeseg", "doctor", "int8", self.subject]
        words += ["--data", str(self.data)] if self.data is not None else []
        words += ["--calibration", str(self.calibration)] if self.calibration is not None else []
        words += ["--output", self.output] if self.output else []
        words += ["--size", self.size] if self.size else []
        fed = (("scale", self.scale, 1 / 255), ("mean", self.mean, "0"), ("std", self.std, "1"))
        limits = (("max-drop", self.max_drop, 0.003), ("images", self.images, None), ("threads", self.threads, None))
        for name, value, default in (*fed, *limits):
            words += [f"--{name}", str(value)] if value != default else []
        words += self.settings
        return shlex.join(words)

    @property
    def settings(self) -> list[str]:
        """The assignments as typed."""
        return [word for assignment in self.assignments for word in ("--set", assignment)]


def carry_out(order: DoctorOrder) -> tuple[Report, Path]:
    """Examine, and write `int8_doctor.json` and `int8_doctor.html`.

    Returns:
        The report and its folder.

    Raises:
        ConfigError: If another doctor is at work in the same folder.
        EdgesegError: If there is nothing to examine, or it cannot be quantised or scored.
    """
    of_file = _names_a_file(order.subject) or _is_step(order.subject)
    with (open_file if of_file else _run)(order) as (patient, folder, threads):
        _check_own(folder)
        examined_before = (folder / _JSON).is_file()
        settings = Settings(order.max_drop, order.images, order.threads or threads, order.command)
        with count_progress("trying layers in INT8") as progress:
            report = examine_patient(patient, folder, settings, progress)
        place = delivered_place(folder, patient.name, as_step=_is_step(order.subject))
        # In a folder without a report of ours the file is the user's.
        taken = withdraw(place) if of_file and examined_before and report["delivered"] is None else None
        report["withdrawn"] = None if taken is None else str(taken)
        write_json(folder / _JSON, report)
        write_page(report, folder / _PAGE)
    return report, folder


def _check_own(folder: Path) -> None:
    """Refuse, before minutes of work, to replace files that only bear the report's names."""
    for name, mark in ((_JSON, b'"settings_to_use"'), (_PAGE, b"INT8 doctor")):
        path = folder / name
        if path.exists() and not (path.is_file() and mark in path.read_bytes()):
            raise ConfigError(
                f"{path} is no report of `edgeseg doctor int8` and would be replaced; choose another --out"
            )


def _names_a_file(subject: str) -> bool:
    """Whether a network is meant, by what the file holds: a recipe is text, whatever it is called."""
    path = Path(subject)
    if path.suffix.lower() in (".onnx", ".tflite", ".pt", ".pth", ".edgeseg"):
        return True
    return path.exists() and kind_of(path).key not in ("text", "json", "empty", "utf16")


@contextmanager
def _run(order: DoctorOrder) -> Iterator[tuple[Patient, Path, int]]:
    from edgeseg.pipeline.int8.plan_patient import PlanPatient

    if order.calibration is not None:
        raise ConfigError(
            f"--calibration {order.calibration} is for an .onnx file; a run's ranges are taken by its step `ranges`. "
            "Set quantize.folder in the recipe, and run it again"
        )
    recipe = load_recipe(find_recipe(order.subject), order.assignments)
    chain = make_chain(recipe, order.data, order.runs)
    root, data = chain.root, open_dataset(chain.data_root, split_file=chain.root / "split.csv")
    folder = order.out or root
    check_made_by(chain, read_steps(recipe), _remedy(order))
    with alone_in(folder / WORK):
        yield PlanPatient.open(recipe, root, data), folder, recipe.bench.threads


def _remedy(order: DoctorOrder) -> str:
    out = ["--out", str(order.runs)] if order.runs != Path("runs") else []
    data = ["--data", str(order.data)] if order.data is not None else []
    again = command("edgeseg", "run", order.subject, "--only", "onnx_int8", *data, *out, *order.settings)
    return (
        "give what the run was made with, by --set (its --target and --budget are "
        f"--set 'budget={{target: x86-ort, latency_ms: 2}}'), or run `{again}` first"
    )


@contextmanager
def open_file(order: DoctorOrder) -> Iterator[tuple[Patient, Path, int]]:
    """A foreign file, or the ONNX file of a step's folder.

    Yields:
        The patient, the folder of its report, and threads.

    Raises:
        ConfigError: If it is no float segmentation network of one image input, or does not fit the data.
    """
    from edgeseg.pipeline.int8.onnx_patient import OnnxPatient

    if order.assignments:
        raise ConfigError(f"--set {order.assignments[0]} is of a recipe, and {order.subject} is none; leave it out")
    path, name = Path(order.subject), ""
    if _is_step(order.subject):
        path, name = _step_file(path), path.resolve().name
    kind = kind_of(path)
    if kind.key == "missing" and not path.is_symlink():
        raise ConfigError(f"{path} does not exist; name a float ONNX file, or a recipe")
    if kind.key != "onnx":
        raise ConfigError(refusal(path, "a float ONNX file, or a recipe", kind))
    if order.data is None:
        raise ConfigError(f"{path.name} needs images to be examined on: --data DIR with images/ and masks/")
    feeding = Feeding.parse(order.size, order.scale, order.mean, order.std)
    folder = order.out or order.runs / (name or path.stem)
    data = open_dataset(order.data, split_file=folder / "split.csv")
    own = None if order.calibration is None else open_folder(order.calibration, data, "--calibration")
    with alone_in(folder / WORK):
        patient = OnnxPatient(path, data, feeding, folder / WORK, own, order.output)
        if name:
            _check_classes(patient, path.parent)
            patient.name, patient.as_step = name, True
        yield patient, folder, default_threads()


def _is_step(subject: str) -> bool:
    return (Path(subject) / SPEC).is_file()


def _step_file(folder: Path) -> Path:
    """The ONNX file of a step's folder; what it eats is in it."""
    model, _ = open_step(folder)
    if model.suffix != ".onnx":
        raise ConfigError(
            f"{folder} holds {model.name}; INT8 is examined on ONNX files: `edgeseg adopt` the .onnx it was made from"
        )
    return model


def _check_classes(patient: Patient, folder: Path) -> None:
    """The classes of the step are those of the data, in their order."""
    own, its = open_step(folder)[1].classes, patient.data.classes
    if own != its:
        raise ConfigError(
            f"{folder} has the classes {', '.join(own)}, {patient.data.name} has {', '.join(its)}: give data of the "
            "same classes in the same order, or adopt the network with these data"
        )
