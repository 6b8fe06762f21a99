"""The student that is trained is the one the recipe names."""

from __future__ import annotations

from edgeseg.pipeline.recipe.sections.student import OUTPUT_STRIDES, StudentSection
from edgeseg.pipeline.steps.architecture import student_arch
from edgeseg.train.models import build_model, efficient_unet


def test_output_stride_and_decoder_width_reach_the_network() -> None:
    model = build_model(student_arch(StudentSection(width=0.5, output_stride=8, decoder_width=0.25), 1, 3))
    assert model.output_stride == 8
    assert [level["out"] for level in model.arch["decoder"]] == [24, 16]
    plain = student_arch(StudentSection(width=0.5), 1, 3)
    assert plain == efficient_unet.efficient_unet_arch(1, 3, width=0.5)
    assert model.arch["blocks"] == plain["blocks"]


def test_the_recipe_knows_the_family_s_output_strides() -> None:
    assert OUTPUT_STRIDES == efficient_unet.OUTPUT_STRIDES
    for stride in OUTPUT_STRIDES:  # what the recipe takes can be built, down to the fewest stages
        least = StudentSection(width=0.25, stages=stride.bit_length(), output_stride=stride)
        assert build_model(student_arch(least, 1, 2)).output_stride == stride
