"""The host's command line: `edgeseg`. Parse, one library call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 a gate failed. Whatever is
heavy is imported by the command that needs it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.pipeline.commands.adopt import adopt
from edgeseg.pipeline.commands.build import build
from edgeseg.pipeline.commands.crossval import crossval
from edgeseg.pipeline.commands.diff import diff
from edgeseg.pipeline.commands.doctor import doctor_app
from edgeseg.pipeline.commands.export import export_app
from edgeseg.pipeline.commands.fit import fit
from edgeseg.pipeline.commands.import_data import import_
from edgeseg.pipeline.commands.inspect import inspect
from edgeseg.pipeline.commands.options import (
    EXITS,
    RUNS,
    Assignments,
    BenchmarkModel,
    Data,
    Delegate,
    Images,
    Json,
    Limits,
    Meter,
    Model,
    Offline,
    On,
    Out,
    Recipe,
    Target,
    Threads,
    Variant,
    Wheel,
)
from edgeseg.pipeline.commands.options import invocation as _invocation
from edgeseg.pipeline.commands.pack import pack
from edgeseg.pipeline.commands.predict import predict
from edgeseg.pipeline.commands.prove import prove
from edgeseg.pipeline.commands.run import Order, carry_out
from edgeseg.pipeline.commands.sign import keygen, sign
from edgeseg.pipeline.commands.there import LOCAL, Device
from edgeseg.pipeline.commands.unpack import unpack
from edgeseg.pipeline.commands.verify import verify
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import ERROR, GATE, OK
from edgeseg.runtime.text import terminal

_CHAIN = "The chain"
_OWN = "Your networks"
_BUNDLE = "Bundles"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Get a segmentation network onto a small device, with proof.",
    epilog=f"Start with: edgeseg demo. {EXITS}",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at a data set, or make one of another tool's.")
app.add_typer(data_app, name="data", rich_help_panel="Your data")
app.add_typer(doctor_app, name="doctor", rich_help_panel="This machine")
app.add_typer(export_app, name="export", rich_help_panel=_BUNDLE)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        terminal.put(f"edgeseg {version('edgeseg')}")
        raise typer.Exit()


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)] = False,
) -> None:
    """Options of every command, given before its name."""
    _invocation.debug = debug
    # Read when torch is loaded. Its idle threads would spin, and take the CPUs from whatever else runs here: of two
    # trainings side by side each took several times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@app.command(rich_help_panel=_CHAIN, epilog="Example: edgeseg demo --out runs")
def demo(
    out: Out = RUNS,
    assignments: Assignments = None,
    images: Images = True,
    as_json: Json = False,
) -> None:
    """Run the whole chain on machined-metal surfaces drawn by edgeseg: no data set and no download needed."""
    _run(Order("demo", None, out, None, tuple(assignments or ()), images, as_json))


@app.command(rich_help_panel=_CHAIN, epilog=f"Example: edgeseg run ultrasound --data data/nerves. {EXITS}")
def run(
    recipe: Recipe,
    target: Target = None,
    budget: Limits = None,
    data: Data = None,
    out: Out = RUNS,
    only: Annotated[str | None, typer.Option(help="Stop after this step. Default: run all.", metavar="STEP")] = None,
    assignments: Assignments = None,
    images: Images = True,
    as_json: Json = False,
    on: On = None,
    meter: Meter = None,
    wheel: Wheel = None,
    offline: Offline = None,
    benchmark_model: BenchmarkModel = None,
    delegate: Delegate = "cpu",
) -> None:
    """Train, distil, cut to the budget, quantize, export, pack, measure and report, as a recipe says.

    Steps whose inputs and settings are unchanged are reused; a run that was stopped goes on where it was.
    """
    device = Device(on or LOCAL, meter, wheel, offline, benchmark_model, delegate)
    order = Order(recipe, data, out, only, tuple(assignments or ()), images, as_json, target, budget, device=device)
    _run(order)


app.command(
    rich_help_panel=_CHAIN,
    epilog="Example: edgeseg fit ultrasound --target x86-ort --budget latency_ms=2. "
    "Exit codes: 0 ok, 1 error, 2 usage, 3 no network holds the budget, or a gate failed.",
)(fit)

app.command(
    rich_help_panel=_CHAIN,
    epilog="Example: edgeseg crossval ultrasound --folds 5 --target x86-ort --budget latency_ms=2. "
    "Exit codes: 0 ok, 1 error, 2 usage, 3 worse than --max-drop allows, or a fold ships nothing.",
)(crossval)


@app.command(rich_help_panel="Your data", epilog="Example: edgeseg init data/parts")
def init(
    folder: Annotated[Path, typer.Argument(help="Your folder, with images/ and masks/.", metavar="DIR")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write into this folder, with links to the images, and leave DIR as it is.", metavar="DIR"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a folder of images and masks, and write dataset.yaml (if missing) and a commented recipe.yaml into it."""
    with reported(debug=_invocation.debug):
        from edgeseg.pipeline.commands.init import init_folder, init_text
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show

        with count_progress("looking at images") as progress:
            report = init_folder(folder, progress, out)
        show(report, init_text(report), as_json=as_json)


