"""The timed loop: stages of one call, blocks of calls, and the turns that subjects take in one process."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Mapping

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.stages import EngineStages
from edgeseg.benchmarks.results.samples import Block, ProcessRun
from edgeseg.benchmarks.subject import Frame, Stages
from edgeseg.benchmarks.timing.clock import Clock
from edgeseg.benchmarks.timing.settle import settle
from edgeseg.benchmarks.timing.warmup import Warmup, warm_up
from edgeseg.runtime.errors import MeasureError

# A block never holds more, however fast the subject: its samples go into a JSON document.
_MAX_BLOCK_SAMPLES = 2000
# An energy needs blocks that last: of a subject of 20 us, and none with a frame is faster, this many last ten seconds.
_MAX_METERED_SAMPLES = 500_000

Report = Callable[[str], None]


def time_call(stages: Stages, frame: Frame, clock: Clock) -> tuple[int, int, int]:
    """One call; the durations of pre, infer and post [ns]."""
    t0 = clock.now_ns()
    prepared = stages.prepare(frame)
    t1 = clock.now_ns()
    scores = stages.infer(prepared)
    t2 = clock.now_ns()
    stages.finish(scores, prepared)
    t3 = clock.now_ns()
    return t1 - t0, t2 - t1, t3 - t2


def mask_hash(stages: Stages, frame: Frame) -> str:
    """SHA-256 of the mask of `frame`, hexadecimal; of an engine alone, of all its results.

    Raises:
        MeasureError: What came out is no mask of the frame's size, so its time would be the time of something else.
    """
    if isinstance(stages, EngineStages):
        return stages.results_hash()
    prepared = stages.prepare(frame)
    mask = stages.finish(stages.infer(prepared), prepared)
    if mask.dtype.name != "uint8" or mask.shape != frame.shape[:2]:
        raise MeasureError(
            f"the mask is {mask.dtype.name} {mask.shape}, the frame needs uint8 {frame.shape[:2]}: check the spec"
        )
    return hashlib.sha256(mask.tobytes()).hexdigest()


def time_block(stages: Stages, frame: Frame, n: int, clock: Clock, start_ns: int = 0) -> Block:
    """`n` calls back to back, with the garbage collector held off so that it cannot fall on one of them.

    Args:
        stages: The subject, warm.
        frame: The test frame.
        n: Number of calls.
        clock: Where the time comes from.
        start_ns: The clock's value at the start of the process; the block's start is told from there.
    """
    gc.disable()
    try:
        begin = clock.now_ns()
        calls = [time_call(stages, frame, clock) for _ in range(n)]
        end = clock.now_ns()
    finally:
        gc.enable()
    pre, infer, post = zip(*calls, strict=True)
    if isinstance(stages, EngineStages):  # what its empty stages took is no time of anything
        pre = post = ()
    return Block(begin - start_ns, pre, infer, post, end - start_ns)


def time_subjects(
    subjects: Mapping[str, Stages], frame: Frame, config: HarnessConfig, clock: Clock, report: Report
) -> dict[str, ProcessRun]:
    """Warms every subject up, then lets their blocks take turns: A B A B.

    Args:
        subjects: Opened subjects by name; the order of the mapping is the order of the turns.
        frame: The test frame, uint8, shape (H, W) or (H, W, 3).
        config: Numbers of blocks and samples, and the limits.
        clock: Where the time comes from.
        report: Called with a subject's name before its warm-up and before each of its blocks.
    """
    origin = clock.now_ns()
    warm: dict[str, Warmup] = {}
    hashes: dict[str, str] = {}
    for name, stages in subjects.items():
        report(name)
        settle(clock, config.settle_cap_s)
        hashes[name] = mask_hash(stages, frame)
        warm[name] = _warm_up(stages, frame, config, clock)
    blocks: dict[str, list[Block]] = {name: [] for name in subjects}
    unsettled = dict.fromkeys(subjects, 0)
    for _ in range(config.blocks):
        for name, stages in subjects.items():
            report(name)
            gc.collect()  # before the untimed calls, since it empties the caches they fill
            unsettled[name] += not settle(clock, config.settle_cap_s)
            for _ in range(config.rewarm):
                time_call(stages, frame, clock)
            n = block_samples(warm[name].median_ns, config)
            blocks[name].append(time_block(stages, frame, n, clock, origin))
    return {
        name: ProcessRun(
            w.runs, round(w.seconds, 3), w.converged, unsettled[name], hashes[name], tuple(blocks[name]), origin
        )
        for name, w in warm.items()
    }


def block_samples(median_ns: float, config: HarnessConfig) -> int:
    """How many calls make a block last about `config.block_s`, at least `config.min_block_samples`."""
    wanted = round(config.block_s * 1e9 / max(median_ns, 1.0))
    most = _MAX_METERED_SAMPLES if config.meter else _MAX_BLOCK_SAMPLES
    return max(config.min_block_samples, min(wanted, most))


def _warm_up(stages: Stages, frame: Frame, config: HarnessConfig, clock: Clock) -> Warmup:
    return warm_up(
        lambda: sum(time_call(stages, frame, clock)), clock, config.warmup_tolerance, config.process_warmup_cap_s
    )
