"""One call of ai-edge-quantizer: a file, a recipe, what stays in float, and the ranges that it shall take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from ai_edge_quantizer import quantizer
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName

from edgeseg.export.muted import muted
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError

# `min` and `max` by tensor, float32 of as many axes as the tensor has.
Extremes = dict[str, dict[str, np.ndarray]]


def quantise(
    content: bytes, recipe: Any, stays: Iterable[str], extremes: Extremes | None = None, *, float_output: bool = False
) -> bytes:
    """Quantise a TFLite file.

    Args:
        content: The FP32 file.
        recipe: Of ai-edge-quantizer.
        stays: Results of the operators that stay as they are.
        extremes: Ranges by tensor, where the recipe rounds activations to given ranges.
        float_output: Whether the file returns float32 whatever it computes in.

    Raises:
        ExportError: If the quantizer refuses, with its reason.
    """
    kept = [(f"^{re.escape(name)};?$", TFLOperationName.ALL_SUPPORTED) for name in stays]
    if float_output:
        kept.append((".*", TFLOperationName.OUTPUT))
    try:
        with muted():
            worker = quantizer.Quantizer(bytearray(content), recipe)
            for scope, operators in kept:
                worker.update_quantization_recipe(scope, operators, algorithm_key=AlgorithmName.NO_QUANTIZE)
            result = worker.quantize(extremes, enable_progress_bar=False, enable_progress_report=False)
    except Exception as err:
        raise ExportError(f"ai-edge-quantizer failed: {condensed(err)}") from err
    shortened = flatbuffer.read(bytes(result.quantized_model))
    shortened.metadata = []
    return flatbuffer.write(shortened)
