"""The step `reference`: the plain U-Net that all costs are compared with, built and never trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeseg.compress.cost import cost
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.sections.reference import ReferenceSection
from edgeseg.pipeline.steps.architecture import network_ends
from edgeseg.pipeline.steps.data import open_data
from edgeseg.runtime.data.dataset import read_image
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.unet import unet_arch


def run_reference(context: StepContext) -> dict[str, Any]:
    """Build it with seeded weights; MACs are stated for what the engine is given of the frame that is timed."""
    data = open_data(context)
    channels, outputs = network_ends(context, data)
    model = build_reference(context.section("reference", ReferenceSection), channels, outputs)
    spec = InputSpec(data.color, context.section("geometry", Geometry), int(model.stride), window=data.window)  # type: ignore[call-overload]
    sample = min(data.split("test"), key=lambda one: one.stem)
    height, width = prepare(read_image(sample.image, data.color, data.window), spec).tensor.shape[1:3]
    figures = cost(model, (1, channels, height, width))
    result = {"params": figures.params, "macs": figures.macs, "macs_at": [height, width]}
    meta = {"classes": list(data.classes), "color": data.color, "step": context.step.name, "trained": False}
    save_checkpoint(context.folder.files, model, meta | result)
    return result


def build_reference(section: ReferenceSection, channels: int, outputs: int) -> SegmentationNet:
    """The network, of the same weights in every run; it answers background on every pixel.

    The time of post-processing is all that depends on the weights, and for such a mask it is the least there is. So no
    speed-up is flattered by what a random network happens to see.

    Args:
        section: Its size.
        channels: 1 for gray, 3 for RGB.
        outputs: Logit planes; of one plane a negative logit is background.
    """
    torch.manual_seed(0)
    model = build_model(
        unet_arch(channels, outputs, base=section.base, depth=section.depth, upsampling=section.upsampling)
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # at zero all biases would be equal, and exporters store those once
            nn.init.normal_(module.bias, std=0.01)
    bias = torch.full((outputs,), -1.0)  # far from what untrained layers add to it, some hundredths
    if outputs > 1:
        bias[0] = 1.0
    with torch.no_grad():
        model.head.bias.copy_(bias)  # type: ignore[union-attr,operator]
    return model.eval()
