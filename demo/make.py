"""Makes the demo's bundle: a small student, trained from scratch on drawn surfaces, as ONNX and as TFLite.

    python demo/make.py build      # trains in build/demo for some ten minutes; again, it packs what is there

It is written to build/demo.edgeseg, to be copied beside this file where it is to be the new one: a bundle names the
commit it was made by, and a checkout in which a file was replaced is none.

Parts of the encoder that these surfaces do not need are taken out after the training: without them it sees the same.
Nothing is timed: a time of the machine that packs says nothing of the one that the bundle is tried on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.plan import make_plan
from edgeseg.compress.search.depth import Depth, shallower
from edgeseg.export.formats import Origin, write_float, write_quantised
from edgeseg.export.pack import pack
from edgeseg.pipeline.commands.pack import variants
from edgeseg.pipeline.commands.run import Order, carry_out
from edgeseg.pipeline.recipe.files import find_recipe
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.steps.pack import bundle_info, golden_frames
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.opening.step_folder import SPEC
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, ModelSpec
from edgeseg.train.checkpoint import load_checkpoint

SETTINGS = (
    "budget=null",
    "student.init=none",
    "student.width=0.5",
    "student.epochs=22",
    "train.threads=1",
    "train.precision=float32",
)
STEP = "student_alone"
# The last stage, and repeated blocks of the deep ones, by (stage, place).
GONE = Depth(blocks=frozenset({(3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (5, 2), (5, 3)}), stages=1)


def main(out: Path) -> None:
    """Train in a folder, as far as that is not done, cut, export and pack."""
    carry_out(Order("demo", None, out, STEP, SETTINGS, images=False, as_json=False))
    recipe = load_recipe(find_recipe("demo"), SETTINGS)
    run = out / recipe.name
    (folder,) = (run / "data").iterdir()
    data = open_dataset(folder)
    sources = variants(export(run, recipe, data), data)
    info = bundle_info(recipe.identity, data, sources[0].spec)
    bundle = out / "demo.edgeseg"
    manifest = pack(bundle, info, sources, golden_frames(data, recipe.data.seed))
    sys.stdout.write(f"{bundle}: {manifest.bundle_id}, {bundle.stat().st_size} bytes\n")


def export(run: Path, recipe: Recipe, data: DataSet) -> list[Path]:
    """Write the files of the cut student as steps' folders: FP32 for ONNX Runtime, INT8 for LiteRT."""
    model = shallower(load_checkpoint(run / "steps" / STEP / "files")[0], GONE)
    size = Geometry("resize", recipe.geometry.height_px, recipe.geometry.width_px)
    spec = InputSpec(data.color, size, int(model.stride))
    onnx, tflite, floats = (run / "export" / name for name in ("onnx_fp32", "tflite_int8", "tflite_fp32"))
    for one in (onnx, tflite, floats):
        one.mkdir(parents=True, exist_ok=True)
    _describe(onnx, write_float("onnx", model, onnx / "model.onnx", spec, data.classes, free=True))
    source = floats / "model.tflite"
    origin_spec = write_float("tflite", model, source, spec, data.classes)
    folded = fold_batch_norm(model)
    images = [
        read_image(one.image, data.color)[None, ..., None] for one in data.split("train")[: recipe.quantize.images]
    ]
    plan = make_plan(folded, collect_ranges(folded, images))
    int8, _ = write_quantised("tflite", Origin(model, plan, source, origin_spec), tflite / "model.tflite")
    _describe(tflite, int8)
    return [onnx, tflite]


def _describe(folder: Path, spec: ModelSpec) -> None:
    write_json(folder / SPEC, spec.to_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
