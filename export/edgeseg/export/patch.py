"""An exported FP32 ONNX file with other kernels and biases: the file of a prepared network, without a second export.

A free-size export takes some twenty seconds, writing constants into its result a fraction of one, and the graph that is
scored stays operator for operator the one that ships.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.runtime.atomic import write_bytes
from edgeseg.runtime.errors import ExportError

_PREFIX = "net."  # the exporter names a constant by its path in `DeployGraph`
_TOLERANCE = 1e-5  # relative to the largest weight of a kernel


def patch_onnx(source: Path, path: Path, plain: nn.Module, prepared: nn.Module) -> None:
    """Write the FP32 file of a prepared network.

    Args:
        source: FP32 file of `export_onnx`.
        path: File to write, replaced in one step.
        plain: The network `source` was exported from.
        prepared: The same network with other kernels and biases (`compress.equalize`, `compress.bias_correction`).

    Raises:
        ExportError: If the file is not that network's, or a changed tensor has no place in it.
    """
    before, after = (_constants(network) for network in (plain, prepared))
    changed = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    model = onnx.load(source)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    users = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    done: set[str] = set()
    for node in users:
        kernel = node.input[1]
        name = kernel.removeprefix(_PREFIX)
        if name not in before or not _equal(numpy_helper.to_array(constants[kernel]), before[name]):
            raise ExportError(f"{source.name}: kernel {kernel} is not of this network; export it again.")
        module = name.removesuffix(".weight")
        for slot, its in ((1, f"{module}.weight"), (2, f"{module}.bias")):
            if its in changed:
                # A constant of its own: an exporter gives layers of equal biases one constant for all.
                own = f"{_PREFIX}{its}.prepared"
                model.graph.initializer.append(numpy_helper.from_array(after[its], own))
                node.input[slot] = own
                done.add(its)
    if changed - done:
        raise ExportError(f"{source.name}: {min(changed - done)} was changed, but no convolution of the file uses it.")
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    write_bytes(path, model.SerializeToString(deterministic=True))


def _constants(network: nn.Module) -> dict[str, np.ndarray]:
    """Kernels and biases as the file holds them, by name."""
    return {name: value.numpy() for name, value in DeployGraph(network).net.state_dict().items()}


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max() <= _TOLERANCE * max(float(np.abs(b).max()), 1e-12))
