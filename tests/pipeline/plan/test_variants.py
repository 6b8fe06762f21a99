"""The table of formats agrees with what its writers do and with the table of engines."""

from __future__ import annotations

from typing import get_args

import pytest

from edgeseg.export.formats import FORMATS, format_of_engine
from edgeseg.export.onnx.placement import s8_tensorrt, u8s8_x86
from edgeseg.pipeline.plan.variants import REFERENCE_FILES, VARIANTS, shipped_as
from edgeseg.pipeline.recipe.sections.export import Also
from edgeseg.runtime.engines import ENGINES, TARGETS, engine_of_suffix


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_run_by_the_engine_of_its_suffix(name: str) -> None:
    found = engine_of_suffix(FORMATS[name].suffix)
    assert found is not None and found.name == FORMATS[name].engine


def test_depthwise_steps_are_those_of_the_placements() -> None:
    assert FORMATS["onnx"].depthwise_step == u8s8_x86().depthwise_step
    assert FORMATS["onnx-s8"].depthwise_step == s8_tensorrt().depthwise_step
    assert FORMATS["tflite"].depthwise_step == 1


@pytest.mark.parametrize("engine", [name for name, engine in ENGINES.items() if not engine.needs_gpu])
def test_every_engine_is_given_a_format_it_reads(engine: str) -> None:
    assert FORMATS[format_of_engine(engine)].suffix in ENGINES[engine].suffixes


def test_every_variant_is_of_a_known_format_that_its_engine_reads() -> None:
    steps = [one.step for one in VARIANTS]
    assert len({*steps, *(one.name for one in VARIANTS)}) == 2 * len(VARIANTS), "names are told apart"
    for one in VARIANTS:
        assert FORMATS[one.format].suffix in one.engine.suffixes
        assert one.parent in steps or one.precision == "fp32"
        assert one.precision == "fp32" or one.precision in FORMATS[one.format].writers
        # Another engine's format is never written a second time: its file is taken.
        assert (FORMATS[one.format].engine == one.engine.name) == (one.same_as is None)
        assert one.same_as is None or one.same_as in steps[: steps.index(one.step)]


def test_what_a_recipe_can_ask_for_is_in_the_table_and_is_no_parent_of_another() -> None:
    optional = [one for one in VARIANTS if one.optional]
    assert {one.name for one in optional} == set(get_args(Also))
    assert not {one.step for one in optional} & {step for one in VARIANTS for step in (one.parent, one.same_as)}


def test_every_target_has_both_precisions_and_the_references_file() -> None:
    for target in TARGETS:
        assert shipped_as(target, "fp32").engine is shipped_as(target, "int8").engine
    assert set(REFERENCE_FILES) == set(TARGETS)


def test_u8s8_needs_vnni_in_the_engine_that_saturates_without() -> None:
    needs = {one.name: one.needs for one in VARIANTS if one.needs}
    assert needs == {"openvino-int8": ("vnni",)}
