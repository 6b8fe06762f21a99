"""The command line: `edgeseg bench run | matrix | formats | compare | devices | import | estimate | report | env`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 a gate failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.accuracy.images import Images
from edgeseg.benchmarks.commands.devices import devices
from edgeseg.benchmarks.commands.estimate import estimate
from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.commands.formats import formats
from edgeseg.benchmarks.commands.import_ import import_
from edgeseg.benchmarks.commands.matrix import matrix
from edgeseg.benchmarks.commands.report import report
from edgeseg.benchmarks.commands.results import Output
from edgeseg.benchmarks.compare import Comparison, compare_results, compare_rows
from edgeseg.benchmarks.compare_text import comparison_text
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.tensors import Sizes
from edgeseg.benchmarks.gates.race import Race
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.state import read_state
from edgeseg.benchmarks.options import (
    DEFAULT,
    EFFORT,
    FOREIGN,
    OUTPUT,
    Against,
    BenchmarkModel,
    Blocks,
    Clean,
    Data,
    DeadlineMs,
    Delegates,
    Gates,
    Junit,
    MeterName,
    MinSamples,
    Minutes,
    Offline,
    On,
    Prices,
    Processes,
    Quick,
    Rewarm,
    ScenarioOption,
    Seconds,
    Split,
    StartBelow,
    Threads,
    WarmupCap,
    Wheel,
    refuse_elsewhere,
    settled,
)
from edgeseg.benchmarks.progress import shown_progress
from edgeseg.benchmarks.results.price import Price
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.sources import EngineOnly, load_frame, open_source
from edgeseg.benchmarks.targets.address import find_address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.parcel import check_wheel
from edgeseg.benchmarks.targets.run import run_on
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.errors import ConfigError, GateError
from edgeseg.runtime.files.atomic import refuse_device_or_pipe
from edgeseg.runtime.text.terminal import put, put_json
from edgeseg.runtime.text.terminal import run as run_command

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Measure models here and on devices: latency, energy, heat; say which of two is faster.",
)


@app.command(epilog="Example: edgeseg bench run part.edgeseg --variant onnx-fp32,onnx-int8-x86 --out result.json")
def run(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="A .edgeseg bundle; or steps' folders (model file and spec.json); or .onnx and .tflite files."
        ),
    ],
    *,
    variant: Annotated[str, typer.Option(help="'all', or names with commas between.")] = "all",
    on: On = None,
    threads: Threads = DEFAULT.threads,
    frame: Annotated[
        Path | None, typer.Option(help="Image to time on. Without: the bundle's first golden image, else noise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result with every sample to this JSON file.", rich_help_panel=OUTPUT)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an OUT that is no bench result.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=OUTPUT)] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.", rich_help_panel=OUTPUT)] = False,
    size: Annotated[
        str,
        typer.Option(
            help="Foreign files: height and width of images they leave open.", metavar="HxW", rich_help_panel=FOREIGN
        ),
    ] = "",
    shape: Annotated[
        list[str] | None,
        typer.Option(
            help="Foreign files: an input's whole shape, once per input.",
            metavar="NAME=1x3x224x224",
            rich_help_panel=FOREIGN,
        ),
    ] = None,
    zeros: Annotated[
        bool, typer.Option("--zeros", help="Foreign files: feed zeros, not seeded noise.", rich_help_panel=FOREIGN)
    ] = False,
    engine_only: Annotated[
        bool,
        typer.Option(
            "--engine-only", help="Time the engine alone, also of files with a spec.json.", rich_help_panel=FOREIGN
        ),
    ] = False,
    seconds: Seconds = None,
    min_samples: MinSamples = None,
    processes: Processes = None,
    blocks: Blocks = None,
    warmup_cap: WarmupCap = None,
    rewarm: Rewarm = DEFAULT.rewarm,
    settle_cap: Annotated[
        float, typer.Option(help="Longest wait for idle threads before each block, in seconds.", rich_help_panel=EFFORT)
    ] = DEFAULT.settle_cap_s,
    pause: Annotated[
        float, typer.Option(help="Idle time between processes, for a hot device, in seconds.", rich_help_panel=EFFORT)
    ] = DEFAULT.pause_s,
    timeout: Annotated[
        float, typer.Option(help="End a process that is silent for longer, in seconds.", rich_help_panel=EFFORT)
    ] = DEFAULT.timeout_s,
    wheel: Wheel = None,
    offline: Offline = None,
    clean: Clean = False,
    benchmark_model: BenchmarkModel = None,
    delegate: Delegates = None,
    quick: Quick = False,
    meter: MeterName = None,
    price: Prices = None,
    scenario: ScenarioOption = "single-stream",
    minutes: Minutes = 10.0,
    start_below: StartBelow = None,
    deadline: DeadlineMs = None,
    gate: Gates = None,
    against: Against = None,
    junit: Junit = None,
    data: Data = None,
    split: Split = None,
) -> None:
    """Measure pre, infer and post of every variant, in turns, over several fresh processes, here or on devices.

    Of .onnx and .tflite files without a spec.json the engine alone is timed, on made-up inputs, and the result says so.
    Several bundles, folders or files take turns in one run. A variant that cannot run here is a row with its reason.
    Exit code 1 if a variant failed or none could run, 3 if a gate was broken.
    """
    with errors():
        addresses = [find_address(name) for name in dict.fromkeys(on or ["local"])]
        if price is not None:
            addresses = [replace(one, price=Price.parse(price)) for one in addresses]
        output = Output(out, as_json, as_csv, overwrite)
        output.check((*models, frame, against), tuple(one.name for one in addresses))
        race = Race.parse(gate or [], against, models)
        if split is not None and data is None:
            raise ConfigError(f"--split {split} is of --data: name the folder")
        config = HarnessConfig(
            threads=threads,
            rewarm=rewarm,
            settle_cap_s=settle_cap,
            pause_s=pause,
            timeout_s=timeout,
            meter=meter,
            scenario=scenario,
            sustained_s=60 * minutes,
            start_below_c=start_below,
            deadline_ms=deadline,
        )
        effort = {"seconds": seconds, "min_samples": min_samples, "processes": processes, "blocks": blocks}
        config = settled(config, quick, gated=bool(gate), warmup_cap_s=warmup_cap, **effort)
        sizes = Sizes.parse(size, shape or [])
        alone = EngineOnly(engine_only, sizes, "zeros" if zeros else "random", timeout)
        wishes = Wishes(wheel and check_wheel(wheel), offline, clean, benchmark_model, tuple(delegate or ()))
        if junit is not None:
            refuse_device_or_pipe(junit)
        refuse_elsewhere(config, junit, [one.name for one in addresses if one.scheme != "local"])
        with open_source(race.paths, variant, alone) as source, shown_progress() as progress:
            pairs = race.pairs(source.origins, config)
            pixels, name = load_frame(frame, source)
            images = Images.of(data, split, source.subjects) if data else None
            job = Measurement(source.subjects, pixels, name, config, source.golden, images)
            found = run_on(addresses, job, wishes, progress)
        try:
            output.show(found)
        finally:
            race.conclude([one for one in found.values() if isinstance(one, BenchResult)], pairs, junit)


@app.command(epilog="Example: edgeseg bench compare result.json --a onnx-fp32 --b onnx-int8-x86")
def compare(
    results: Annotated[list[Path], typer.Argument(help="One result with --a and --b, or two results: A.json B.json.")],
    a: Annotated[
        str | None, typer.Option(help="The reference variant. Default with two files: every common one.")
    ] = None,
    b: Annotated[str | None, typer.Option(help="The variant set against it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    fail_if_slower: Annotated[bool, typer.Option(help="Exit with code 3 where a verdict is 'slower'.")] = False,
) -> None:
    """Say whether B is faster than A: faster, slower, no difference shown, or inconclusive.

    Two variants of one result took turns and compare well. Two files are two draws of everything: below the floor by
    which runs differ anyway they are inconclusive, and files of other machines or frames are refused.
    """
    with errors():
        found = _compare(results, a, b)
        if as_json:
            put_json([comparison.to_json() for comparison in found], indent=None)
        else:
            put(comparison_text(found))
        slower = [comparison.b for comparison in found if comparison.verdict == "slower"]
        if fail_if_slower and slower:
            raise GateError(f"slower than the reference: {', '.join(slower)}")


app.command(epilog="Example: edgeseg bench formats part.edgeseg")(formats)
app.command("benchmark", hidden=True)(formats)
app.command(epilog="Example: edgeseg bench matrix part.edgeseg --threads 1,2,4 --size 128x128,256x256 --out m")(matrix)
app.command(epilog="Example: edgeseg bench estimate part.edgeseg --device pi5")(estimate)
app.command(epilog="Example: edgeseg bench report pi.json jetson.json -o report.html")(report)
app.command(name="devices", epilog="Example: edgeseg bench devices --on ssh://pi@raspberrypi.local")(devices)
app.command(name="import", epilog="Example: edgeseg bench import trtexec.log --device 'Jetson Nano' --out nano.json")(
    import_
)


@app.command(epilog="Example: edgeseg bench env --json")
def env(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Show what a result says about this machine. It names no host, no user and no folder."""
    found: dict[str, Mapping[str, object]] = {
        "device": read_device().to_json(),
        "software": read_software(),
        "state": read_state().to_json(),
    }
    if as_json:
        put_json(found, indent=None)
        return
    for part, values in found.items():
        put(part)
        for key, value in values.items():
            put(f"  {key:16} {_shown(value)}")


def _compare(results: list[Path], a: str | None, b: str | None) -> list[Comparison]:
    if len(results) == 1:
        if a is None or b is None:
            raise ConfigError("one result compares two of its own variants: name them with --a and --b")
        return [compare_rows(read_result(results[0]), a, b)]
    if len(results) == 2:
        return compare_results(read_result(results[0]), read_result(results[1]), a, b)
    raise ConfigError(f"{len(results)} results are given: compare takes one or two")


def _shown(value: object) -> str:
    if value is None or value in ((), [], {}):
        return "not told by this machine"
    return " ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    run_command(app)
