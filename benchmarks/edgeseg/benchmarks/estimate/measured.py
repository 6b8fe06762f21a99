"""What a device took for the files of a bundle, set beside their estimates: both of one run of the network."""

from __future__ import annotations

from pathlib import Path

from edgeseg.benchmarks.estimate.devices import Peak
from edgeseg.benchmarks.estimate.of_bundle import Estimates, estimates_of
from edgeseg.benchmarks.estimate.roofline import Estimate
from edgeseg.benchmarks.network_input import NetworkInput, network_input
from edgeseg.benchmarks.results.result import BenchResult, Row
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.spec.input_spec import InputSpec


def measured_rows(path: Path, bundle: Path, peak: Peak, threads: int) -> list[tuple[Estimate, float]]:
    """What a result has measured of a bundle's files: each estimate, and the engine's median time for as much [ms].

    Raises:
        ConfigError: The bundle has no FP32 ONNX file.
        MeasureError: The result has none of its files, is no device's, or of another number of threads, or its network
            ran at another size.
    """
    result = read_result(path)
    if result.evidence != "device":
        raise MeasureError(f"--measured {path} is {result.evidence}: estimates are scaled by what a device measured")
    if result.config is not None and result.config.threads != threads:
        raise MeasureError(
            f"--measured {path} used {result.config.threads} threads, the estimate is of {threads}: say --threads "
            f"{result.config.threads}, or measure with {threads}"
        )
    timed = {(row.model.sha256, row.backend): row for row in result.rows if row.distribution("infer")}
    estimates = estimates_of(bundle, peak, threads)
    rows = []
    for one, sha256, spec in estimates.rows:  # two engines may run one file
        row = timed.get((sha256, one.engine))
        if row is not None:
            ran = _ran(result, row, spec)
            _refuse_other_size(path, ran, estimates)
            rows.append((one, _infer_ms(row) / ran.n))
    if not rows:
        raise MeasureError(f"{path} has measured none of the files of {bundle}, so it calibrates nothing")
    return rows


def _ran(result: BenchResult, row: Row, spec: InputSpec) -> NetworkInput:
    """What the engine was given in one of its calls that were timed."""
    if row.engine_only is not None:
        return NetworkInput(*(int(size) for size in row.engine_only.inputs[0].shape[:3]))
    assert result.frame is not None
    return network_input((result.frame.shape[0], result.frame.shape[1]), spec)


def _refuse_other_size(path: Path, ran: NetworkInput, estimates: Estimates) -> None:
    given = estimates.given
    if (ran.height_px, ran.width_px) != (given.height_px, given.width_px):
        raise MeasureError(
            f"--measured {path}: its network ran at {ran.words}, the estimate is of {estimates.of}: measure on a frame "
            f"of {given.words} (--frame)"
        )


def _infer_ms(row: Row) -> float:
    found = row.distribution("infer")
    assert found is not None
    return found.p50
