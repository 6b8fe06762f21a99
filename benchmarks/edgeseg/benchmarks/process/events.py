"""How a worker process speaks while it works, and how a fault is put into words. Needs Python alone."""

from __future__ import annotations

import json
import re

from edgeseg.runtime.errors import BackendError, MeasureError

# A line that starts with this is ours; every other line is some library's chatter.
EVENT_MARK = "@edgeseg-worker "


def event(subject: str) -> str:
    """The stderr line that says what the worker is about to measure."""
    return EVENT_MARK + json.dumps({"subject": subject})


def read_event(line: str) -> str | None:
    """The subject of an event line, or `None` for any other line."""
    if not line.startswith(EVENT_MARK):
        return None
    try:
        return str(json.loads(line[len(EVENT_MARK) :])["subject"])
    except (ValueError, KeyError, TypeError):
        return None


def failure(error: BaseException) -> dict[str, str]:
    """A subject that cannot run, as the worker reports it: `unsupported` without its engine, else `failed`."""
    status = "unsupported" if isinstance(error, BackendError) else "failed"
    text = str(error) or type(error).__name__
    named = text if status == "unsupported" or isinstance(error, MeasureError) else f"{type(error).__name__}: {text}"
    return {"status": status, "reason": without_paths(named)}


def without_paths(text: str) -> str:
    """`text` with every absolute path cut down to its last part: results are passed on to other people."""
    return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^/\\\s'\":;,()\[\]]+)+[/\\]([^/\\\s'\":;,()\[\]]+)", r"\1", text)
