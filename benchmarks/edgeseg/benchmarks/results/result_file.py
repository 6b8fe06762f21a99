"""A result as a JSON document, and back. The field names are those of the tools their readers come from.

Raw samples are whole nanoseconds, unrounded. Everything else in a row's numbers is computed from them and written for
readers without this package; reading a file computes it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.meters.trace import PowerTrace
from edgeseg.benchmarks.results.foreign_json import read_json_file, whose
from edgeseg.benchmarks.results.price import Price
from edgeseg.benchmarks.results.result import (
    ENGINE_ONLY,
    SCHEMA_VERSION,
    BenchResult,
    Caution,
    Evidence,
    ModelFile,
    Row,
    TestFrame,
)
from edgeseg.benchmarks.results.samples import STAGES, Block, Cold, Look, ProcessRun
from edgeseg.benchmarks.results.told import FIGURES, Told
from edgeseg.runtime.errors import EdgesegError, MeasureError
from edgeseg.runtime.files.atomic import write_json_text

KIND = "edgeseg-benchmark"

# Fields no part of this machine measures yet, with the reason that stands beside the null.
_NOT_MEASURED = {
    "data_transfers": "not told apart from the engine's time",
    "cuda_graph": "not told by the engine",
    "layers": "layer times are not taken: a profiler in the engine would slow the samples",
}
# Likewise where the engine was timed alone.
_NO_PIPELINE = {
    **dict.fromkeys(
        ("stages_ms.pre", "stages_ms.post", "throughput_fps"), "engine only: nothing before or after it was run"
    ),
    "precision": "a foreign file does not say",
}
_OF_INPUTS, _NO_CALLS = "see engine_only.inputs", "not told by the tool that measured"


def to_json(result: BenchResult) -> dict[str, Any]:
    """The whole document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "tool": "edgeseg",
        "tool_version": result.software.get("edgeseg"),
        "created": result.created,
        "evidence": result.evidence,
        "pipeline": result.pipeline,
        "config": result.config.to_json() if result.config else None,
        "frame": {**asdict(result.frame), "shape": list(result.frame.shape)} if result.frame else None,
        "device": dict(result.device),
        "software": dict(result.software),
        "before": dict(result.before),
        "after": dict(result.after),
        "duration_s": result.duration_s,
        "rows": [_row_to_json(row, result) for row in result.rows],
        "warnings": [asdict(caution) for caution in result.warnings],
        "power": result.power.to_json() if result.power else None,
        "no_power": result.no_power,
        "price": result.price.to_json() | {"assumption": result.cost_assumption} if result.price else None,
    }


def from_json(obj: Any, source: str = "the result") -> BenchResult:
    """Read what `to_json` wrote.

    Args:
        obj: The parsed document.
        source: Its file name, for messages.

    Raises:
        MeasureError: It is no result, of another schema version, or a key is missing or of a wrong type.
    """
    if not isinstance(obj, Mapping) or obj.get("kind") != KIND:
        raise MeasureError(
            f"{source} is no benchmark result, but {whose(obj)}: write one with `bench run BUNDLE --out FILE.json`"
        )
    if obj.get("schema_version") not in (1, SCHEMA_VERSION):
        raise MeasureError(
            f"{source} has schema_version {obj.get('schema_version')!r}, this edgeseg reads 1 and {SCHEMA_VERSION}: "
            "measure again, or read it with the version that wrote it"
        )
    try:
        return BenchResult(
            created=str(obj["created"]),
            evidence=obj["evidence"],
            config=HarnessConfig(**obj["config"]) if obj["config"] is not None else None,
            frame=_frame_from_json(obj),
            device=dict(obj["device"]),
            software=dict(obj["software"]),
            before=dict(obj["before"]),
            after=dict(obj["after"]),
            duration_s=float(obj["duration_s"]),
            rows=tuple(_row_from_json(row, obj) for row in obj["rows"]),
            warnings=tuple(Caution(**caution) for caution in obj["warnings"]),
            power=PowerTrace.from_json(obj["power"]) if obj.get("power") else None,
            no_power=str(obj.get("no_power", BenchResult.no_power)),
            price=Price.from_json(obj["price"]) if obj.get("price") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, EdgesegError) as error:
        missing = f"the key {error} is missing" if isinstance(error, KeyError) else f"{error!r}"
        raise MeasureError(f"{source} is damaged or was edited: {missing}; measure again") from error


