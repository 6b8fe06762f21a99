"""A network as the list of layers an engine runs: what the latency table is asked about.

Batch norm and activations are fused into their convolution by every engine we ship to and are no layers of their own.
The list comes from torch.fx and shapes on the meta device: no weight is read and nothing is computed, so a search can
call it for every candidate; most of its time is tracing.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from edgeseg.compress.graph.kinds import Kind, kind_of, operation_of
from edgeseg.compress.graph.trace import trace
from edgeseg.compress.search.probe import Layer
from edgeseg.compress.search.widths import ACTIVATIONS, grown_channels, is_one_of
from edgeseg.runtime.errors import ExportError
from edgeseg.train.models import SegmentationNet


def layers_of(model: SegmentationNet, size_px: tuple[int, int], depthwise_step: int = 1) -> list[Layer]:
    """List the layers of a network in the order of execution.

    Args:
        model: Any network of `train.models`, the meta device included. Not modified.
        size_px: Height and width of the network's input, multiples of its stride.
        depthwise_step: The exporter widens depthwise convolutions, and the convolutions around them, to multiples of
            this for the target (16 for ONNX Runtime's u8s8 on x86); the widths listed are those that ship.

    Raises:
        ExportError: If the network cannot be traced, or holds an operation the table has no kind for.
        FrameError: If the size is no multiple of the stride.
    """
    meta = _on_meta(model)
    traced = trace(meta)
    shapes = _shapes(meta, traced, size_px)
    modules = dict(traced.named_modules())
    channels = grown_channels(traced, {node: shape[0] for node, shape in shapes.items()}, depthwise_step)
    layers = [_layer(node, modules, shapes, channels) for node in traced.graph.nodes if node in shapes]
    return [layer for layer in layers if layer is not None]


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy without weights; the memo hands `deepcopy` an empty stand-in for each of them."""
    stand_ins: dict[int, Any] = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in model.parameters()}
    stand_ins |= {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    return copy.deepcopy(model, stand_ins).eval()


class _Shapes(fx.Interpreter):
    """Notes (C, H, W) of every operation's result."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.submodules = dict(traced.named_modules())
        self.found: dict[fx.Node, tuple[int, int, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        # An activation keeps the shape; on the meta device it is slow for that, four fifths of the whole call.
        same = is_one_of(operation_of(n, self.submodules), ACTIVATIONS)
        result = self.env[n.all_input_nodes[0]] if same else super().run_node(n)
        if isinstance(result, Tensor) and result.ndim == 4 and n.op != "output":
            self.found[n] = cast(tuple[int, int, int], tuple(int(size) for size in result.shape[1:]))
        return result


def _shapes(meta: nn.Module, traced: fx.GraphModule, size_px: tuple[int, int]) -> dict[fx.Node, tuple[int, int, int]]:
    first = next(module for module in meta.modules() if isinstance(module, nn.Conv2d))
    image = torch.empty((1, first.in_channels, *size_px), device="meta")
    shapes = _Shapes(traced)
    with torch.no_grad():
        stride = int(cast(Any, meta).stride)
        if size_px[0] % stride or size_px[1] % stride:
            meta(image)  # tracing left out the network's own check; it raises with the size that would work
        shapes.run(image)
    return shapes.found


def _layer(
    node: fx.Node,
    modules: dict[str, nn.Module],
    shapes: dict[fx.Node, tuple[int, int, int]],
    channels: dict[fx.Node, int],
) -> Layer | None:
    """The layer that an operation is; None for what costs nothing of its own."""
    what = operation_of(node, modules)
    if what is None or is_one_of(what, ACTIVATIONS):
        return None
    kind = kind_of(what)
    if kind is None:
        name = type(what).__name__ if isinstance(what, nn.Module) else getattr(what, "__name__", str(what))
        raise ExportError(
            f"operation {node.name} ({name}) has no kind in the latency table, which knows convolution, resize, "
            "concatenation, addition and max pooling. Build the network from those, or add the kind to "
            "compress/edgeseg/compress/graph/kinds.py."
        )
    made, (_, height, width) = channels[node], shapes[node.all_input_nodes[0]]
    if isinstance(what, nn.Conv2d | nn.ConvTranspose2d):
        kernel, stride = _square(what, kind, node)
        return Layer(kind, channels[node.all_input_nodes[0]], made, kernel, stride, height, width)
    shrinks, grows = height // shapes[node][1], shapes[node][1] // height
    sizes: dict[Kind, tuple[int, int]] = {"resize": (1, grows), "pool": (shrinks, shrinks)}
    return Layer(kind, made, made, *sizes.get(kind, (1, 1)), height, width)


def _square(conv: nn.Conv2d | nn.ConvTranspose2d, kind: Kind, node: fx.Node) -> tuple[int, int]:
    """Kernel width and stride."""
    kernel, stride = set(conv.kernel_size), set(conv.stride)
    if len(kernel) != 1 or len(stride) != 1 or set(conv.dilation) != {1}:
        raise ExportError(
            f"convolution {node.target} has kernel {conv.kernel_size}, stride {conv.stride}, dilation {conv.dilation}; "
            "the latency table knows square kernels without dilation only."
        )
    if conv.groups != 1 and kind != "depthwise":
        raise ExportError(
            f"convolution {node.target} has {conv.groups} groups for {conv.in_channels} -> {conv.out_channels} "
            "channels; the latency table knows groups of 1 and one group per channel only."
        )
    return kernel.pop(), stride.pop()
