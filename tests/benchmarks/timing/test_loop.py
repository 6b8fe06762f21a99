import gc
import time

import numpy as np
import pytest

from edgeseg.benchmarks.config import HarnessConfig, quick
from edgeseg.benchmarks.meters.energy import MIN_SECONDS
from edgeseg.benchmarks.timing.clock import MachineClock
from edgeseg.benchmarks.timing.loop import block_samples, mask_hash, time_block, time_call, time_subjects
from edgeseg.benchmarks.timing.settle import settle
from edgeseg.benchmarks.timing.warmup import agree, warm_up
from edgeseg.runtime.errors import ConfigError, MeasureError


def test_a_call_is_timed_stage_by_stage(make_stages, clock, frame):
    assert time_call(make_stages(infer_ns=[7_000]), frame, clock) == (100_000, 7_000, 50_000)


def test_a_block_keeps_every_sample_in_order(make_stages, clock, frame):
    block = time_block(make_stages(infer_ns=[1, 2, 3, 4]), frame, 4, clock)
    assert block.infer_ns == (1, 2, 3, 4)
    assert list(block.stage_ms("total")) == pytest.approx([0.150001, 0.150002, 0.150003, 0.150004])


def test_the_collector_is_on_again_even_after_a_crash(make_stages, clock, frame):
    stages = make_stages()
    stages.infer = lambda prepared: 1 / 0
    with pytest.raises(ZeroDivisionError):
        time_block(stages, frame, 3, clock)
    assert gc.isenabled()


def test_blocks_take_turns(make_stages, clock, frame):
    log: list[str] = []
    subjects = {name: make_stages(name, log=log) for name in "AB"}
    config = HarnessConfig(processes=1, blocks=3, seconds=0.03, min_samples=1, rewarm=2, warmup_cap_s=0.2)
    reported: list[str] = []
    runs = time_subjects(subjects, frame, config, clock, reported.append)
    assert reported == ["A", "B"] + ["A", "B"] * 3  # warm-up, then the blocks
    per_block = len(runs["A"].blocks[0].infer_ns)
    assert "".join(log).endswith(("A" * (per_block + 2) + "B" * (per_block + 2)) * 3)
    assert runs["A"].warmed_up and len(runs["A"].blocks) == 3


def test_the_wait_before_a_block_ends_when_the_threads_are_quiet(clock):
    clock.spinning_s = 0.03
    assert settle(clock, cap_s=0.5)
    assert 0.03 <= clock.slept < 0.06


def test_threads_that_never_rest_are_told(make_stages, clock, frame):
    class Spinning:
        def __getattr__(self, name):
            clock.spinning_s = 100.0
            return getattr(clock, name)

    assert not settle(Spinning(), cap_s=0.1)
    config = HarnessConfig(processes=1, blocks=2, seconds=0.01, settle_cap_s=0.02, warmup_cap_s=0.0)
    runs = time_subjects({"a": make_stages()}, frame, config, Spinning(), lambda name: None)
    assert runs["a"].unsettled == 2


def test_without_a_cap_there_is_no_wait(clock):
    assert settle(clock, cap_s=0) and clock.slept == 0


def test_warm_up_ends_when_three_medians_agree(clock):
    durations = iter([40_000_000] * 5 + [20_000_000] * 5 + [10_000_000] * 100)

    def call() -> int:
        spent = next(durations)
        clock.spend(spent)
        return spent

    found = warm_up(call, clock, tolerance=0.02, cap_s=30)
    assert found.converged and found.median_ns == 10_000_000
    assert found.runs == 25  # two slow windows, three that agree


def test_warm_up_gives_up_at_the_cap(clock):
    step = [1_000_000]

    def call() -> int:
        step[0] = int(step[0] * 1.05)
        clock.spend(step[0])
        return step[0]

    found = warm_up(call, clock, tolerance=0.02, cap_s=0.5)
    assert not found.converged and found.seconds >= 0.5 and found.median_ns > 0


def test_warm_up_calls_at_least_once(clock):
    assert warm_up(lambda: 5, clock, 0.02, cap_s=0).runs == 1


def test_agreement_needs_three_medians():
    assert not agree([1.0, 1.0], 0.02)
    assert agree([1.0, 1.01, 1.02], 0.02)
    assert not agree([1.0, 1.01, 1.03], 0.02)


def test_block_length_follows_the_median_within_limits():
    config = HarnessConfig(processes=5, blocks=4, seconds=2, min_samples=60)
    assert block_samples(1e6, config) == 100
    assert block_samples(1e9, config) == 3  # min_samples over the blocks
    assert block_samples(1.0, config) == 2000


def test_a_metered_block_of_a_very_fast_subject_lasts_long_enough_for_an_energy():
    config = HarnessConfig(processes=1, blocks=1, seconds=15, meter="rapl")
    assert block_samples(2e4, config) * 2e4 / 1e9 >= MIN_SECONDS


def test_something_that_is_no_mask_is_refused(make_stages, frame):
    stages = make_stages()
    stages.mask_shape = (3, 3)
    with pytest.raises(MeasureError, match=r"\(3, 3\)"):
        mask_hash(stages, frame)


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"processes": 0}, {"seconds": 0}, {"pause_s": -1}, {"seconds": np.inf}]
)
def test_settings_that_measure_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        HarnessConfig(**wrong)


def test_quick_is_quick_and_still_has_five_processes():
    assert quick().processes == 5 and quick().seconds < HarnessConfig().seconds
    assert quick().min_samples >= 64  # a bound for p90


def test_the_clock_and_the_loop_cost_less_than_a_hundredth_of_a_millisecond(frame):
    """So the harness adds at most 1 % to a workload of 1 ms. In CPU time, which a busy machine does not change."""

    class Nothing:
        def prepare(self, frame):
            return frame

        def infer(self, prepared):
            return prepared

        def finish(self, scores, prepared):
            return scores

    before = time.process_time()
    block = time_block(Nothing(), frame, 20_000, MachineClock())
    assert (time.process_time() - before) / 20_000 < 10e-6 and len(block.infer_ns) == 20_000
