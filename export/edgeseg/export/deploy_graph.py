"""The network as it is shipped: raw pixels in, low-resolution scores out, nothing added to it.

The division by 255 is folded into the first convolution (exact, since zero padding stays zero), batch norm into the
convolutions. What remains of pre-processing is the change of layout, which for gray images moves no value.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from edgeseg.compress.graph.trace import trace
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.runtime.errors import ExportError

Layout = Literal["NHWC", "NCHW"]


class DeployGraph(nn.Module):
    """Pixels, uint8 (N, H, W, C), to scores (logits), float32, at the network's output stride.

    Args:
        model: A network of `train.models`, or anything like it (attributes `stride`, `output_stride`, `n_outputs`).
            Not modified.
        layout: Axes of the scores: NCHW planes, or NHWC as TFLite computes.

    Attributes:
        net: The folded network; eats pixels in 0..255 as float32 NCHW.
        channels: Colour channels of the input.
        stride: Multiple that H and W must be.
        output_stride: Input pixels per score.
        n_outputs: Score planes.

    Raises:
        ExportError: If the network cannot be traced or folded.
    """

    def __init__(self, model: nn.Module, layout: Layout = "NCHW") -> None:
        super().__init__()
        for name in ("stride", "output_stride", "n_outputs"):
            if not isinstance(getattr(model, name, None), int):
                raise ExportError(f"{type(model).__name__} has no whole number `{name}`; every network must say it.")
        facts = cast(Any, model)
        self.stride: int = facts.stride
        self.output_stride: int = facts.output_stride
        self.n_outputs: int = facts.n_outputs
        self.layout = layout
        self.net = fold_batch_norm(model)
        self.channels = _fold_scaling(self.net)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Scores of `image`: (N, K, H / s, W / s) for NCHW, (N, H / s, W / s, K) for NHWC."""
        if self.layout == "NHWC":  # TFLite computes in NHWC; its converter cancels a permutation, not a reshape
            scores: Tensor = self.net(image.permute(0, 3, 1, 2).to(torch.float32))
            return scores.permute(0, 2, 3, 1)
        # First to float: TensorRT moves no uint8 values. One channel: both layouts hold the same bytes, so a reshape
        # does what a transpose would.
        x = image.to(torch.float32)
        scores = self.net(x.squeeze(3).unsqueeze(1) if self.channels == 1 else x.permute(0, 3, 1, 2))
        return scores


def _fold_scaling(net: nn.Module) -> int:
    """Divide the weights of every convolution that reads the input by 255; return its channels."""
    graph = trace(net).graph
    modules = dict(net.named_modules())
    entry = next(node for node in graph.nodes if node.op == "placeholder")
    convs: list[nn.Conv2d] = []
    for reader in entry.users:
        if reader.target in (getattr, "size"):
            continue  # looks at the shape, not at the pixels
        conv = modules.get(str(reader.target)) if reader.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
            raise ExportError(
                f"the image is read by {reader.target} ({reader.op}), not by a zero-padded convolution, "
                "so the scaling by 1/255 cannot be folded. Let a convolution come first."
            )
        convs.append(conv)
    if not convs:
        raise ExportError(f"{type(net).__name__} does not use its input.")
    with torch.no_grad():
        for conv in dict.fromkeys(convs):
            conv.weight.div_(255)
    return convs[0].in_channels
