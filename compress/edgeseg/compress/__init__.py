"""teacher -> student: distilled, pruned, with ranges and a precision plan."""

import edgeseg.runtime  # noqa: F401  before any engine: see its telemetry.py
