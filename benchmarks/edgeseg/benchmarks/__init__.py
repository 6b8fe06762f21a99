"""Latency, memory and load time of runnable models, measured so that two of them can be compared; the HTML kit."""

import edgeseg.runtime  # noqa: F401  before any engine: see its telemetry.py
