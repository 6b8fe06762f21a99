"""recipe -> the whole chain, its gates and its report; the host's `edgeseg` command."""

import edgeseg.runtime  # noqa: F401  before any engine: see its telemetry.py
