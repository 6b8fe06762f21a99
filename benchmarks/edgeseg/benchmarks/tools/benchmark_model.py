"""LiteRT's `benchmark_model`: both streams of one run, of any build since 2019.

Reference:
    tensorflow/lite/tools/benchmark/benchmark_tflite_model.cc, whose three sentences about delegates are read here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from edgeseg.benchmarks.results.told import Operator, Placement, Told
from edgeseg.benchmarks.tools.batch import batch_of
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.benchmarks.tools.one_run import refuse_several
from edgeseg.runtime.errors import MeasureError

# Before a line: a level, or logcat's short and long forms.
_PREFIX = re.compile(
    r"^(?:\d\d-\d\d [\d:.]+ +\d+ +\d+ )?(?:[VDIWEF][ /]tflite *(?:\( *\d+\))? *: )?(?:(?:INFO|WARNING): )?"
)
_NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_STATS = re.compile(rf"\b(count|first|curr|min|max|avg|std|p5|median|p95)=({_NUMBER})")
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: ({_NUMBER}), First inference: ({_NUMBER}), "
    rf"Warmup \(avg\): ({_NUMBER}), Inference \(avg\): ({_NUMBER})"
)
_APPLIED = re.compile(
    r"Explicitly applied (.+?) delegate, and the model graph will be (completely|partially) executed by the delegate"
    r"(?: w/ (\d+) delegate kernels)?"
)
_NOT_APPLIED = re.compile(r"Though (.+?) delegate is explicitly applied, the model graph will not be executed")
_REPLACING = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((.+?)\) node, yielding (\d+) partitions"
)
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: ({_NUMBER})")
_OLD_PEAK = re.compile(rf"Peak memory footprint \(MB\): init={_NUMBER} overall=({_NUMBER})")
_SHAPES = r"^Input shapes: \[(\d+(?:,\d+)*)\]"  # of an only input
_ONCE = (r"^Graph: \[", "^Inference timings in us:")
_DISALLOWED = "Disallowed CPU fallback detected"
_OPERATORS = "Operator-wise Profiling Info for Regular Benchmark Runs"


def knows(text: str) -> bool:
    """Whether a text is this tool's."""
    return "Inference timings in us:" in text or "Running benchmark for at least" in text or _DISALLOWED in text


def read(text: str) -> list[ForeignRow]:
    """The one run of a text.

    Raises:
        MeasureError: It was cut off before its end, or holds several runs.
    """
    lines = [_PREFIX.sub("", line.rstrip()) for line in text.splitlines()]
    body = "\n".join(lines)
    refuse_several(body, "benchmark_model", _ONCE)
    graph = _first(r"^Graph: \[(.+)\]", body)
    threads = _first(r"^#threads used for CPU inference: \[(\d+)\]|^Num threads: \[(\d+)\]", body)
    size = _first(rf"^The input model file size \(MB\): ({_NUMBER})", body)
    failed = _failure(body)
    return [
        ForeignRow(
            name=(graph or "").replace("\\", "/").rpartition("/")[2],
            engine="LiteRT benchmark_model",
            told=None if failed else _told(lines, body),
            reason=failed,
            threads=int(threads) if threads and int(threads) > 0 else None,
            size_mb=float(size) if size else None,
        )
    ]


def measured_lines(lines: Sequence[str]) -> tuple[int, int] | None:
    """Numbers of the lines that are written when the measured runs begin and when they have ended.

    Each line is written out at once (`std::endl` of tensorflow/lite/tools/logging.h).
    """
    bare = [_PREFIX.sub("", line) for line in lines]
    begun = [number for number, line in enumerate(bare) if line.startswith("Running benchmark for at least")]
    ended = [number for number, line in enumerate(bare) if line.startswith("count=")]
    return (begun[-1], ended[-1]) if begun and ended and begun[-1] < ended[-1] else None


def placement(body: str) -> Placement | None:
    """What a delegate took of the graph, or `None` where none was asked for."""
    replaced = _REPLACING.findall(body)
    nodes, of_nodes = (int(replaced[-1][0]), int(replaced[-1][1])) if replaced else (None, None)
    if found := _NOT_APPLIED.search(body):
        return Placement(found[1], "none", 0, 0, of_nodes)
    if found := _APPLIED.search(body):
        extent: Literal["full", "partial"] = "full" if found[2] == "completely" else "partial"
        return Placement(found[1], extent, int(found[3]) if found[3] else None, nodes, of_nodes)
    return None


def _told(lines: list[str], body: str) -> Told:
    timings = _TIMINGS.search(body)
    counts = [line for line in lines if line.startswith("count=")]
    if timings is None or not counts:
        raise MeasureError("the output of benchmark_model has no line 'Inference timings in us': was it cut off?")
    init, first, _, mean = (float(part) / 1e3 for part in timings.groups())
    # The first is the warm-up's; where there is only one, there was none.
    stats = {name: float(value) / 1e3 for name, value in _STATS.findall(counts[-1])}
    same = stats["curr"] if "(all same)" in counts[-1] or stats["count"] == 1e-3 else None
    if abs(stats.get("avg", same if same is not None else mean) - mean) > 0.01 * mean + 0.001:
        raise MeasureError("the output of benchmark_model contradicts itself: are two runs in it? Give one at a time")
    peak = _PEAK.search(body) or _OLD_PEAK.search(body)
    return Told(
        tool="benchmark_model",
        stage="inference",
        n=round(stats["count"] * 1e3),
        min=stats.get("min", same),
        mean=stats.get("avg", mean),
        std=stats.get("std", None if same is None else 0.0),
        p50=stats.get("median", same),
        p95=stats.get("p95", same),
        max=stats.get("max", same),
        first_ms=first,
        init_ms=init,
        peak_mib=float(peak[1]) if peak else None,
        placement=placement(body),
        operators=tuple(_operators(lines)),
        settings=batch_of(re.findall(r"\d+", _first(_SHAPES, body) or "")[:1]),
    )


def _failure(body: str) -> str | None:
    """Why there are no figures, or `None`."""
    if _DISALLOWED in body:
        return f"{_DISALLOWED}: the delegate would not take the whole graph"
    if "Inference timings in us:" in body:
        return None
    errors = re.findall(
        r"^ERROR: (.+)|^(Failed to .+|Benchmarking failed.*|.*failed to prepare.*)$", body, re.MULTILINE
    )
    said = [next(part for part in error if part) for error in errors]
    return said[0].strip() if said else None


def _operators(lines: list[str]) -> list[Operator]:
    """The table in run order of the measured runs; its columns changed over the years, so they are taken by name."""
    start = next((i for i, line in enumerate(lines) if _OPERATORS in line), None)
    if start is None:
        return []
    found: list[Operator] = []
    columns: list[str] = []
    for line in lines[start + 1 :]:
        if "[node type]" in line:
            if found:
                break
            columns = re.findall(r"\[([^\]]+)\]", line)
        elif columns and line.strip():
            if line.startswith("==="):
                break
            found += _operator(line, columns)
    return found


def _operator(line: str, columns: list[str]) -> list[Operator]:
    """One line: a kind that may hold blanks, numbers, a name that may hold anything."""
    numbers = len(columns) - 2
    found = re.match(rf"\s*(.+?)\s+((?:{_NUMBER}%?\s+){{{numbers}}})(.*)$", line)
    if not found:
        return []
    mean = found[2].split()[columns.index("avg ms") - 1]
    return [Operator(found[1], found[3].strip(), float(mean))]


def _first(pattern: str, body: str) -> str | None:
    found = re.search(pattern, body, re.MULTILINE)
    return next((group for group in found.groups() if group), None) if found else None
