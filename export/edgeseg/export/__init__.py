"""checkpoint + plan -> ONNX and TFLite files, packed into a bundle."""

import edgeseg.runtime  # noqa: F401  before any engine: see its telemetry.py
