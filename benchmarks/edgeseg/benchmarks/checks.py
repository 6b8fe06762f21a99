"""What weakens a measurement, said with its remedy. Each check looks at one thing and names the flag that helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from edgeseg.benchmarks.machine.state import MachineState, stolen_share
from edgeseg.benchmarks.results.result import BenchResult, Caution, Row
from edgeseg.benchmarks.stats import relative_spread

# Five processes are the fewest whose spread says something about the next one.
MIN_PROCESSES = 5
_BUSY_LOAD = 0.3
_STOLEN = 0.01
_PROCESS_SPREAD = 0.05
_BLOCK_SPREAD = 0.10
_DRIFT = 0.05
_OUTLIERS = 0.05
# Modified z-score of Iglewicz and Hoaglin 1993, as hyperfine uses it.
_OUTLIER_SCORE = 14.826
_FIRST_CALL = 1.5
_IDLE_CHANGE = 0.1
_SAMPLER_SHARE = 0.02
# Bits of `vcgencmd get_throttled`.
_PI_FLAGS = {1: "too little voltage", 2: "clock capped", 4: "slowed down", 8: "soft limit of temperature"}


def check(result: BenchResult) -> Iterator[Caution]:
    """Every warning on `result`: on the machine first, then row by row."""
    for look in (
        _quick_look,
        _few_processes,
        _busy,
        _governor,
        _throttled,
        _held_back,
        _stolen,
        _threads,
        _idle_changed,
        _costly_meter,
    ):
        yield from look(result)
    for row in result.rows:
        if row.processes:
            for look_row in _ROW_CHECKS:
                yield from look_row(row)


def _quick_look(result: BenchResult) -> Iterator[Caution]:
    if result.config and result.config.quick:
        yield Caution("quick look", None, "few samples in a short time: a look, no measurement", "leave --quick out")


def _few_processes(result: BenchResult) -> Iterator[Caution]:
    config = result.config
    if config and config.processes < MIN_PROCESSES and config.scenario != "sustained":
        yield Caution(
            "few processes",
            None,
            f"{config.processes} worker processes say too little about another run",
            f"--processes {MIN_PROCESSES} or more",
        )


def _busy(result: BenchResult) -> Iterator[Caution]:
    load = result.before.get("load_1_min")
    if load is not None and load > _BUSY_LOAD:
        yield Caution(
            "busy machine",
            None,
            f"the load average was {load:.2f} before the measurement began",
            "end other programs and measure again; --processes 10 spreads what cannot be ended",
        )


def _governor(result: BenchResult) -> Iterator[Caution]:
    governor = result.device.get("governor")
    if governor and governor != "performance":
        yield Caution(
            "clock governor",
            None,
            f"the clock governor is {governor}, so the clock follows the load",
            "`sudo cpupower frequency-set -g performance`, then measure again; or state the governor with the numbers",
        )


def _throttled(result: BenchResult) -> Iterator[Caution]:
    before, after = result.before.get("throttle_events"), result.after.get("throttle_events")
    if before is not None and after is not None and after > before:
        yield Caution(
            "throttling",
            None,
            f"the processor was slowed for its heat {after - before} times meanwhile",
            "cool the device, or --pause 60 to let it cool between processes",
        )


def _held_back(result: BenchResult) -> Iterator[Caution]:
    """A Raspberry Pi counts nothing; its firmware says what it does at the moment."""
    flags = [state.get("throttled_flags") or 0 for state in (result.before, result.after)]
    words = [word for bit, word in _PI_FLAGS.items() if (flags[0] | flags[1]) & bit]
    if words:
        yield Caution(
            "held back",
            None,
            f"the board's firmware says: {', '.join(words)}",
            "a supply that is strong enough, a fan, and --pause 60 to let it cool between processes",
        )


def _stolen(result: BenchResult) -> Iterator[Caution]:
    share = stolen_share(_state(result.before), _state(result.after))
    if share is not None and share > _STOLEN:
        yield Caution(
            "stolen time",
            None,
            f"the hypervisor gave {share:.1%} of this machine's time to others",
            "measure on a machine of your own; --processes 10 spreads what remains",
        )


def _threads(result: BenchResult) -> Iterator[Caution]:
    limits = [result.device.get("usable_cpus"), result.device.get("cpu_quota")]
    cores = min((limit for limit in limits if limit), default=None)
    used = any(row.threads for row in result.rows)  # a GPU's engine is given none
    if used and cores is not None and result.config and result.config.threads > cores:
        yield Caution(
            "more threads than cores",
            None,
            f"{result.config.threads} threads share {cores:g} cores",
            f"--threads {max(int(cores), 1)}",
        )


def _idle_changed(result: BenchResult) -> Iterator[Caution]:
    if result.power is None:
        return
    before, after = (result.power.watts(idle) for idle in (result.power.idle_before, result.power.idle_after))
    if before is not None and after is not None and abs(after - before) > _IDLE_CHANGE * max(before, after):
        yield Caution(
            "idle power changed",
            None,
            f"the idle machine took {before:.2f} W before and {after:.2f} W after, so net energies are loose",
            "end other programs, and let the device reach its temperature: measure once more right away",
        )


def _costly_meter(result: BenchResult) -> Iterator[Caution]:
    share = result.power.cpu_share if result.power else None
    if share is not None and share > _SAMPLER_SHARE:
        yield Caution(
            "costly meter",
            None,
            f"reading {result.power.sensor.sensor if result.power else ''} took {share:.1%} of a core",
            "name another meter by --meter, if there is one",
        )


def _not_warm(row: Row) -> Iterator[Caution]:
    cold = sum(not process.warmed_up for process in row.processes)
    if cold:
        yield Caution(
            "not warmed up",
            row.name,
            f"in {cold} of {len(row.processes)} processes the medians had not come to agree when the time was used up",
            "--warmup-cap 120, on a machine doing nothing else",
        )


def _unsettled(row: Row) -> Iterator[Caution]:
    busy = sum(process.unsettled for process in row.processes)
    if busy:
        yield Caution(
            "another subject's threads",
            row.name,
            f"{busy} blocks began while threads of the process were still busy",
            "--settle-cap 2, or --variant to measure fewer subjects together",
        )


def _process_spread(row: Row) -> Iterator[Caution]:
    medians = [float(np.median(np.concatenate(blocks))) for blocks in row.nested_ms()]
    spread = relative_spread(medians)
    if spread > _PROCESS_SPREAD:
        yield Caution(
            "processes differ",
            row.name,
            f"the medians of equal processes lie between {min(medians):.3f} and {max(medians):.3f} ms ({spread:.0%})",
            "--processes 10 on a machine doing nothing else",
        )


def _block_spread(row: Row) -> Iterator[Caution]:
    spreads = [relative_spread([float(np.median(block)) for block in blocks]) for blocks in row.nested_ms()]
    if max(spreads) > _BLOCK_SPREAD:
        yield Caution(
            "blocks differ",
            row.name,
            f"within one process the medians of blocks differ by up to {max(spreads):.0%}",
            "--seconds 30 makes the blocks longer; end other programs",
        )


def _drift(row: Row) -> Iterator[Caution]:
    """The last third of the blocks against the first, in the middle process of all."""
    changes = []
    for blocks in row.nested_ms():
        third = len(blocks) // 3
        if third:
            first, last = np.concatenate(blocks[:third]), np.concatenate(blocks[-third:])
            changes.append(float(np.median(last) / np.median(first)) - 1)
    change = float(np.median(changes)) if changes else 0.0
    if abs(change) > _DRIFT:
        became = f"{abs(change):.0%} {'slower' if change > 0 else 'faster'}"
        yield Caution(
            "drift",
            row.name,
            f"from its first to its last blocks a process became {became}",
            "--pause 30 lets a hot device cool between processes; --warmup-cap 120 helps one that still speeds up",
        )


def _outliers(row: Row) -> Iterator[Caution]:
    samples = row.samples_ms()
    median = float(np.median(samples))
    deviation = float(np.median(np.abs(samples - median)))
    share = float(np.mean(samples > median + _OUTLIER_SCORE * deviation)) if deviation > 0 else 0.0
    if share > _OUTLIERS:
        yield Caution(
            "outliers",
            row.name,
            f"{share:.0%} of the calls took far longer than the rest (longest {samples.max():.3f} ms)",
            "end other programs; --seconds 30 shows whether they stay",
        )


def _slow_first(row: Row) -> Iterator[Caution]:
    blocks = [block for process in row.nested_ms() for block in process if block.size >= 3]
    slow = [block[0] / np.median(block[1:]) for block in blocks]
    if slow and float(np.median(slow)) > _FIRST_CALL:
        yield Caution(
            "slow first calls",
            row.name,
            f"the first call of a block takes {float(np.median(slow)):.1f} times the median of the others",
            "--rewarm 10",
        )


def _few_samples(row: Row) -> Iterator[Caution]:
    found = row.distribution()
    assert found is not None
    if found.p90_upper is None:
        yield Caution(
            "few samples",
            row.name,
            f"{found.n} samples bound no percentile: p90 needs 64, p99 needs 662",
            "--seconds 30 or --min-samples 64",
        )


def _unsteady_mask(row: Row) -> Iterator[Caution]:
    masks = {process.mask_sha256 for process in row.processes}
    if len(masks) > 1:
        made = "masks of the same frame" if row.engine_only is None else "results of the same inputs"
        yield Caution(
            "masks differ",
            row.name,
            f"equal processes made {len(masks)} different {made}",
            "--threads 1 shows whether the order of sums is to blame",
        )


_ROW_CHECKS: tuple[Callable[[Row], Iterator[Caution]], ...] = (
    _few_samples,
    _not_warm,
    _unsettled,
    _process_spread,
    _block_spread,
    _drift,
    _outliers,
    _slow_first,
    _unsteady_mask,
)


def _state(values: Mapping[str, Any]) -> MachineState:
    """The fields of a recorded state that this module needs."""
    return MachineState(None, {}, None, (), values.get("stolen_ticks"), values.get("total_ticks"))
