"""Depth: a residual block leaves the identity, the rest keeps its weights, and what is not there is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from edgeseg.compress.search.depth import Depth, further_cuts, parts_gone, shallower, shallower_arch
from edgeseg.compress.search.prune import prune
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import Decoder, efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCH = efficient_unet_arch(1, 3, width=0.25, depth=1.0)
IMAGE = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    found = build_model(ARCH).eval()
    for layer in found.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            layer.weight.data.uniform_(0.5, 1.5)
    return found


@torch.no_grad()
def test_without_a_residual_block_the_network_is_as_with_the_identity_in_its_place(model: Any) -> None:
    identity = copy.deepcopy(model)
    identity.blocks[3][1] = nn.Identity()
    identity.blocks[5][2] = nn.Identity()
    smaller = shallower(model, Depth(frozenset({(3, 1), (5, 2)})))
    assert torch.equal(smaller(IMAGE), identity(IMAGE)) and not torch.equal(smaller(IMAGE), model(IMAGE))
    assert len(smaller.arch["blocks"][3]) == 2 and model.arch == ARCH


@torch.no_grad()
def test_without_the_last_level_the_output_is_coarser_and_the_rest_is_kept(model: Any) -> None:
    smaller = shallower(model, Depth(levels=1))
    assert smaller.output_stride == 4 and smaller.stride == 32 and smaller(IMAGE).shape == (1, 3, 16, 16)
    assert torch.equal(smaller.decoder[2].reduce.weight, model.decoder[2].reduce.weight)
    assert build_model(smaller.arch).output_stride == 4


@pytest.mark.parametrize(("stages", "stride", "levels"), [(1, 32, 4), (2, 16, 3)])
@torch.no_grad()
def test_without_the_last_stages(model: Any, stages: int, stride: int, levels: int) -> None:
    smaller = shallower(model, Depth(stages=stages), seed=1)
    assert (smaller.stride, smaller.output_stride, len(smaller.decoder)) == (stride, 2, levels)
    assert smaller(IMAGE).shape == (1, 3, 32, 32)
    last = model.decoder[-1].merge.conv_pw.weight
    assert torch.equal(smaller.decoder[-1].merge.conv_pw.weight, last)
    again = shallower(model, Depth(stages=stages), seed=1)
    assert torch.equal(smaller.decoder[0].reduce.weight, again.decoder[0].reduce.weight)


@pytest.mark.parametrize("levels", [0, 1])
@torch.no_grad()
def test_without_the_first_stage_the_stem_feeds_the_next(model: Any, levels: int) -> None:
    smaller = shallower(model, Depth(frozenset({(3, 1)}), levels=levels, first=1))
    assert len(smaller.blocks) == 6 and smaller(IMAGE).shape == (1, 3, 32 >> levels, 32 >> levels)
    assert torch.equal(smaller.conv_stem.weight, model.conv_stem.weight)
    first, before = smaller.blocks[0][0], model.blocks[1][0]
    assert first.conv_pw.in_channels == ARCH["stem"] and torch.equal(first.conv_dw.weight, before.conv_dw.weight)
    assert torch.equal(smaller.blocks[2][1].conv_dw.weight, model.blocks[3][2].conv_dw.weight)
    kept = [
        torch.equal(a.merge.conv_pw.weight, b.merge.conv_pw.weight)
        for a, b in zip(smaller.decoder, model.decoder, strict=False)
    ]
    assert kept == [True] * 3 + [False] * (1 - levels)  # the last level joins what the first stage made


@torch.no_grad()
def test_of_a_coarser_student_the_whole_decoder_is_kept_without_the_first_stage() -> None:
    coarse = build_model(efficient_unet_arch(1, 3, width=0.25, decoder=Decoder(output_stride=4))).eval()
    smaller = shallower(coarse, Depth(first=1))
    assert smaller.output_stride == 4 and smaller(IMAGE).shape == (1, 3, 16, 16)
    for a, b in zip(smaller.decoder, coarse.decoder, strict=True):
        assert torch.equal(a.merge.conv_pw.weight, b.merge.conv_pw.weight)
    assert all(cut.levels == 0 for cut in further_cuts(coarse.arch, Depth())), "no search makes it coarser than 4"


def test_every_cut_on_offer_can_be_made_until_none_is_left(model: Any) -> None:
    done, seen = Depth(), 0
    while cuts := further_cuts(ARCH, done):
        assert shallower_arch(ARCH, cuts[-1]) != shallower_arch(ARCH, done)
        done, seen = cuts[-1], seen + 1
    assert done.levels == 1 and done.stages + done.first == 4 and seen > 5
    assert shallower(model, done)(IMAGE).shape[-1] == 16
    assert further_cuts(unet_arch(1, 2), Depth()) == []


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (Depth(frozenset({(1, 0)})), "has no skip"),
        (Depth(stages=7), "no decoder"),
        (Depth(levels=4), "no decoder"),
        (Depth(first=2), "can go"),
    ],
)
def test_what_cannot_go_is_refused(depth: Depth, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        shallower_arch(ARCH, depth)


def test_widths_that_meet_by_chance_make_no_skip() -> None:
    torch.manual_seed(0)
    arch = efficient_unet_arch(1, 2, width=0.75, depth=0.5, stages=5)
    model = build_model(arch).eval()
    assert arch["stem"] == 24 and arch["blocks"][0][0]["out"] == 16
    smaller = prune(model, {"conv_stem": 16}, (32, 32))
    assert not smaller.arch["blocks"][0][0]["skip"] and not smaller.blocks[0][0].skip
    old = copy.deepcopy(arch)
    for block in (block for stage in old["blocks"] for block in stage):
        del block["skip"]  # as the first release wrote it
    assert build_model(old).arch == arch


@pytest.mark.parametrize(
    "depth", [Depth(), Depth(first=1), Depth(frozenset({(3, 2), (4, 1), (4, 2)}), stages=1, levels=1, first=1)]
)
def test_the_parts_gone_are_read_off_the_smaller_network(depth: Depth) -> None:
    thin = efficient_unet_arch(1, 3, width=0.5)
    assert parts_gone(ARCH, shallower_arch(thin, depth)) == depth
    assert parts_gone(unet_arch(1, 2), unet_arch(1, 2, base=8)) == Depth()
