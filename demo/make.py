"""Makes demo.edgeseg beside this file: a small student, trained from scratch on drawn surfaces, as ONNX and as TFLite.

    python demo/make.py build      # trains in build/demo, about five minutes; again, only what has changed is made

The chain trains, exports and quantizes as `edgeseg run` does. Nothing is timed: a time of the machine that packs says
nothing of the one that the bundle is tried on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeseg.export.pack import pack
from edgeseg.pipeline.chain.provenance import git_commit
from edgeseg.pipeline.commands.pack import variants
from edgeseg.pipeline.commands.run import Order, carry_out
from edgeseg.pipeline.recipe.files import find_recipe
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.steps.pack import bundle_info, golden_frames
from edgeseg.runtime.data.dataset import open_dataset

SETTINGS = (
    "budget=null",
    "fit.student=student_alone",
    "student.init=none",
    "student.width=0.25",
    "student.stages=5",
    "student.epochs=10",
)
STEPS = ("onnx_fp32", "tflite_int8")
BUNDLE = Path(__file__).resolve().parent / "demo.edgeseg"


def main(out: Path) -> None:
    """Train in a folder, as far as that is not done, and pack."""
    carry_out(Order("demo", None, out, STEPS[-1], SETTINGS, images=False))
    recipe = load_recipe(find_recipe("demo"), SETTINGS)
    run = out / recipe.name
    (folder,) = (run / "data").iterdir()
    data = open_dataset(folder)
    sources = variants([run / "steps" / step / "files" for step in STEPS], data)
    info = bundle_info(recipe.identity, data, sources[0].spec)
    manifest = pack(BUNDLE, info, sources, golden_frames(data, recipe.data.seed))
    sys.stdout.write(f"{manifest.bundle_id}: {BUNDLE.stat().st_size} bytes, commit {git_commit()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
