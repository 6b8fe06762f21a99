"""Which networks a recipe means, with their initial weights."""

from __future__ import annotations

from typing import Any

import torch

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.recipe import TrainSection
from edgeseg.pipeline.recipe.sections.student import StudentSection
from edgeseg.pipeline.recipe.sections.teacher import TeacherSection
from edgeseg.pipeline.steps.start import started
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.train.models import SegmentationNet
from edgeseg.train.models.efficient_unet import Decoder, efficient_unet_arch
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.pretrained.published import PUBLISHED


def network_ends(context: StepContext, data: DataSet) -> tuple[int, int]:
    """Input channels and logit planes of a network for this data."""
    return (1 if data.color == "gray" else 3), (1 if context.setting("binary_output") else len(data.classes))


def teacher_arch(section: TeacherSection, in_channels: int, n_outputs: int) -> dict[str, Any]:
    """Architecture JSON of the teacher that a recipe asks for."""
    published = PUBLISHED.get(section.encoder)
    if published is None:
        return unet_arch(in_channels, n_outputs, base=section.base, depth=section.depth, upsampling=section.upsampling)
    return lite_unet_arch(in_channels, n_outputs, width=published.width, depth=published.depth)


def student_arch(section: StudentSection, in_channels: int, n_outputs: int) -> dict[str, Any]:
    """Architecture JSON of the student that a recipe asks for."""
    return efficient_unet_arch(
        in_channels,
        n_outputs,
        width=section.width,
        depth=section.depth,
        stages=section.stages,
        decoder=Decoder(section.decoder_width, section.output_stride),
    )


def seeded_model(context: StepContext, arch: dict[str, Any], seed: int | None = None) -> SegmentationNet:
    """A network whose initial weights depend on a seed, None takes the recipe's, and on what the step starts from."""
    torch.manual_seed(context.section("train", TrainSection).seed if seed is None else seed)
    return started(context, arch)
