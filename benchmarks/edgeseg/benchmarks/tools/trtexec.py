"""NVIDIA's `trtexec` of TensorRT 8.0 to 11: its log, or the file of `--exportTimes`.

The figure that means the same in all versions is "GPU Compute Time". What "Latency" contains depends on version and
flags, so these are told beside it.

Reference:
    NVIDIA/TensorRT samples/common/sampleReporting.cpp and sampleOptions.cpp.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.stats import describe
from edgeseg.benchmarks.tools.batch import batch_of
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.benchmarks.tools.one_run import refuse_several
from edgeseg.runtime.errors import MeasureError

_BANNER = re.compile(
    r"&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec \[TensorRT v(\d+)\](?: \[b\d+\])? # (.*)$", re.MULTILINE
)
_KEYS = (
    "Throughput|Latency|End-to-End Host Latency|Enqueue Time|H2D Latency|GPU Compute Time|D2H Latency|"
    "Total Host Walltime|Total GPU Compute Time"
)
_LINE = re.compile(rf"^(?:\[[^\]]+\] )?\[I\] ({_KEYS}): (.*)$", re.MULTILINE)
_NUMBER = r"(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)"
_FIGURE = re.compile(rf"(min|max|mean|median|percentile\((\d+)%\)) = ({_NUMBER}) ms")
_STREAMS = re.compile(r"\[I\] (?:Inference )?Streams: (\d+)$|--(?:streams|infStreams)=(\d+)", re.MULTILINE)
# Where a version tells the batch, the surest first: of networks with an implicit one, of bindings, of flags.
_BATCHES = (
    r"\[I\] Batch: (\d+)$|--batch=(\d+)",
    r"\[I\] (?:Created i|I)nput binding for \S+ with dimensions (\d+)",
)
_SHAPES = re.compile(r"--(?:shapes|optShapes)=(\S+)")
_ONCE = (r"^&&&& RUNNING TensorRT\.trtexec", r"\[I\] GPU Compute Time: min")
_PRECISIONS = ("--best", "--int8", "--fp8", "--fp16", "--bf16")


def knows(text: str) -> bool:
    """Whether a text is this tool's."""
    return "TensorRT.trtexec" in text or "] GPU Compute Time: min" in text or _times(text) is not None


def read(text: str) -> list[ForeignRow]:
    """The one run of a text.

    Raises:
        MeasureError: It was cut off, holds several runs, is of several streams at once, or of a GPU so fast or broken
            that a time is no number.
    """
    times = _times(text)
    if times is not None:
        return [ForeignRow("", "TensorRT trtexec", _from_times(times))]
    refuse_several(text, "trtexec", _ONCE)
    banner = _BANNER.search(text)
    version, command = (_version(banner[2]), banner[3]) if banner else (None, "")
    engine = f"TensorRT {version} trtexec" if version else "TensorRT trtexec"
    ended = [found[1] for found in _BANNER.finditer(text)]
    if "FAILED" in ended:
        errors = re.findall(r"^(?:\[[^\]]+\] )?\[E\] (.*)$", text, re.MULTILINE)
        return [ForeignRow(_model(command), engine, None, errors[-1] if errors else "trtexec ended with FAILED")]
    _refuse_streams(text)
    device = re.search(r"\[I\] (?:Selected )?Device(?: Name)?: (?!\d)(.+)$", text, re.MULTILINE)
    return [
        ForeignRow(
            _model(command),
            engine,
            _from_log(text, engine, version, command),
            precision=next((flag[2:] for flag in _PRECISIONS if flag in command.split()), None),
            device=device[1].strip() if device else None,
        )
    ]


def version_in(text: str) -> str | None:
    """TensorRT's version by the banner that every run prints first, such as `8.2.1`."""
    banner = _BANNER.search(text)
    return _version(banner[2]) if banner else None


def doubts(text: str) -> list[str]:
    """What a run says of itself that weakens its figures."""
    return re.findall(r"^(?:\[[^\]]+\] )?\[W\] \* (.+)$", text, re.MULTILINE)


