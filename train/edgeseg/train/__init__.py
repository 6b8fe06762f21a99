"""images + masks -> teacher checkpoint."""

import edgeseg.runtime  # noqa: F401  before any engine: see its telemetry.py
