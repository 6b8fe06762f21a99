"""A JSON file that somebody hands in as a result: read, or its cause named; and whose it is instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.files.file_kind import kind_of, refusal
from edgeseg.runtime.files.own_documents import own_document
from edgeseg.runtime.text.textfile import read_text

# Keys that tell of which other tool a JSON is.
_OTHERS = {
    "benchmarks": "a result of pytest-benchmark or Google Benchmark",
    "results": "a result of hyperfine or the like",
    "traceEvents": "a trace",
}


def read_json_file(path: Path) -> Any:
    """The document of a file; a byte-order mark is passed over.

    Raises:
        MeasureError: It cannot be read, is of another kind, or is cut off.
    """
    kind = kind_of(path)
    if kind.key in ("missing", "folder", "special", "unreadable", "empty"):
        raise MeasureError(f"{path} cannot be read: it is {kind.words}; {kind.remedy}")
    if kind.key not in ("json", "text", "utf16"):
        raise MeasureError(refusal(path, "a result of `bench run --out FILE.json`", kind))
    try:
        return json.loads(read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise MeasureError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise MeasureError(f"{path} is no JSON ({error}): was it cut off? Measure again") from error


def whose(obj: Any) -> str:
    """What a JSON document is that is no result of ours."""
    if not isinstance(obj, Mapping):
        return f"a JSON {'list' if isinstance(obj, list) else 'value'}"
    known = own_document(obj) or next((words for key, words in _OTHERS.items() if key in obj), None)
    return known or f"JSON with the keys {', '.join(map(str, list(obj)[:6])) or 'none at all'}"