def _from_log(text: str, engine: str, version: str | None, command: str) -> Told:
    lines = dict(_LINE.findall(text))
    figures = {
        key if not p else f"p{p}": float(value) for key, p, value in _FIGURE.findall(lines.get("GPU Compute Time", ""))
    }
    if "mean" not in figures:
        raise MeasureError(
            "the log of trtexec has no line 'GPU Compute Time': it was cut off, or --verbose is not there"
        )
    total = re.match(rf"({_NUMBER}) s", lines.get("Total GPU Compute Time", ""))
    try:
        return Told(
            tool=engine,
            stage="GPU compute time",
            # trtexec does not print how many there were; total and mean do.
            n=round(float(total[1]) * 1e3 / figures["mean"]) if total and figures["mean"] > 0 else None,
            min=figures.get("min"),
            mean=figures["mean"],
            p50=figures.get("median"),
            p90=figures.get("p90"),
            p95=figures.get("p95"),
            p99=figures.get("p99"),
            max=figures.get("max"),
            settings=_settings(version, command) | _batch(text, command) | _host_latency(lines),
        )
    except ValueError as error:
        raise MeasureError(f"the log of trtexec has a GPU Compute Time that is no time ({error})") from error


def _settings(version: str | None, command: str) -> dict[str, str | bool | int]:
    """What the version does by itself, and what the flags changed of it."""
    if version is None:
        return {}
    flags, newer = set(command.split()), int(version.split(".")[0]) >= 11
    if newer:
        return {
            "data_transfers": "--includeDataTransfers" in flags,
            "spin_wait": "--noSpinWait" not in flags,
            "cuda_graph": "--noCudaGraph" not in flags,
        }
    return {
        "data_transfers": "--noDataTransfers" not in flags,
        "spin_wait": "--useSpinWait" in flags,
        "cuda_graph": "--useCudaGraph" in flags,
    }


def _refuse_streams(text: str) -> None:
    """Of several streams a time is of one inference while others run."""
    streams = max((int(one or other) for one, other in _STREAMS.findall(text)), default=1)
    if streams > 1:
        raise MeasureError(
            f"trtexec ran {streams} streams at once, so that no time is of one inference alone: run it with "
            "--infStreams=1 (--streams=1 before version 9) and import that"
        )


def _batch(text: str, command: str) -> dict[str, str | bool | int]:
    for pattern in _BATCHES:
        told = re.findall(pattern, text, re.MULTILINE)
        if told:
            return batch_of("".join(one) for one in told)
    shapes = _SHAPES.search(command)
    return batch_of(re.findall(r":(\d+)(?:x\d+)*(?:,|$)", shapes[1])) if shapes else {}


def _host_latency(lines: dict[str, str]) -> dict[str, str | bool | int]:
    found = re.search(rf"median = ({_NUMBER}) ms", lines.get("Latency", ""))
    return {"latency_p50_ms": found[1]} if found else {}


def _version(digits: str) -> str:
    """8201 is 8.2.1, 100300 is 10.3.0."""
    parts = (digits[:-4], digits[-4:-2], digits[-2:]) if len(digits) > 4 else (digits[:1], digits[1:2], digits[2:])
    return ".".join(str(int(part)) for part in parts)


def _model(command: str) -> str:
    found = re.search(r"--(?:onnx|loadEngine)=(\S+)", command)
    return re.split(r"[/\\]", found[1])[-1] if found else ""


def _times(text: str) -> list[dict[str, Any]] | None:
    """The entries of `--exportTimes`, or `None` where the text is no such file."""
    if '"computeMs"' not in text:
        return None
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise MeasureError(f"the file of trtexec --exportTimes is no JSON ({error}): was it cut off?") from error
    return entries if isinstance(entries, list) and entries else None


def _from_times(entries: list[dict[str, Any]]) -> Told:
    try:
        samples = tuple(float(entry["computeMs"]) for entry in entries)
        found = describe(samples)
        old = "endToEndMs" in entries[0]
        return Told(
            tool="TensorRT trtexec --exportTimes",
            stage="GPU compute time",
            **{name: getattr(found, name) for name in ("n", "min", "mean", "std", "p50", "p90", "p95", "p99", "max")},
            samples_ms=samples,
            settings={"warm_up_included": old},  # TensorRT 8.2 and before
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MeasureError(f"the file of trtexec --exportTimes has an entry that cannot be read: {error!r}") from error
