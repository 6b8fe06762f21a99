"""A folded network that rounds in its forward pass what the INT8 file of one target rounds.

It is trained like any other network: the weights are those of the folded network, ranges and zero points stay those of
the plan, and the gradient passes every rounding, but not a value that saturates. So what is looked at on val, averaged
and kept is what ships: the same plan writes the file from the trained weights.

Reference:
    Jacob et al. 2018, arXiv:1712.05877, section 3 (simulated quantisation, on folded weights); batch norm stays frozen
    in them (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2).
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edgeseg.compress.graph.kinds import Kind, clamp_limit, kind_of, operation_of
from edgeseg.compress.graph.pairs import Conv
from edgeseg.compress.graph.trace import INPUT, PASSES, node_keys, trace
from edgeseg.compress.int8.plan import Affine, Plan
from edgeseg.compress.qat.concat import scales_of_parts
from edgeseg.compress.qat.kernel import RoundedConv
from edgeseg.compress.qat.rule import Rule
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.bilinear import double_bilinear
from edgeseg.train.models.net import SegmentationNet

_PIXEL = 1 / 255  # scale of the image, whose integers are the pixels themselves
_EPSILON = 1e-5  # relative; scales are rounded to float32


class RoundingNet(SegmentationNet):
    """A network with the roundings in its graph; made by `rounding`.

    Attributes:
        net: The graph; its parameters have the names of the folded network's.
    """

    def __init__(self, net: fx.GraphModule, folded: nn.Module) -> None:
        super().__init__()
        self.net = net
        of = cast(Any, folded)
        self.stride, self.output_stride, self.n_outputs = int(of.stride), int(of.output_stride), int(of.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """As the folded network: float32 (N, C, H, W) in [0, 1] to logits (N, K, H / s, W / s)."""
        logits: Tensor = self.net(x)
        return logits

    def weights_into(self, folded: nn.Module) -> nn.Module:
        """A copy of the folded network with the weights of this one."""
        trained = copy.deepcopy(folded)
        trained.load_state_dict({name: tensor.cpu() for name, tensor in self.net.state_dict().items()})
        return trained.eval()


def rounding(folded: nn.Module, plan: Plan, rule: Rule) -> RoundingNet:
    """Put the roundings of a target's INT8 file into a network.

    Args:
        folded: From `fold_batch_norm`, equalized or corrected or plain, with `stride output_stride n_outputs`. Not
            modified.
        plan: Of this network.
        rule: Of the target.

    Raises:
        ConfigError: If nothing of it is computed in integers.
        ExportError: If the network cannot be traced, or the plan lacks one of its operations.
    """
    traced = trace(copy.deepcopy(folded).requires_grad_(True))
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and isinstance(traced.get_submodule(node.target), PASSES):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    _Placing(traced, plan, rule).place()
    for node in traced.graph.nodes:
        if node.target is F.interpolate and node.kwargs.get("mode") == "bilinear":
            # Tracing has put it in the place of the operation whose gradient is fast, and the same in every run.
            node.target, node.kwargs = double_bilinear, {}
    traced.graph.lint()
    traced.recompile()
    return RoundingNet(traced, folded)


class _Placing:
    """Walks a graph in order; each operation in integers reads rounded values and returns one, as the rule has it."""

    def __init__(self, traced: fx.GraphModule, plan: Plan, rule: Rule) -> None:
        self._traced, self._plan, self._rule = traced, plan, rule
        self._keys = node_keys(traced)
        self._modules = dict(traced.named_modules())
        self._roundings: dict[tuple[fx.Node, Affine], fx.Node] = {}

    def place(self) -> None:
        integer = [node for node in self._keys if self._takes(node)]
        if not integer:
            raise ConfigError(
                "quantize.float_paths and the target's rule keep every layer in float, so that there is nothing to "
                "train for; take quantize.qat out"
            )
        joined = [node for node in integer if self._kind(node) == "concat" and not self._rule.results]
        scales = {reading: its for node in joined for reading, its in scales_of_parts(node, self._operation).items()}
        for node in integer:
            if isinstance(self._operation(node), Conv):
                self._round_kernel(node)
            for source in self._read_as_integers(node):
                if source not in joined:  # all of its parts have its scale already
                    affine = self._affine(scales.get((node, source), source))
                    node.replace_input_with(source, self._rounded(source, affine))
            if self._rule.results:
                self._round_result(node)

    def _takes(self, node: fx.Node) -> bool:
        """Whether the operation is computed in integers."""
        kind, operation = self._kind(node), self._operation(node)
        if kind is None or self._plan.is_float(self._keys[node]):
            return False
        if not isinstance(operation, Conv):
            return kind != "add" or all(isinstance(operand, fx.Node) for operand in node.args[:2])
        channels = min(operation.in_channels, operation.out_channels)
        of_image = self._keys[node.all_input_nodes[0]] == INPUT
        grouped = isinstance(operation, nn.ConvTranspose2d) and operation.groups > 1  # no scale a channel fits it
        narrow = of_image and channels < self._rule.min_pixel_channels
        return channels >= self._rule.min_channels and not grouped and not narrow

    def _read_as_integers(self, node: fx.Node) -> list[fx.Node]:
        """What is still to be rounded of what an operation reads; pixels are integers as they are."""
        made = self._roundings.values()
        read = [one for one in node.all_input_nodes if one not in made and self._keys[one] != INPUT]
        if self._kind(node) != "add" or self._rule.results:
            return read
        # As the writer has it: the operand straight from a convolution is added before anything is rounded.
        bare = next((one for one in read if isinstance(self._operation(one), Conv)), read[-1])
        return [one for one in read if one is not bare]

    def _round_kernel(self, node: fx.Node) -> None:
        (source,) = node.all_input_nodes
        scale = _PIXEL if self._keys[source] == INPUT else self._affine(source).scale
        parent, _, name = str(node.target).rpartition(".")
        rounded = RoundedConv(cast(Conv, self._operation(node)), scale, self._rule.results)
        setattr(self._traced.get_submodule(parent), name, rounded)

    def _round_result(self, node: fx.Node) -> None:
        """At once, or behind a ReLU that the integers of its result imply."""
        made, kind = node, self._kind(node)
        if len(node.users) == 1 and kind in ("conv", "depthwise", "transposed", "add"):
            (reader,) = node.users
            limit = clamp_limit(self._operation(reader))
            if limit is not None and not self._plan.is_float(self._keys[reader]):
                affine = self._affine(reader)
                held = affine.zero_point == 0 and 255 * affine.scale <= limit * (1 + _EPSILON)
                made = reader if held else node
        readers = list(made.users)
        rounded = self._rounded(made, self._affine(made))
        for reader in readers:
            reader.replace_input_with(made, rounded)

    def _rounded(self, node: fx.Node, affine: Affine) -> fx.Node:
        if (node, affine) not in self._roundings:
            low, high = (-128, 127) if self._rule.symmetric else (0, 255)
            arguments = (node, affine.scale, affine.zero_point, low, high)
            with self._traced.graph.inserting_after(node):
                made = self._traced.graph.call_function(torch.fake_quantize_per_tensor_affine, arguments)
            self._roundings[node, affine] = made
            self._keys[made] = self._keys[node]
        return self._roundings[node, affine]

    def _affine(self, node: fx.Node) -> Affine:
        key = self._keys[node]
        return self._plan.s8_symmetric(key) if self._rule.symmetric else self._plan.u8(key)

    def _operation(self, node: fx.Node) -> Any:
        return operation_of(node, self._modules)

    def _kind(self, node: fx.Node) -> Kind | None:
        return kind_of(self._operation(node))
