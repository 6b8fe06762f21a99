r"""What each method of quantizing is worth on val: the INT8 files of a run's accepted network, written anew by each.

    python benchmarks/files/int8_methods.py ultrasound --runs runs --data DIR --ranges minmax mse

prints one JSON object: by target and method (`RANGES` of `NETWORK`) the Dice on val of the file as it would ship, and
its gain in points, with a 95 % interval over images, against the FP32 file and against the first method. The row `run`
is the run's own INT8 file, with `quantize.qat` where its recipe had that. The run's folder is only read; of its steps
`onnx_fp32`, for LiteRT also `tflite_fp32`, and those before them have to be done.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.int8.calibrate import METHODS
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepare import Network, prepare
from edgeseg.export.formats import FORMATS, Origin, write_quantised
from edgeseg.export.patch import patch_onnx, patch_tflite
from edgeseg.export.score_file import score_file
from edgeseg.pipeline.plan.run import data_of
from edgeseg.pipeline.plan.variants import VariantPlan, shipped_as
from edgeseg.pipeline.recipe.files import find_recipe
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.runtime.score.drops import dice_drop
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import summarize
from edgeseg.train.checkpoint import load_checkpoint

TARGETS = ("x86-ort", "x86-litert", "arm64-ort")
Scores = list[ImageScore]


def files_of(root: Path, step: str) -> Path:
    """The folder of a step that is done.

    Raises:
        ConfigError: If it is not, or came to nothing.
    """
    done = root / "steps" / step / "done.json"
    if not done.is_file():
        raise ConfigError(f"{root} holds no finished step {step}; run the recipe with --only {step} first")
    result = json.loads(done.read_text())["result"]
    if result.get("status", "ok") != "ok":
        raise ConfigError(f"{root}: the step {step} is {result['status']}: {result.get('reason')}")
    return done.with_name("files")


class Methods:
    """The accepted network of a run, its calibration images and its val.

    Args:
        root: The run's folder.
        recipe: That it was run by.
        data: Its data set.
        work: For the files.
    """

    def __init__(self, root: Path, recipe: Recipe, data: DataSet, work: Path) -> None:
        self._root, self._recipe, self._data, self._work = root, recipe, data, work
        chosen = json.loads((files_of(root, "choose_final").with_name("done.json")).read_text())["result"]
        self._model = load_checkpoint(files_of(root, chosen["student"]))[0]
        self._plain = fold_batch_norm(self._model)
        spec = read_spec(files_of(root, "onnx_fp32")).input
        folder = recipe_folder(data, recipe.quantize.folder)
        drawn = draw_images(data, folder, recipe.quantize.images, recipe.train.seed, spec)
        self._images = list(calibration_tensors(data, drawn.images, spec))

    def prepared(self, ranges: Any, network: Any) -> Origin:
        """What is quantised, still without its file."""
        found = prepare(self._plain, self._images, ranges, network)
        plan = dataclasses.replace(found.plan, float_paths=self._recipe.quantize.float_paths)
        return Origin(found.network, plan, Path(), read_spec(files_of(self._root, "onnx_fp32")))

    def scores(self, origin: Origin, variant: VariantPlan) -> Scores:
        """Of its INT8 file on val."""
        files = files_of(self._root, variant.parent)
        source = model_in(files)
        patched = self._work / source.name
        patch = patch_onnx if source.suffix == ".onnx" else patch_tflite
        patch(source, patched, self._model, origin.model)
        path = self._work / f"int8{FORMATS[variant.format].suffix}"
        spec = write_quantised(variant.format, origin._replace(source=patched, spec=read_spec(files)), path)[0]
        return score_file(path, spec, self._data, self._data.split("val"))

    def known(self, step: str) -> Scores:
        """Of a file of the run itself on val."""
        files = files_of(self._root, step)
        return score_file(model_in(files), read_spec(files), self._data, self._data.split("val"))


def table(data: DataSet, floats: Scores, rows: dict[str, Scores]) -> dict[str, Any]:
    """Dice of each method, and its gain against FP32 and against the first method [points of Dice]."""
    first = next(iter(rows.values()))
    found = {"fp32": {"dice": summarize(floats, data.classes)["dice_mean"]}}
    for name, scores in rows.items():
        found[name] = {
            "dice": summarize(scores, data.classes)["dice_mean"],
            "against_fp32": _gain(floats, scores),
            "against_first": _gain(first, scores),
        }
    return found


def _gain(reference: Scores, scores: Scores) -> dict[str, float | None] | None:
    drop = dice_drop(reference, scores, None)
    if drop is None:
        return None
    points = {"mean": drop["mean"], "lo95": drop["hi95"], "hi95": drop["lo95"]}
    return {name: None if value is None else round(-100 * value, 3) + 0.0 for name, value in points.items()}


def measure(asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The table of every target."""
    recipe = load_recipe(find_recipe(asked.recipe), asked.settings)
    root = asked.runs / recipe.name
    files_of(root, "choose_final")  # before a data set is drawn where there is no run
    data = data_of(recipe, asked.data, root)
    methods = Methods(root, recipe, data, work)
    rows: dict[str, dict[str, Scores]] = {target: {} for target in asked.targets}
    for ranges in asked.ranges:
        for network in asked.networks:
            origin = methods.prepared(ranges, network)
            for target, found in rows.items():
                name = f"{ranges} of {network}"
                found[name] = methods.scores(origin, shipped_as(target, "int8"))
                print(f"{target}, {name}: done", file=sys.stderr)  # noqa: T201
    for target, found in rows.items():
        own = shipped_as(target, "int8").step
        if (root / "steps" / own / "done.json").is_file():
            found["run"] = methods.known(own)
    return {
        target: table(data, methods.known(shipped_as(target, "int8").parent), found) for target, found in rows.items()
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="key=value")
    parser.add_argument("--ranges", nargs="+", choices=METHODS, default=["minmax"])
    parser.add_argument("--networks", nargs="+", choices=get_args(Network), default=list(get_args(Network)))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as work:
            print(json.dumps(measure(asked, Path(work)), indent=2))  # noqa: T201
    except EdgesegError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
