"""The bundle's manifest and, through it, every spec: import specs from here."""

from __future__ import annotations

from edgeseg.runtime.input_spec import Color, Geometry, InputSpec, Interpolation
from edgeseg.runtime.model_spec import Decision, ModelSpec, OutputSpec

__all__ = ["Color", "Decision", "Geometry", "InputSpec", "Interpolation", "ModelSpec", "OutputSpec"]
