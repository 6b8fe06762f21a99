"""Batch norm folded into the convolution before it: the network that is calibrated, exported and shipped.

Reference:
    Jacob et al. 2018, arXiv:1712.05877, section 3.2 (equation 14).
"""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from edgeseg.compress.graph.trace import trace
from edgeseg.runtime.errors import ExportError


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Fold every batch norm into the convolution that feeds it.

    Args:
        model: A traceable network. Not modified.

    Returns:
        A copy in evaluation mode on the CPU with the same module paths; each folded batch norm is an `nn.Identity`, and
        no activation works in place, so every operation's result can be looked at.

    Raises:
        ExportError: If a batch norm cannot be folded, or the network cannot be traced.
    """
    folded = copy.deepcopy(model).cpu().eval()
    for module in folded.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    modules = dict(folded.named_modules())
    for node in trace(folded).graph.nodes:
        if node.op == "call_module" and isinstance(modules[node.target], nn.BatchNorm2d):
            _fold(node, modules)
            parent, _, name = node.target.rpartition(".")
            setattr(modules[parent], name, nn.Identity())
    return folded


def _fold(node: fx.Node, modules: dict[str, nn.Module]) -> None:
    norm = modules[str(node.target)]
    source = node.args[0]
    assert isinstance(source, fx.Node) and isinstance(norm, nn.BatchNorm2d)
    conv = modules.get(str(source.target)) if source.op == "call_module" else None
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) or len(source.users) != 1:
        raise ExportError(
            f"batch norm {node.target} follows {source.target} ({source.op}), used {len(source.users)} times; "
            "only a batch norm right after a convolution of its own can be folded. Reorder the layers."
        )
    if norm.running_mean is None or norm.running_var is None:
        raise ExportError(f"batch norm {node.target} tracks no running statistics. Train with track_running_stats.")
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
