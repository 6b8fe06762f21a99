"""What other tools print, read: one table of readers, each knows its own by the content."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.benchmarks.tools import benchmark_app, benchmark_model, trtexec, typed, ultralytics
from edgeseg.benchmarks.tools.foreign_row import ForeignRow

Read = Callable[[str], list[ForeignRow]]

# Name -> (is it that tool's text?, what it says). The first that knows the text reads it.
TOOLS: dict[str, tuple[Callable[[str], bool], Read]] = {
    "trtexec": (trtexec.knows, trtexec.read),
    "benchmark_app": (benchmark_app.knows, benchmark_app.read),
    "benchmark_model": (benchmark_model.knows, benchmark_model.read),
    "Ultralytics": (ultralytics.knows, ultralytics.read),
    "typed in": (typed.knows, typed.read),
}
