"""An exported FP32 TFLite file with what a precision plan says about each of its tensors; as `onnx.planned`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import nn

from edgeseg.compress.int8.plan import Affine, Plan, weight_scale
from edgeseg.export.bind import bind, binding_image, torch_values, with_fused
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.fits import fixed_size
from edgeseg.export.muted import muted
from edgeseg.export.read_back import Numbers
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import ModelSpec

# Operators whose result holds the values of their input, and zeros.
_PASSES = {"PAD", "PADV2", "RESHAPE", "TRANSPOSE"}

# Convolutions of the image itself with fewer channels stay in float.
MIN_CHANNELS = 4


@dataclass(frozen=True)
class Kernel:
    """A constant kernel.

    Attributes:
        made: Tensor that its operator makes.
        name: Its own tensor.
        scale: Of each output channel, float32 (channels,).
        shape: What `scale` is broadcast to the kernel with.
    """

    made: str
    name: str
    scale: np.ndarray
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlannedTflite:
    """A float graph and a plan.

    Attributes:
        floats: The graph (`ModelT`) without the cast of its pixels.
        content: The same as a file.
        plan: Ranges of its network.
        keys: Operations of the network by tensor that holds their result.
        fused: The same, with the operations that were fused into these.
    """

    floats: Any = field(repr=False)  # a generated class without types
    content: bytes = field(repr=False)
    plan: Plan
    keys: dict[str, tuple[str, ...]] = field(repr=False)
    fused: dict[str, tuple[str, ...]] = field(repr=False)

    def range_of(self, name: str) -> tuple[float, float]:
        """Range of a tensor.

        Raises:
            ExportError: If its operation was not calibrated.
        """
        return max((self.plan.range_of(key) for key in self.keys[name]), key=lambda pair: pair[1] - pair[0])

    def affine_of(self, name: str) -> Affine:
        """Scale and zero point of a tensor; errors as `range_of`."""
        return max((self.plan.s8(key) for key in self.keys[name]), key=lambda affine: affine.scale)

    def affine16_of(self, name: str) -> Affine:
        """Scale of a tensor in 16 bits, symmetric; errors as `range_of`."""
        return max((self.plan.s16_symmetric(key) for key in self.keys[name]), key=lambda affine: affine.scale)

    @property
    def stays(self) -> list[str]:
        """Results of the operators that stay in float: the plan's, and a narrow stem."""
        planned = [name for name, its in self.fused.items() if any(self.plan.is_float(key) for key in its)]
        return planned + _narrow_stem(self.floats)

    def kernels(self) -> Iterator[Kernel]:
        """Every kernel with its scales.

        Raises:
            ExportError: If a kernel is computed.
        """
        graph = self.floats.subgraphs[0]
        for operator in graph.operators:
            kind = flatbuffer.operator_name(self.floats, operator)
            if kind not in flatbuffer.KERNELS:
                continue
            source, kernel, bias, axis = flatbuffer.KERNELS[kind]
            weight = flatbuffer.constant(self.floats, int(operator.inputs[kernel]))
            if weight is None:
                raise ExportError(f"a {kind} has a computed kernel; only constant kernels can be quantised.")
            has_bias = len(operator.inputs) > bias and operator.inputs[bias] >= 0
            biases = flatbuffer.constant(self.floats, int(operator.inputs[bias])) if has_bias else None
            made, entry, name = (
                flatbuffer.tensor_name(graph, int(index))
                for index in (operator.outputs[0], operator.inputs[source], operator.inputs[kernel])
            )
            scale = weight_scale(weight, biases, self.affine_of(entry).scale, axis)
            yield Kernel(made, name, scale, tuple(-1 if i == axis else 1 for i in range(weight.ndim)))

    def numbers(self) -> Numbers:
        """What a file written from this must hold."""
        stays = set(self.stays)
        graph = self.floats.subgraphs[0]
        results = [flatbuffer.tensor_name(graph, int(operator.outputs[0])) for operator in graph.operators]
        kernels = {kernel.made: kernel.scale for kernel in self.kernels() if kernel.made not in stays}
        affines = {name: frozenset([self.affine_of(name)]) for name in self.keys}
        return Numbers(affines, {name: name not in stays for name in results}, kernels)


def plan_tflite(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec) -> PlannedTflite:
    """Find out what a plan says about the tensors of an exported file.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network and which operations share one.
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.

    Raises:
        ExportError: If the file cannot be read or is not that network's.
    """
    floats = load_fp32(source)
    flatbuffer.without_cast(floats)
    content = flatbuffer.write(floats)
    graph = DeployGraph(model)
    keys = _bind(floats, content, graph, spec)
    return PlannedTflite(floats, content, plan, keys, with_fused(graph, keys))


def open_builtin(content: bytes, *, keep: bool = False) -> Any:
    """Open a file with the built-in kernels: the delegate would hide what lies between its ends."""
    with muted():
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=keep,
        )
        interpreter.allocate_tensors()
    return interpreter


def load_fp32(source: Path) -> Any:
    """Read an exported file.

    Raises:
        ExportError: If it is missing or damaged.
    """
    try:
        return flatbuffer.read(source.read_bytes())
    except Exception as err:  # a missing file, or whatever decoding foreign bytes runs into
        raise ExportError(f"cannot read the FP32 file {source.name}: {err}. Run export_tflite again.") from err


def _bind(floats: Any, content: bytes, graph: DeployGraph, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Operations of the network by name of the activation tensor that holds their result."""
    image = binding_image(*fixed_size(spec.input), graph.channels)
    keys = bind(torch_values(graph, image), _tensors(content, image))
    subgraph = floats.subgraphs[0]
    for operator in subgraph.operators:
        made, first = (flatbuffer.tensor_name(subgraph, int(side[0])) for side in (operator.outputs, operator.inputs))
        kind = flatbuffer.operator_name(floats, operator)
        if made not in keys and kind in _PASSES and first in keys:
            keys[made] = keys[first]
        if made not in keys:
            raise ExportError(f"the {kind} that makes {made} matches no operation of the network. Export it again.")
    return keys


def _tensors(content: bytes, image: np.ndarray) -> dict[str, np.ndarray]:
    """Every activation of the float file for one image, NCHW."""
    interpreter = open_builtin(content, keep=True)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.astype(np.float32))
    interpreter.invoke()
    found: dict[str, np.ndarray] = {}
    for tensor in interpreter.get_tensor_details():
        if tensor["name"] and len(tensor["shape"]) == 4 and np.dtype(tensor["dtype"]) == np.float32:
            found[tensor["name"]] = interpreter.get_tensor(tensor["index"]).transpose(0, 3, 1, 2)
    return found


def _narrow_stem(floats: Any) -> list[str]:
    """Results of the operators that stay in float because the stem reads one channel, or three.

    Integer kernels take input channels by four or eight, so nearly all of their work would be on padding. Measured with
    XNNPACK on x86 at 256x256, gray, with 32 / 16 outputs: 0.63 / 0.65 ms in integers, 0.22 / 0.12 ms in float with the
    conversions on both sides.
    """
    graph = floats.subgraphs[0]
    entry, names = int(graph.inputs[0]), []
    if graph.tensors[entry].shape[-1] >= MIN_CHANNELS:
        return []
    for operator in graph.operators:
        if int(operator.inputs[0]) == entry:
            names.append(flatbuffer.tensor_name(graph, int(operator.outputs[0])))
            if flatbuffer.operator_name(floats, operator) not in _PASSES:
                return names
            entry = int(operator.outputs[0])
    return names
