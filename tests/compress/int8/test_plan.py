"""The plan: scales from ranges, which operations share one, degenerate ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.plan import MAX_BIAS, Plan, make_plan, weight_scale
from edgeseg.runtime.errors import ConfigError, ExportError


def plan_of(**values: tuple[float, float]) -> Plan:
    return Plan(Ranges({key.replace("__", "."): pair for key, pair in values.items()}, "minmax", 8))


def test_one_range_gives_each_target_its_scale():
    plan = plan_of(act=(0.0, 6.0), linear=(-4.0, 2.0))
    assert (plan.u8("act").scale, plan.u8("act").zero_point) == (pytest.approx(6 / 255), 0)
    assert (plan.s8("act").scale, plan.s8("act").zero_point) == (plan.u8("act").scale, -128)
    assert (plan.s8_symmetric("act").scale, plan.s8_symmetric("act").zero_point) == (pytest.approx(6 / 127), 0)
    assert plan.u8("linear").zero_point == 170
    assert plan.s8_symmetric("linear").scale == pytest.approx(4 / 127)


@pytest.mark.parametrize("pair", [(0.0, 0.0), (1e-9, 1e-9), (-1e-12, 0.0)])
def test_a_dead_operation_gets_a_harmless_scale(pair):
    affine = plan_of(dead=pair).u8("dead")
    assert affine.scale == pytest.approx(1 / 255) and affine.zero_point == 0


@pytest.mark.parametrize(("pair", "zero_point"), [((3.0, 3.0), 0), ((-3.0, -3.0), 255)])
def test_a_constant_operation_can_say_its_value_and_zero(pair, zero_point):
    affine = plan_of(constant=pair).u8("constant")
    assert affine.zero_point == zero_point
    quantised = round(pair[0] / affine.scale) + affine.zero_point
    assert (quantised - affine.zero_point) * affine.scale == pytest.approx(pair[0])


@given(st.floats(-1e5, 1e5, width=32), st.floats(-1e5, 1e5, width=32))
def test_zero_is_exact_and_the_ends_are_within_a_step(a, b):
    plan = plan_of(x=(min(a, b), max(a, b)))
    affine = plan.u8("x")
    assert 0 <= affine.zero_point <= 255 and affine.scale > 0
    low, high = plan.range_of("x")
    assert low <= 0 <= high
    assert -affine.zero_point * affine.scale == pytest.approx(low, abs=0.51 * affine.scale)
    assert (255 - affine.zero_point) * affine.scale == pytest.approx(high, abs=0.51 * affine.scale)


def test_an_uncalibrated_operation_is_refused():
    with pytest.raises(ExportError, match="other has no calibrated range"):
        plan_of(act=(0.0, 1.0)).u8("other")


class Decoder(nn.Module):
    """relu6 -> upsample -> concatenation with a linear skip that another convolution reads as well."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Conv2d(1, 2, 1)
        self.deep = nn.Conv2d(2, 2, 2, stride=2)
        self.act = nn.ReLU6()
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x)
        up = interpolate(self.act(self.deep(skip)), scale_factor=2.0, mode="bilinear")
        return self.head(torch.cat([up, skip], dim=1))


def decoder_plan(skip: tuple[float, float], act: tuple[float, float]) -> Plan:
    both = (min(skip[0], act[0]), max(skip[1], act[1]))
    values = {"image": (0.0, 255.0), "skip": skip, "deep": (-9.0, 9.0), "act": act, "interpolate": act, "cat": both}
    return make_plan(Decoder(), Ranges({**values, "head": (-1.0, 1.0)}, "minmax", 8))


def test_upsampling_keeps_the_scale_of_its_input():
    plan = decoder_plan((-8.0, 8.0), (0.0, 6.0))
    assert plan.u8("interpolate") == plan.u8("act")


def test_a_linear_skip_shares_the_scale_of_the_concatenation():
    plan = decoder_plan((-8.0, 8.0), (0.0, 6.0))
    assert plan.u8("skip") == plan.u8("cat")
    # The ReLU6 must not be widened below 0: integers would no longer clamp for it.
    assert plan.u8("act").zero_point == 0 and plan.u8("act").scale == pytest.approx(6 / 255)


def test_a_narrow_skip_that_others_read_keeps_its_own_scale():
    plan = decoder_plan((-0.5, 0.5), (0.0, 6.0))
    assert plan.u8("skip").scale == pytest.approx(1 / 255)
    assert plan.u8("cat").scale == pytest.approx(6.5 / 255)


def test_positive_parts_share_one_scale_throughout():
    plan = decoder_plan((0.0, 5.0), (0.0, 6.0))
    assert len({plan.u8(key) for key in ("skip", "act", "interpolate", "cat")}) == 1


def test_float_paths_cover_what_is_below():
    plan = make_plan(Decoder(), decoder_plan((-8.0, 8.0), (0.0, 6.0)).ranges, ("head",))
    assert plan.is_float("head") and plan.is_float("head.conv") and plan.is_float("head#1")
    assert not plan.is_float("header") and not plan.is_float("skip")


def test_wrong_plans_are_refused():
    ranges = decoder_plan((-8.0, 8.0), (0.0, 6.0)).ranges
    with pytest.raises(ConfigError, match="'tail' names no operation"):
        make_plan(Decoder(), ranges, ("tail",))
    with pytest.raises(ExportError, match="has no calibrated range"):
        make_plan(Decoder(), Ranges({"image": (0.0, 255.0)}, "minmax", 8))


def test_weight_scales_are_per_channel_and_leave_room_for_the_bias():
    weight = np.array([[1.27, -0.5], [0.0, 0.0], [1e-12, 0.0]], np.float32)[:, :, None, None]
    bias = np.array([0.0, 5.0, 5.0], np.float32)
    scale = weight_scale(weight, bias, 0.02, axis=0)
    assert scale[0] == pytest.approx(0.01)
    assert (scale > 0).all()
    assert (np.abs(bias) / (0.02 * scale.astype(np.float64)) <= MAX_BIAS * 1.01).all()
    assert weight_scale(np.zeros((4, 2, 3, 3), np.float32), None, 0.02, axis=1).shape == (2,)
