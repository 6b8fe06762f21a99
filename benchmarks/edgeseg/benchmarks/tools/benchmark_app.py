"""OpenVINO's `benchmark_app`: what it prints at its end, of any version since 2020."""

from __future__ import annotations

import re

from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.tools.batch import batch_of
from edgeseg.benchmarks.tools.foreign_row import ForeignRow
from edgeseg.benchmarks.tools.one_run import refuse_several
from edgeseg.runtime.errors import MeasureError

_INFO = re.compile(r"^\[ (?:INFO|WARNING) \] ?", re.MULTILINE)
_NUMBER = r"(\d+(?:\.\d+)?)"
_REPORT = "Dumping statistics report"
_ONCE = (r"^\[Step 1/", _REPORT, "^Throughput:")


def knows(text: str) -> bool:
    """Whether a text is this tool's."""
    return _REPORT in text or ("iterations" in text and "Throughput:" in text and "[Step " in text)


def read(text: str) -> list[ForeignRow]:
    """The one run of a text.

    Raises:
        MeasureError: It has no report or several, or more than one request was in flight, so that no time is of one
            alone.
    """
    body = _INFO.sub("", text)
    refuse_several(body, "benchmark_app", _ONCE)
    report = body.partition(_REPORT)[2]
    api = _word(r"Start inference (\w+?)(?:hronously)?[,)\s]", body) or _word(r"\bapi:? (sync|async)", body)
    requests = _word(r"(\d+) inference requests", body)
    streams = _word(r"\busing (\d+) streams|\bNUM_STREAMS: (\d+)", body)
    version = _word(r"Build \.+ ([\w.]+)", body)
    mean = _of(r"(?:Average|AVG)", report)
    median, plain = _of(r"Median", report), _of(r"Latency", report)
    if mean is None and median is None and plain is None:
        raise MeasureError(
            "the output of benchmark_app has no latency in its report: it was cut off, or not yet at its end"
        )
    if int(requests or 1) > 1:
        raise MeasureError(
            f"benchmark_app had {requests} requests in flight, so that no latency is of one inference alone: run "
            "it with -hint latency (or -api sync) and import that"
        )
    count = re.search(r"Count: +(\d+) iterations", report)
    return [
        ForeignRow(
            name=re.split(r"[/\\]", _word(r"(?:-m|--path_to_model) (\S+)", body) or "")[-1],
            engine=f"OpenVINO {version}" if version else "OpenVINO",
            told=Told(
                tool="benchmark_app",
                stage="inference",
                n=int(count[1]) if count else None,
                min=_of(r"(?:Min|MIN)", report),
                mean=mean,
                p50=median if median is not None else plain,
                max=_of(r"(?:Max|MAX)", report),
                first_ms=_number(rf"First inference took {_NUMBER} ms", body),
                settings={
                    "api": "async" if (api or "").startswith("async") else "sync",
                    "requests": int(requests or 1),
                    **({"streams": int(streams)} if streams else {}),
                    **batch_of(re.findall(r"(?:Model|Network) batch size: (\d+)", body)),
                },
            ),
            device=_word(r"Execution Devices: ?\['?([^'\]]+)", body),
        )
    ]


def _of(label: str, report: str) -> float | None:
    return _number(rf"^\s*{label}: +{_NUMBER} ms", report)


def _number(pattern: str, text: str) -> float | None:
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else None


def _word(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return next((group for group in found.groups() if group), None) if found else None
