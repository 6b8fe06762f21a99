import json
from pathlib import Path

import pytest

from edgeseg.benchmarks.layers.engines import open_engine
from edgeseg.benchmarks.layers.job import LayerConfig, LayerFiles, LayerJob
from edgeseg.benchmarks.layers.timing import OpenLayer, time_block, time_layers
from edgeseg.benchmarks.layers.worker import measure_layers, run_job
from edgeseg.runtime.errors import BackendError, ConfigError, MeasureError

CONFIG = LayerConfig(threads=1, processes=3, rounds=4, settle_cap_s=0.0)


def spending(clock, ns, log=None, name=""):
    def call():
        clock.spend(ns)
        if log is not None:
            log.append(name)

    return call


def test_a_layer_is_the_difference_of_its_two_files(clock):
    """A call of 0.4 ms plus 0.1 ms a copy: the call goes, the copy stays."""
    layers = {
        "a": OpenLayer(spending(clock, 500_000), spending(clock, 900_000), 4),
        "b": OpenLayer(spending(clock, 402_000), spending(clock, 418_000), 8),
    }
    found = time_layers(layers, CONFIG, 0, clock, lambda _name: None)
    assert found == {"a": [pytest.approx(0.1)] * 4, "b": [pytest.approx(0.002)] * 4}


def test_every_round_has_every_layer_in_an_order_of_its_own(clock):
    told: list[str] = []
    layers = {name: OpenLayer(spending(clock, 1000), spending(clock, 2000), 1) for name in "abcdefgh"}
    time_layers(layers, CONFIG, 0, clock, told.append)
    rounds = [told[start : start + 8] for start in range(0, 32, 8)]
    assert all(sorted(one) == list("abcdefgh") for one in rounds) and len({tuple(one) for one in rounds}) > 1


def test_the_two_files_take_turns_in_going_first(clock):
    log: list[str] = []
    layer = OpenLayer(spending(clock, 10**7, log, "few"), spending(clock, 10**7, log, "many"), 1)
    time_layers({"a": layer}, CONFIG, 0, clock, lambda _name: None)
    turns = [one for index, one in enumerate(log) if index == 0 or one != log[index - 1]]
    assert turns == ["few", "many", "few", "many", "few"]  # few many | many few | few many | many few


def test_a_block_is_as_long_as_asked_and_never_too_short(clock):
    calls: list[str] = []
    assert time_block(spending(clock, 1_000_000, calls), 0.005, clock) == 1_000_000
    assert len(calls) == 2 + 5
    calls.clear()
    time_block(spending(clock, 50_000_000, calls), 0.005, clock)
    assert len(calls) == 2 + 3


def test_one_slow_call_does_not_move_a_block(clock):
    times = iter([1000, 1000, 90_000, 1000, 1000])
    assert time_block(lambda: clock.spend(next(times)), 3e-6, clock) == 1000


@pytest.mark.parametrize("changed", [{"threads": 0}, {"rounds": 0}, {"block_s": 0.0}, {"settle_cap_s": -1.0}])
def test_settings_that_measure_nothing(changed):
    with pytest.raises(ConfigError):
        LayerConfig(**changed)


def test_a_job_survives_json(tmp_path):
    job = LayerJob("litert", (LayerFiles("a", tmp_path / "few", tmp_path / "many", 4),), CONFIG, 7)
    assert LayerJob.from_json(json.loads(json.dumps(job.to_json()))) == job
    with pytest.raises(MeasureError, match="cannot read"):
        LayerJob.from_json({"backend": "litert"})


FILES = [LayerFiles("a", Path("a.few"), Path("a.many"), 1), LayerFiles("b", Path("b.few"), Path("b.many"), 1)]


def test_layers_are_the_median_over_processes(monkeypatch):
    seeds: list[int] = []

    def runner(job):
        seeds.append(job.seed)
        return {"status": "ok", "ms": {"a": [1.0 + job.seed, 2.0], "b": [-0.1, -0.2]}}

    assert measure_layers("onnxruntime", FILES, CONFIG, runner=runner) == [2.0, 0.0]
    assert seeds == [0, 1, 2]


def test_a_refused_layer_is_an_error_with_its_reason():
    def runner(job):
        return {"status": "failed", "reason": "b: no kernel"}

    with pytest.raises(MeasureError, match="cannot be timed in litert: b: no kernel"):
        measure_layers("litert", FILES, CONFIG, runner=runner)


def test_an_engine_too_old_to_time_layers_says_so(monkeypatch):
    monkeypatch.delattr("onnxruntime.set_global_thread_pool_sizes", raising=False)
    with pytest.raises(BackendError, match=r"1\.23 or newer.*pip install -U onnxruntime"):
        open_engine("onnxruntime", 1)


def test_a_file_the_engine_refuses_is_named(tmp_path):
    pytest.importorskip("onnxruntime", minversion="1.23")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    job = LayerJob("onnxruntime", (LayerFiles("conv 1x1", broken, broken, 1),), CONFIG)
    reply = run_job(LayerJob("no-engine", job.layers, CONFIG), lambda _name: None)
    assert reply["status"] == "failed" and "no-engine" in reply["reason"]
    with pytest.raises(MeasureError, match="conv 1x1"):
        measure_layers("onnxruntime", job.layers, CONFIG)