@data_app.command(
    "check",
    epilog="Example: edgeseg data check data/parts. Exit codes: 0 no fault (warnings or not), 1 faults, 2 usage.",
)
def check(
    folder: Annotated[Path, typer.Argument(help="A data set: images/, masks/, dataset.yaml.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """Say what a data set holds, and list everything that is wrong with it, each with its file and what to do."""
    with reported(debug=_invocation.debug):
        from edgeseg.pipeline.text.data import check_json, check_text
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.data.check import examine

        with count_progress("checking images") as progress:
            report = check_json(examine(folder, progress), str(folder))
        show(report, check_text(report), as_json=as_json)
        raise Stop(OK if report["ok"] else ERROR)


data_app.command("import", epilog="Example: edgeseg data import --from coco export data/parts")(import_)


app.command(
    rich_help_panel=_OWN,
    epilog=f"Example: edgeseg adopt model.onnx --data data/parts --scale 1. {EXITS}",
)(adopt)

app.command(
    rich_help_panel=_OWN,
    epilog=f"Example: edgeseg pack adopted/model --data data/parts --out part.edgeseg. {EXITS}",
)(pack)


app.command(rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg verify part.edgeseg --trust release.pub. {EXITS}")(
    verify
)

app.command(rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg inspect part.edgeseg. {EXITS}")(inspect)

app.command(rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg keygen release.key. {EXITS}")(keygen)

app.command(rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg sign part.edgeseg --key release.key. {EXITS}")(sign)


@app.command(
    rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg evaluate part.edgeseg --data data/parts --by kind. {EXITS}"
)
def evaluate(
    bundle: Model,
    data: Annotated[Path, typer.Option(help="Folder with images/ and masks/.", metavar="DIR")],
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all. Default: test where meta.csv has a column split, else all."),
    ] = None,
    by: Annotated[str, typer.Option(help="Columns of meta.csv to score by, with commas between.")] = "",
    classes_by_id: Annotated[
        bool,
        typer.Option("--classes-by-id", help="Take class ids as they are where dataset.yaml has other names."),
    ] = False,
    min_dice: Annotated[
        float | None, typer.Option(help="Exit with 3 where Dice is below this, 0 to 1.", min=0, max=1)
    ] = None,
    variant: Variant = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Score a bundle or a step's folder on a data set, whose classes, colour and pixel size are held against it."""
    with reported(debug=_invocation.debug):
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import evaluate_text, show
        from edgeseg.runtime.device.commands import BundleChoice, listed, passes
        from edgeseg.runtime.device.commands import evaluate as score
        from edgeseg.runtime.text.terminal import say

        with count_progress("scoring images") as progress:
            choice = BundleChoice(bundle, variant, threads)
            report = score(choice, data, split=split, by=listed(by), classes_by_id=classes_by_id, progress=progress)
        for warning in report["warnings"]:
            say(f"warning: {warning}")
        passed = passes(report, min_dice)
        show(report, evaluate_text(report), as_json=as_json)
        raise Stop(OK if passed else GATE)


app.command(
    rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg predict part.edgeseg frames --out masks --overlay. {EXITS}"
)(predict)


app.command(rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg unpack part.edgeseg --out part. {EXITS}")(unpack)

app.command(
    rich_help_panel=_BUNDLE,
    epilog=f"Example: edgeseg build part.edgeseg --variant trt-int8 --capability sm86 --out engines. {EXITS}",
)(build)

app.command(
    rich_help_panel=_BUNDLE,
    epilog="Example: edgeseg prove part.edgeseg --variant trt-int8 --bundle-version 1.1 --out part-1.1.edgeseg. "
    f"{EXITS}",
)(prove)


app.command(
    rich_help_panel=_BUNDLE, epilog=f"Example: edgeseg diff old.edgeseg new.edgeseg --data data/parts. {EXITS}"
)(diff)


@app.command(
    rich_help_panel="This machine",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure models here and on devices: latency, energy, heat; say which of two is faster."""
    with reported(debug=_invocation.debug):
        # A command line of its own, loaded only now: it needs numpy, and every other command should not wait for it.
        from edgeseg.benchmarks.cli import app as bench_app

        bench_app(context.args, prog_name="edgeseg bench")


def _run(order: Order) -> None:
    with reported(debug=_invocation.debug):
        raise Stop(carry_out(order))


if __name__ == "__main__":
    terminal.run(app)