def write_result(result: BenchResult, path: Path) -> None:
    """Write the document, whole or not at all."""
    write_json_text(
        path, json.dumps(to_json(result), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    )


def read_result(path: Path) -> BenchResult:
    """Read a result file.

    Raises:
        MeasureError: It cannot be read, or is no result.
    """
    return from_json(read_json_file(path), str(path))


def _frame_from_json(obj: Mapping[str, Any]) -> TestFrame | None:
    if obj.get("pipeline") == ENGINE_ONLY:
        return None
    return TestFrame(obj["frame"]["name"], obj["frame"]["sha256"], tuple(obj["frame"]["shape"]))


def _input_shape(row: Row, result: BenchResult) -> list[int | str] | None:
    if row.engine_only is not None:
        return list(row.engine_only.inputs[0].shape) if row.engine_only.inputs else None
    return [1, *result.frame.shape] if result.frame else None


def _calls(row: Row, result: BenchResult) -> dict[str, Any]:
    """How the engine was called: by us, or by another tool as far as it says."""
    if result.frame is not None or row.engine_only is not None:
        return {"batch": 1 if row.engine_only is None else None, "api": "sync", "spin_wait": "the engine's default"}
    told = row.told[0].settings if row.told else {}
    return {name: told.get(name) for name in ("batch", "api", "spin_wait")}


def _row_to_json(row: Row, result: BenchResult) -> dict[str, Any]:
    total, cold, energy, cost = row.distribution("total"), row.cold, result.energy(row), result.cost(row)
    calls = _calls(row, result)
    missing = _NOT_MEASURED | (_NO_PIPELINE if result.frame is None else {})
    missing |= {
        name: _NO_CALLS if row.engine_only is None else _OF_INPUTS for name, value in calls.items() if value is None
    }
    if not isinstance(energy, Energy):
        missing |= dict.fromkeys(("energy_mj", "power_w", "energy"), energy)
    if isinstance(cost, str):
        missing["cost_per_inference"] = cost
    stages = {stage: found.to_json() if (found := row.distribution(stage)) else None for stage in STAGES}
    return {
        "name": row.name,
        "evidence": result.evidence,
        "status": row.status,
        "reason": row.reason,
        "model": {**asdict(row.model), "size_mb": None if row.model.bytes is None else row.model.bytes / 1e6},
        "backend": row.backend,
        "backend_version": cold.engine if cold else None,
        "precision": row.precision,
        "input_shape": _input_shape(row, result),
        "threads": row.threads,
        **calls,
        "warmup_runs": sum(process.warmup_runs for process in row.processes),
        "num_runs": total.n if total else 0,
        "measured_s": float(row.samples_ms().sum() / 1e3),
        "load_ms": cold.load_ms if cold else None,
        "init_ms": cold.init_ms if cold else None,
        "first_inference_ms": cold.first_inference_ms if cold else None,
        "latency_ms": stages["total"] if total else _told_ms(row),
        "stages_ms": stages,
        "throughput_fps": 1e3 / total.p50 if total and row.engine_only is None else None,
        "memory_mib": {"baseline": cold.baseline_mib, "init": cold.init_mib, "peak": cold.peak_mib} if cold else None,
        **dict.fromkeys(_NOT_MEASURED),
        "energy_mj": energy.gross_mj if isinstance(energy, Energy) else None,
        "power_w": energy.power_w if isinstance(energy, Energy) else None,
        "energy": energy.to_json() | {"evidence": result.energy_evidence} if isinstance(energy, Energy) else None,
        "cost_per_inference": None if isinstance(cost, str) else cost,
        "null_reasons": missing,
        "accuracy": dict(row.accuracy) if row.accuracy is not None else None,
        "engine_only": row.engine_only.to_json() if row.engine_only else None,
        **result.scenario_values(row),
        "cold": asdict(cold) if cold else None,
        "processes": [asdict(process) for process in row.processes],
        "told": [one.to_json() for one in row.told],
    }


def _told_ms(row: Row) -> dict[str, Any] | None:
    """Another tool's figures under the names that samples have: those of the process with the typical time."""
    one = next((one for one in row.told if one.typical_ms is not None and one.typical_ms == row.told_ms), None)
    return None if one is None else {**{name: getattr(one, name) for name in FIGURES}, "median": one.p50}


def _row_from_json(obj: Mapping[str, Any], document: Mapping[str, Any]) -> Row:
    if obj["status"] not in ("ok", "unsupported", "failed"):
        raise ValueError(f"status {obj['status']!r}")
    # Version 1 had it once, for all rows.
    if (
        document["evidence"] not in get_args(Evidence)
        or obj.get("evidence", document["evidence"]) != document["evidence"]
    ):
        raise ValueError(
            f"evidence {obj.get('evidence')!r} of {obj['name']} in a result that is {document['evidence']!r}"
        )
    model = obj["model"]
    return Row(
        name=str(obj["name"]),
        status=obj["status"],
        reason=obj["reason"],
        model=ModelFile(model["sha256"], model["bytes"], model["params"], model["macs"]),
        backend=obj["backend"],
        precision=obj["precision"],
        threads=obj["threads"],
        cold=Cold(**obj["cold"]) if obj["cold"] else None,
        processes=tuple(process_from_json(process) for process in obj["processes"]),
        accuracy=obj["accuracy"],
        engine_only=EngineSpec.from_json(obj["engine_only"]) if obj.get("engine_only") else None,
        told=tuple(Told.from_json(one) for one in obj.get("told", ())),
    )


def process_from_json(obj: Mapping[str, Any]) -> ProcessRun:
    """One process' samples, from a result file or from a worker's reply (whose `status` is passed over)."""
    fields = {key: value for key, value in obj.items() if key not in ("blocks", "looks", "status")}
    blocks, looks = (obj.get(key, ()) for key in ("blocks", "looks"))
    return ProcessRun(
        **fields, blocks=tuple(map(_block_from_json, blocks)), looks=tuple(Look(**look) for look in looks)
    )


def _block_from_json(obj: Mapping[str, Any]) -> Block:
    stages = [tuple(obj[f"{stage}_ns"]) for stage in ("pre", "infer", "post")]
    # Where the engine was timed alone there is nothing before and after it.
    if {len(stages[0]), len(stages[2])} not in ({len(stages[1])}, {0}) or not stages[1]:
        raise ValueError("a block needs equally many samples of every stage, and at least one")
    if not all(isinstance(value, int) and value >= 0 for stage in stages for value in stage):
        raise ValueError("a sample is no whole number of nanoseconds")
    return Block(int(obj["start_ns"]), stages[0], stages[1], stages[2], obj.get("end_ns"))
