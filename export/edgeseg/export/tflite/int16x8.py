"""From an FP32 TFLite file and the precision plan to 16x8: INT8 kernels, symmetric 16-bit activations.

For networks that lose too much with 8-bit activations. The file eats and returns what the FP32 file does. XNNPACK has
no 16-bit kernels: it runs on the built-in ones, slowly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ai_edge_litert.schema_py_generated import TensorType
from ai_edge_quantizer import recipe
from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.export.read_back import ReadBack, hold_against
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.int8 import extremes_of
from edgeseg.export.tflite.planned import plan_tflite
from edgeseg.export.tflite.quantise import quantise
from edgeseg.export.tflite.read_back import numbers_of
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.model_spec import ModelSpec


def write_int16x8_tflite(
    model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path
) -> tuple[ModelSpec, ReadBack]:
    """Quantise an exported file, and hold what was written against the plan.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network, none of them cut: 16 bits have room for the largest value.
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.
        path: File to write, replaced in one step.

    Returns:
        What the file eats and returns, and what was read back and found equal.

    Raises:
        ExportError: If the file is not that network's, the plan lacks one of its operations, or what was written
            differs from the plan.
    """
    planned = plan_tflite(model, plan, source, spec)
    # The file with the cast of its pixels: nothing but float reads them, and the runtime's input stays what it is.
    written = quantise(
        source.read_bytes(), recipe.static_wi8_ai16(), planned.stays, extremes_of(planned), float_output=True
    )
    affines = {name: frozenset([planned.affine16_of(name)]) for name in planned.keys}
    wanted = replace(planned.numbers(), affines=affines)
    found = numbers_of(flatbuffer.read(written), TensorType.INT16)
    read = hold_against(path.name, found, wanted, planned.keys)
    write_bytes(path, written)
    return replace(spec, precision="int16x8"), read
