"""An exported FP32 file with other kernels and biases: the file of a prepared network, without a second export.

An export takes from three to thirty seconds, writing constants into its result a fraction of one, and the graph that is
scored stays operator for operator the one that ships. What a patch got wrong is found by the INT8 writers: they compare
every tensor of the file with the network before they quantise it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes

_PREFIX = "net."  # ONNX names a constant by its path in `DeployGraph`
_TOLERANCE = 1e-5  # relative to the largest weight of a kernel
# Axes of a torch kernel in the order in which TFLite holds them.
_TFLITE_AXES = {"CONV_2D": (0, 2, 3, 1), "DEPTHWISE_CONV_2D": (1, 2, 3, 0), "TRANSPOSE_CONV": (1, 2, 3, 0)}


def patch(source: Path, path: Path, plain: nn.Module, prepared: nn.Module) -> None:
    """Write the FP32 file of a prepared network, ONNX or TFLite as `source` is. Arguments and errors as for either."""
    write = patch_onnx if source.suffix == ".onnx" else patch_tflite
    write(source, path, plain, prepared)


def patch_onnx(source: Path, path: Path, plain: nn.Module, prepared: nn.Module) -> None:
    """Write the FP32 ONNX file of a prepared network.

    Args:
        source: FP32 file of `export_onnx`.
        path: File to write, replaced in one step.
        plain: The network `source` was exported from.
        prepared: The same network with other kernels and biases (`compress.int8.prepare`).

    Raises:
        ExportError: If the file is not that network's, or a changed tensor has no place in it.
    """
    patch = _Patch(source.name, plain, prepared)
    model = onnx.load(source)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        name = node.input[1].removeprefix(_PREFIX)
        patch.expect(name, numpy_helper.to_array(constants[node.input[1]]))
        for slot, (its, array) in patch.changes(name).items():
            # A constant of its own: an exporter gives layers of equal biases one constant for all.
            own = f"{_PREFIX}{its}.prepared"
            model.graph.initializer.append(numpy_helper.from_array(array, own))
            if slot == len(node.input):  # a bias of zeros, which the exporter has left out
                node.input.append(own)
            else:
                node.input[slot] = own
    patch.finish()
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    write_bytes(path, model.SerializeToString(deterministic=True))


def patch_tflite(source: Path, path: Path, plain: nn.Module, prepared: nn.Module) -> None:
    """Write the FP32 TFLite file of a prepared network. Arguments and errors as for `patch_onnx`."""
    patch = _Patch(source.name, plain, prepared)
    model = flatbuffer.read(source.read_bytes())
    for operator in model.subgraphs[0].operators:
        kind = flatbuffer.operator_name(model, operator)
        if kind not in flatbuffer.KERNELS:
            continue
        _, kernel, bias, _ = flatbuffer.KERNELS[kind]
        array = flatbuffer.constant(model, int(operator.inputs[kernel]))
        name = patch.find(array, _TFLITE_AXES[kind])
        for slot, (_, changed) in patch.changes(name).items():
            if slot == 1:
                flatbuffer.replace_constant(model, operator, kernel, changed.transpose(_TFLITE_AXES[kind]))
            else:
                flatbuffer.replace_constant(model, operator, bias, changed)
    patch.finish()
    write_bytes(path, flatbuffer.write(model))


class _Patch:
    """Keeps account of which tensor changed and which has found its place."""

    def __init__(self, file: str, plain: nn.Module, prepared: nn.Module) -> None:
        self._file = file
        self._before, self._after = (_constants(network) for network in (plain, prepared))
        pairs = self._after.items()
        self._waiting = {name for name, array in pairs if not np.array_equal(array, self._before[name])}
        self._taken: set[str] = set()

    def expect(self, name: str, array: np.ndarray | None) -> None:
        """Refuse a kernel that is not the plain network's of this name."""
        if name not in self._before or array is None or not _equal(array, self._before[name]):
            raise ExportError(f"{self._file}: kernel {name} is not of this network; export it again.")

    def find(self, array: np.ndarray | None, axes: tuple[int, ...]) -> str:
        """Name of the kernel that a file holds under a name of its own and with its axes in this order."""
        for name, kernel in self._before.items():
            known = name not in self._taken and kernel.ndim == 4 and array is not None
            if known and _equal(array, kernel.transpose(axes)):  # type: ignore[arg-type]
                self._taken.add(name)
                return name
        raise ExportError(f"{self._file}: a kernel is not of this network; export it again.")

    def changes(self, kernel: str) -> dict[int, tuple[str, np.ndarray]]:
        """What changed of a convolution: (name, new array), by 1 for its kernel and 2 for its bias."""
        names = {1: kernel, 2: kernel.removesuffix(".weight") + ".bias"}
        found = {slot: (name, self._after[name]) for slot, name in names.items() if name in self._waiting}
        self._waiting -= set(names.values())
        return found

    def finish(self) -> None:
        """Refuse a file that has no place for something that changed."""
        if self._waiting:
            raise ExportError(
                f"{self._file}: {min(self._waiting)} was changed, but no convolution of the file uses it."
            )


def _constants(network: nn.Module) -> dict[str, np.ndarray]:
    """Kernels and biases as the file holds them, by name."""
    return {name: value.numpy() for name, value in DeployGraph(network).net.state_dict().items()}


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max() <= _TOLERANCE * max(float(np.abs(b).max()), 1e-12))
