"""Whether two ONNX files are of one training, also where one was equalized, corrected or rounded for INT8.

None of that turns the sign of a kernel's value: equalization scales channels by positive factors, correction changes
biases alone, rounding leaves the sign or zero. Of two trainings some signs differ, also where they began alike.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgeseg.runtime.errors import ExportError


def same_network(content: bytes, other: bytes, name: str) -> bool:
    """Whether the kernels of two files have the same shapes and no opposite signs, in the order they are read in.

    Args:
        content: An ONNX file, in float or with Q/DQ pairs of signed bytes.
        other: Another.
        name: Of the first, for messages.

    Raises:
        ExportError: If the first is no ONNX file.
    """
    try:
        found = _kernels(onnx.load_from_string(content))
    except Exception as err:  # decoding foreign bytes fails in many ways
        raise ExportError(f"{name} is no valid ONNX file; give the cache in its run's folder") from err
    wanted = _kernels(onnx.load_from_string(other))
    return len(found) == len(wanted) and all(
        one.shape == its.shape and bool((np.sign(one) * np.sign(its) >= 0).all())
        for one, its in zip(found, wanted, strict=True)
    )


def _kernels(model: onnx.ModelProto) -> list[np.ndarray]:
    kinds = (TensorProto.FLOAT, TensorProto.INT8)
    constants = {one.name: one for one in model.graph.initializer if one.data_type in kinds and len(one.dims) > 1}
    return [
        numpy_helper.to_array(constants[one]) for node in model.graph.node for one in node.input if one in constants
    ]
