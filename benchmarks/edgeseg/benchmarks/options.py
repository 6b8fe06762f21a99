"""Options of `bench run` that have more to say than a line; names that users of other tools know beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.config import HarnessConfig, quick
from edgeseg.benchmarks.meters import METERS
from edgeseg.benchmarks.meters.watch import METERED_S
from edgeseg.benchmarks.timing.scenario import SCENARIOS
from edgeseg.runtime.errors import ConfigError

# p99 has a bound from 662 samples on.
DEFAULT = HarnessConfig(min_samples=662)
GATE_PROCESSES = 10

# Headings of `--help`.
EFFORT, FOREIGN, DEVICE = "How much is measured", "Files of others", "On a device"
POWER, SCORED, GATING, OUTPUT = "Energy, heat and cost", "Accuracy", "Old against new, and deadlines", "Output"

Threads = Annotated[int, typer.Option("--threads", "--num_threads", help="Threads of the engine.")]
Seconds = Annotated[
    float | None,
    typer.Option(
        help=f"Measuring time per variant, without warm-up, in seconds. Default: {DEFAULT.seconds:g}; with --meter "
        f"{METERED_S:g}.",
        rich_help_panel=EFFORT,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        help=f"Fresh processes the samples come from. Default: {DEFAULT.processes}; with --gate {GATE_PROCESSES}.",
        rich_help_panel=EFFORT,
    ),
]
Blocks = Annotated[
    int | None,
    typer.Option(help=f"Blocks per variant and process, in turns. Default: {DEFAULT.blocks}.", rich_help_panel=EFFORT),
]
WarmupCap = Annotated[
    float | None,
    typer.Option(
        help=f"Longest warm-up per variant, all processes together, in seconds. Default: {DEFAULT.warmup_cap_s:g}.",
        rich_help_panel=EFFORT,
    ),
]
MinSamples = Annotated[
    int | None,
    typer.Option(
        "--min-samples",
        "--num_runs",
        "--iterations",
        help=f"Samples per variant, however long they take. Default: {DEFAULT.min_samples}, for p99.",
        rich_help_panel=EFFORT,
    ),
]
Rewarm = Annotated[
    int, typer.Option("--rewarm", "--warmup_runs", help="Untimed calls before each block.", rich_help_panel=EFFORT)
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A look in seconds: few samples, and the result says so.", rich_help_panel=EFFORT),
]
MeterName = Annotated[
    str | None,
    typer.Option(
        help=f"Measure energy too: auto, {', '.join(METERS)} or csv:FILE.",
        metavar="NAME[:WHICH]",
        rich_help_panel=POWER,
    ),
]
ScenarioOption = Annotated[str, typer.Option(help=f"MLPerf's {', '.join(SCENARIOS)}.", rich_help_panel=EFFORT)]
Minutes = Annotated[float, typer.Option(help="How long 'sustained' takes, per variant.", rich_help_panel=POWER)]
StartBelow = Annotated[
    float | None,
    typer.Option(
        help="'sustained' waits until the hottest zone is below this.", metavar="CELSIUS", rich_help_panel=POWER
    ),
]
DeadlineMs = Annotated[
    float | None, typer.Option("--deadline", help="Count calls that take longer.", metavar="MS", rich_help_panel=GATING)
]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        help="What a new model must keep: latency_p50, latency_p90, size or energy=+5%, dice=-0.2 points.",
        metavar="METRIC=LIMIT",
        rich_help_panel=GATING,
    ),
]
Against = Annotated[
    Path | None, typer.Option(help="The old bundle or file, measured beside the new ones.", rich_help_panel=GATING)
]
Junit = Annotated[Path | None, typer.Option(help="Write rows and gates to this JUnit file.", rich_help_panel=GATING)]
On = Annotated[
    list[str] | None,
    typer.Option(
        help="Where: local, ssh://user@host, trtexec://user@host, adb://serial or a name of devices.yaml.",
        rich_help_panel=DEVICE,
    ),
]
Prices = Annotated[
    str | None,
    typer.Option(
        "--price",
        help="Cost of an inference by this list: hour=0.04,kwh=0.30,currency=EUR (kwh needs --meter). "
        "Default: the device's in devices.yaml.",
        metavar="LIST",
        rich_help_panel=POWER,
    ),
]
Wheel = Annotated[
    Path | None,
    typer.Option(help="ssh: edgeseg's wheel for the device. Without: the code that runs here.", rich_help_panel=DEVICE),
]
Offline = Annotated[
    Path | None,
    typer.Option(
        help="ssh: the device has no network: take wheels from this folder.", metavar="WHEELS", rich_help_panel=DEVICE
    ),
]
Clean = Annotated[
    bool,
    typer.Option("--clean", help="ssh: leave nothing on the device, its environment neither.", rich_help_panel=DEVICE),
]
BenchmarkModel = Annotated[
    Path | None, typer.Option(help="adb: LiteRT's benchmark_model for the phone's processor.", rich_help_panel=DEVICE)
]
Delegates = Annotated[
    list[str] | None,
    typer.Option(
        "--delegate",
        help="adb: cpu, gpu, nnapi or external=/path/on/phone.so; may be repeated. Default: cpu and gpu.",
        rich_help_panel=DEVICE,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Score every file too, where it is timed: a folder with images/ and masks/.",
        metavar="DIR",
        rich_help_panel=SCORED,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(help="Of --data: train, val, test or all. Default: test where it has one.", rich_help_panel=SCORED),
]


def refuse_elsewhere(config: HarnessConfig, junit: Path | None, elsewhere: Sequence[str]) -> None:
    """Refuse what only works where this command runs.

    Raises:
        ConfigError: A meter's file, or one JUnit file, of devices.
    """
    name = (config.meter or "").partition(":")[0]
    if elsewhere and name in ("csv", "replay"):
        raise ConfigError(f"--meter {name} reads a file of this machine, not of {elsewhere[0]}: run the bench there")
    if elsewhere and junit is not None:
        raise ConfigError("--junit is of one measurement on this machine: leave --on out")


def settled(config: HarnessConfig, look: bool, gated: bool, **typed: float | int | None) -> HarnessConfig:
    """What follows from options together, where the user did not say it.

    Args:
        config: Without what is in `typed`.
        look: `--quick`, which measures little.
        gated: Gates are to be decided. With five processes a slowdown of 5 % is found in nine of ten runs, with ten in
            all of a hundred (`benchmarks/measuring/verdict_rates.py`).
        typed: `seconds`, `processes` and the other fields that have a default here; None where it was not typed.
    """
    usual = quick(config.threads) if look else DEFAULT
    names = ("blocks", "seconds", "min_samples", "warmup_cap_s")
    found: dict[str, float | int] = {name: getattr(usual, name) for name in names}
    found["processes"] = GATE_PROCESSES if gated else DEFAULT.processes
    if config.meter and not look:
        found["seconds"] = METERED_S
    found |= {name: value for name, value in typed.items() if value is not None}
    return replace(config, quick=look, **found)  # type: ignore[arg-type]  # each as the field has it
