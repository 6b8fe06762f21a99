"""Kinds of operations: what the latency table, the plan and the doctor all go by."""

from __future__ import annotations

import math

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.compress.graph.kinds import clamp_limit, is_depthwise, kind_of, operation_of
from edgeseg.compress.graph.trace import trace


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.act = nn.ReLU6()

    def forward(self, add: Tensor) -> Tensor:
        return F.max_pool2d(self.act(self.deep(add)).add(add) + add, 2)


def test_modules_functions_and_methods_have_kinds_and_the_rest_none():
    """The input is named as a method is, and is no layer all the same."""
    traced = trace(Mixed())
    kinds = [kind_of(operation_of(node, dict(traced.named_modules()))) for node in traced.graph.nodes]
    assert kinds == [None, "depthwise", None, "add", "add", "pool", None]


@pytest.mark.parametrize(
    ("conv", "expected"),
    [
        (nn.Conv2d(1, 1, 1), False),  # of one channel there is nothing to tell apart
        (nn.Conv2d(4, 4, 1, groups=2), False),
        (nn.Conv2d(4, 8, 1, groups=4), False),
        (nn.ConvTranspose2d(4, 4, 1, groups=4), False),
        (nn.Conv2d(4, 4, 1, groups=4), True),
    ],
)
def test_depthwise_is_one_kernel_for_each_channel(conv: nn.Module, expected: bool):
    assert is_depthwise(conv) is expected


def test_a_clamp_says_the_largest_value_it_returns():
    found = [clamp_limit(what) for what in (nn.ReLU(), F.relu, nn.ReLU6(), F.relu6, nn.Conv2d(1, 1, 1), None)]
    assert found == [math.inf, math.inf, 6.0, 6.0, None, None]
