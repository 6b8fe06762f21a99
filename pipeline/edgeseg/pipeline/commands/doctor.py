"""`edgeseg doctor` looks at this machine, `edgeseg doctor int8` at a network in INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.pipeline.commands.options import EXITS, RUNS, Assignments, Data, Json, Threads, invocation
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import ERROR, GATE, OK

doctor_app = typer.Typer(invoke_without_command=True)


@doctor_app.callback(epilog="Example: edgeseg doctor --json. Exit code 1 if no engine works.")
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Say what is installed, what each engine can do here, and the command that adds what is missing."""
    if context.invoked_subcommand is not None:
        return
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.commands.machine import doctor_text, examine
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show

        with count_progress("looking at this machine") as progress:
            report = examine(progress)
        show(report, doctor_text(report), as_json=as_json)
        raise Stop(OK if report["ok"] else ERROR)


@doctor_app.command("int8", epilog=f"Example: edgeseg doctor int8 ultrasound. {EXITS}")
def doctor_int8(
    subject: Annotated[
        str,
        typer.Argument(
            help="A recipe whose run is there, a float .onnx file, or the folder that `edgeseg adopt` made of one.",
            metavar="RECIPE|MODEL.onnx|FOLDER",
        ),
    ],
    data: Data = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="MODEL.onnx: folder of images to calibrate on, not train.", metavar="DIR"),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where runs are kept.", metavar="DIR")] = RUNS,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report. Default: the run's, or RUNS/MODEL.", metavar="DIR"),
    ] = None,
    max_drop: Annotated[float, typer.Option(help="Dice that INT8 may lose against float on val.")] = 0.003,
    images: Annotated[
        int | None, typer.Option(help="Val images to compare layers on; 0 = all. Default: what five minutes allow.")
    ] = None,
    output: Annotated[
        str,
        typer.Option(help="MODEL.onnx: the tensor that holds its answer. Default: its only output.", metavar="NAME"),
    ] = "",
    size: Annotated[str, typer.Option(help="MODEL.onnx: size it runs at. Default: its own.", metavar="HxW")] = "",
    scale: Annotated[float, typer.Option(help="MODEL.onnx: it eats (pixel * scale - mean) / std.")] = 1 / 255,
    mean: Annotated[str, typer.Option(help="MODEL.onnx: one value, or one a channel with commas between.")] = "0",
    std: Annotated[str, typer.Option(help="MODEL.onnx: likewise.")] = "1",
    threads: Threads = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Say which layers lose accuracy in INT8 and why, which to keep in float, and whether INT8 is faster at all."""
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.commands.int8 import DoctorOrder
        from edgeseg.pipeline.commands.int8 import carry_out as examine_int8
        from edgeseg.pipeline.text.int8 import doctor_int8_text
        from edgeseg.pipeline.text.shown import show

        feeding = (size, scale, mean, std)
        report, folder = examine_int8(
            DoctorOrder(
                *(subject, data, calibration, runs, out, *feeding, max_drop, images, threads, output),
                assignments=tuple(assignments or ()),
            )
        )
        show(report, doctor_int8_text(report, folder), as_json=as_json)
        raise Stop(GATE if report["verdict"]["status"] == "refused" else OK)


@doctor_app.command("delegates", epilog=f"Example: edgeseg doctor delegates part.edgeseg. {EXITS}")
def doctor_delegates(
    subject: Annotated[Path, typer.Argument(help="A .tflite file, or a bundle.", metavar="MODEL.tflite|BUNDLE")],
    as_json: Json = False,
) -> None:
    """Say which operators of a TFLite file XNNPACK, the GPU delegate and NNAPI would refuse, by their documents."""
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.commands.delegates import delegates_report, delegates_text
        from edgeseg.pipeline.text.shown import show

        report = delegates_report(subject)
        show(report, delegates_text(report), as_json=as_json)
