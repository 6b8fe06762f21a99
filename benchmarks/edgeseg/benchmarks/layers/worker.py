"""Fresh processes that time layers: ``python -m edgeseg.benchmarks.layers.worker``, a job on stdin, times on stdout."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgeseg.benchmarks.layers.engines import open_engine
from edgeseg.benchmarks.layers.job import LayerConfig, LayerFiles, LayerJob
from edgeseg.benchmarks.layers.timing import OpenLayer, time_layers
from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.benchmarks.process.events import event, failure
from edgeseg.benchmarks.process.launch import WorkerDied, run_worker
from edgeseg.benchmarks.timing.clock import MachineClock
from edgeseg.runtime.errors import MeasureError

_COMMAND = (sys.executable, "-m", "edgeseg.benchmarks.layers.worker")
Runner = Callable[[LayerJob], dict[str, Any]]


def measure_layers(
    backend: str, layers: Sequence[LayerFiles], config: LayerConfig, *, runner: Runner | None = None
) -> list[float]:
    """Time layers in `config.processes` fresh processes.

    Args:
        backend: Name of the engine.
        layers: Files of each layer; names are unique.
        config: How much.
        runner: Runs one job; another one in tests.

    Returns:
        The median over all rounds of all processes of each layer [ms], in the order given; 0 where it drowns in noise.

    Raises:
        MeasureError: The engine cannot run a layer, or its process died.
    """
    run = runner or _run
    rounds: dict[str, list[float]] = {one.name: [] for one in layers}
    with Turns().measuring():
        for seed in range(config.processes):
            reply = run(LayerJob(backend, tuple(layers), config, seed))
            if reply["status"] != "ok":
                raise MeasureError(f"layers cannot be timed in {backend}: {reply['reason']}")
            for one in layers:
                rounds[one.name] += reply["ms"][one.name]
    return [max(statistics.median(values), 0.0) for values in rounds.values()]


def _run(job: LayerJob) -> dict[str, Any]:
    try:
        return run_worker(job, lambda _name: None, _COMMAND)
    except WorkerDied as death:
        where = f" at {death.subject}" if death.subject else ""
        raise MeasureError(f"timing layers in {job.backend} failed{where}: {death.reason}") from death


def run_job(job: LayerJob, report: Callable[[str], None]) -> dict[str, Any]:
    """Does one job in this process; a layer the engine refuses fails the whole job, since its sum would be wrong."""
    opened: dict[str, OpenLayer] = {}
    name = job.backend
    try:
        open_file = open_engine(job.backend, job.config.threads)
        for one in job.layers:
            name = one.name
            report(name)
            opened[name] = OpenLayer(open_file(one.few), open_file(one.many), one.extra)
    except Exception as error:  # engines raise what they like
        return {"status": "failed", "reason": f"{name}: {failure(error)['reason']}"}
    # ONNX Runtime's one pool is the next layer's as well; only engines with a pool per file leave threads spinning.
    config = replace(job.config, settle_cap_s=0.0) if job.backend == "onnxruntime" else job.config
    return {"status": "ok", "ms": time_layers(opened, config, job.seed, MachineClock(), report)}


def main() -> int:
    """Reads a job from stdin and writes its result to stdout."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # an engine's printf must not end up in the JSON
        json.dump(run_job(LayerJob.from_json(json.load(sys.stdin)), _say), answer)
    return 0


def _say(layer: str) -> None:
    print(event(layer), file=sys.stderr, flush=True)  # noqa: T201  the line the parent waits for


if __name__ == "__main__":
    sys.exit(main())
