"""Arguments and options that several commands of `edgeseg` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.runtime.engines import BUDGET_TARGETS

EXITS = "Exit codes: 0 ok, 1 error, 2 usage, 3 a gate failed."
RUNS = Path("runs")

Recipe = Annotated[
    str, typer.Argument(help="A recipe file, or the name of one that comes along, such as demo.", metavar="RECIPE")
]
Data = Annotated[
    Path | None, typer.Option(help="Folder of the data set. Default: found by the recipe's data.name.", metavar="DIR")
]
Out = Annotated[Path, typer.Option(help="Where runs are kept; this one in OUT/NAME of the recipe.", metavar="DIR")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, such as teacher.epochs=20; may be repeated.", metavar="KEY=VALUE"),
]
Images = Annotated[bool, typer.Option("--images/--no-images", help="Show test images in the report.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
BundleFile = Annotated[Path, typer.Argument(help="The .edgeseg file.", metavar="BUNDLE")]
Model = Annotated[
    Path,
    typer.Argument(help="The .edgeseg file, or a step's folder (model file and spec.json).", metavar="BUNDLE|FOLDER"),
]
Variant = Annotated[str | None, typer.Option(help="Variant to run. Default: the best one here.", metavar="NAME")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of the engine. Default: all cores, at most 4.", metavar="N")
]
Target = Annotated[
    str | None,
    typer.Option(
        help=f"{', '.join(BUDGET_TARGETS)}. Default: the recipe's budget.target; with --on the device's litert where "
        "that is another machine.",
        metavar="TARGET",
    ),
]
Limits = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Any of latency_ms, speedup (against the FP32 reference U-Net), macs, macs_ratio (of the student's), "
        "bytes, energy_mj, with commas between. "
        "Default: the recipe's budget.",
        metavar="LIMITS",
    ),
]


On = Annotated[
    str | None,
    typer.Option(
        help="Hold the budget there: ssh://user@host, adb://serial or a name of devices.yaml. Default: this machine.",
        metavar="DEVICE",
    ),
]
Meter = Annotated[
    str | None,
    typer.Option(help="What measures energy_mj there, as `bench run --meter` names it. Default: auto.", metavar="NAME"),
]
Wheel = Annotated[
    Path | None, typer.Option(help="ssh: edgeseg's wheel for the device. Default: the code that runs here.")
]
Offline = Annotated[
    Path | None, typer.Option(help="ssh: the device takes wheels from this folder, from no index.", metavar="WHEELS")
]
BenchmarkModel = Annotated[Path | None, typer.Option(help="adb: LiteRT's benchmark_model for the phone's processor.")]
Delegate = Annotated[str, typer.Option(help="adb: cpu, gpu, nnapi or external=/path/on/phone.so.")]


@dataclass
class Invocation:
    """Options before the command's name."""

    debug: bool = False


invocation = Invocation()
