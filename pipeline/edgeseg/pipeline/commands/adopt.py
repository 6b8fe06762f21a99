"""`edgeseg adopt`: a network that others made becomes a step's folder, scored on the data it was looked at with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from rich.console import RenderableType

_SCORED = 32  # val images at most: enough to see that it is fed rightly
_HARDLY_WORKS = 0.1  # mean Dice of a network that was probably fed wrongly


def adopt(
    model: Annotated[Path, typer.Argument(help="An .onnx or .tflite file.", metavar="MODEL")],
    data: Annotated[Path, typer.Option(help="Data set of the classes that it was trained for.", metavar="DIR")],
    out: Annotated[
        Path | None, typer.Option(help="The step's folder. Default: adopted/ and the file's name.", metavar="DIR")
    ] = None,
    output: Annotated[
        str, typer.Option(help="The tensor that holds its answer. Default: its only output.", metavar="NAME")
    ] = "",
    size: Annotated[str, typer.Option(help="Size it runs at. Default: its own.", metavar="HxW")] = "",
    scale: Annotated[float, typer.Option(help="It eats (pixel * scale - mean) / std.")] = 1 / 255,
    mean: Annotated[str, typer.Option(help="One value, or one a channel with commas between.")] = "0",
    std: Annotated[str, typer.Option(help="Likewise.")] = "1",
    as_json: Json = False,
) -> None:
    """Make a network that others made a step of ours: a folder that bench, evaluate, doctor int8 and pack take.

    How it takes an image and how it ends is read off its graph and held against its own answers; nothing is assumed but
    what its pixels are scaled by.
    """
    with reported(debug=invocation.debug):
        from edgeseg.export.adopt.any import adopt_any
        from edgeseg.export.adopt.feeding import Feeding
        from edgeseg.export.adopt.step import write_step
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.data.dataset import open_dataset

        folder = out or Path("adopted") / model.stem
        feeding = Feeding.parse(size, scale, mean, std)
        opened = open_dataset(data)
        step = adopt_any(model, opened, feeding, output)
        about = write_step(step, folder)
        with count_progress("scoring val") as progress:
            report = {"folder": str(folder), "data": str(data), **about, **_scored(folder, opened, progress)}
        report["quantisable"] = (step.spec.backend, step.spec.precision) == ("onnxruntime", "fp32")
        show(report, adopt_text(report), as_json=as_json)


def _scored(folder: Path, data: Any, progress: Any) -> dict[str, Any]:
    """Accuracy on some of val, and what it says of how the network is fed."""
    from edgeseg.export.score_file import score_file
    from edgeseg.runtime.opening.step_folder import open_step
    from edgeseg.runtime.score.metrics import summarize

    samples = data.split("val")[:_SCORED]
    accuracy = summarize(score_file(*open_step(folder), data, samples, progress=progress), data.classes)
    dice: Any = accuracy["dice_mean"]
    warnings = []
    if dice is None or dice < _HARDLY_WORKS:
        warnings.append(
            f"Dice on {len(samples)} val images is {'not known' if dice is None else f'{dice:.3f}'}: its preprocessing "
            "(--scale, --mean, --std, --size) or the order of its classes may be another, or it was never trained"
        )
    return {"accuracy": {"val": accuracy}, "warnings": warnings}


def adopt_text(report: Mapping[str, Any]) -> RenderableType:
    """How it was read, how it does, and what can be done with it."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import Verbatim
    from edgeseg.runtime.text.shell import command

    its, made, accuracy = report["input"], report["output"], report["accuracy"]["val"]
    dice = accuracy["dice_mean"]
    folder, data = report["folder"], report["data"]
    size = f"{its['height_px']}x{its['width_px']}"
    planes = f"{made['planes']} plane(s) of {made['activation']} scores, {made['layout']}"
    doctor = [["doctor", "int8", folder, "--data", data]] if report["quantisable"] else []
    next_steps = [["evaluate", folder, "--data", data], ["bench", "run", folder], *doctor]
    next_steps.append(["pack", folder, "--data", data, "--out", f"{Path(folder).name}.edgeseg"])
    return Group(
        *(Text(f"WARNING: {one}", "bold red") for one in report["warnings"]),
        Text(f"input {its['name']}: {its['type']} {its['layout']} {size}, {its['channels']} channel(s), "),
        Text(f"  fed with {its['fed_with']}"),
        Text(f"output {made['name']}: {planes}, at {made['scores']}"),
        *(Text(f"note: {one}") for one in report["notes"]),
        Text(f"cells whose class differs from the file's own: {report['cells_that_differ']:.3%}", "dim"),
        Text(f"Dice on {accuracy['n_images']} val images: {'-' if dice is None else f'{dice:.3f}'}"),
        Text(f"wrote {folder}; then:"),
        *(Verbatim(f"  {command('edgeseg', *words)}") for words in next_steps),
    )
