"""One contract over every entry of MODELS: shapes, input multiples, rebuilding from JSON, names."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgeseg.runtime.errors import ConfigError, FrameError
from edgeseg.train.models import MODELS, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.lite_encoder import LITE0, PUBLISHED_BN_EPS, round_channels
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCHS: dict[str, dict[str, Any]] = {
    "unet-transposed": unet_arch(1, 3, base=8, depth=4),
    "unet-bilinear-rgb": unet_arch(3, 2, base=8, depth=3, upsampling="bilinear"),
    "lite_unet": lite_unet_arch(1, 3, width=0.25, depth=0.5, decoder=(16, 8, 8, 8)),
    "efficient_unet": efficient_unet_arch(1, 3, width=0.5, depth=0.5),
    "efficient_unet-published": efficient_unet_arch(1, 3, width=0.25, depth=0.34) | {"bn_eps": PUBLISHED_BN_EPS},
    "efficient_unet-short-rgb-binary": efficient_unet_arch(3, 1, width=0.25, depth=1.0, stages=5),
}


@pytest.fixture(params=ARCHS, ids=str)
def arch(request: pytest.FixtureRequest) -> dict[str, Any]:
    return copy.deepcopy(ARCHS[request.param])


def _image(arch: dict[str, Any], height: int, width: int, n: int = 2) -> torch.Tensor:
    return torch.rand((n, arch["in_channels"], height, width), generator=torch.Generator().manual_seed(0))


def test_every_model_is_tested() -> None:
    assert {arch["name"] for arch in ARCHS.values()} == set(MODELS)


def test_shapes(arch: dict[str, Any]) -> None:
    model = build_model(arch).eval()
    height, width = 2 * model.stride, 3 * model.stride
    with torch.no_grad():
        logits = model(_image(arch, height, width))
    assert logits.shape == (2, arch["n_outputs"], height // model.output_stride, width // model.output_stride)
    assert logits.dtype == torch.float32
    assert model.n_outputs == arch["n_outputs"]


def test_strides() -> None:
    assert build_model(unet_arch(1, 3, base=8)).stride == 16
    assert build_model(unet_arch(1, 3, base=8)).output_stride == 1
    for stages, stride in ((5, 16), (6, 32), (7, 32)):
        model = build_model(efficient_unet_arch(1, 3, width=0.25, stages=stages))
        assert (model.stride, model.output_stride) == (stride, 2)


@pytest.mark.parametrize("grow", [(1, 0), (0, 1), (-1, -1)])
def test_other_sizes_are_refused_with_the_size_that_works(arch: dict[str, Any], grow: tuple[int, int]) -> None:
    model = build_model(arch).eval()
    height, width = 2 * model.stride + grow[0], 2 * model.stride + grow[1]
    up = [-(-size // model.stride) * model.stride for size in (height, width)]
    with pytest.raises(FrameError, match=rf"{height}x{width}.*multiples of {model.stride}.*{up[0]}x{up[1]}"):
        model(_image(arch, height, width))


def test_rebuilt_from_json_it_gives_equal_outputs(arch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(arch).eval()
    text = json.dumps(model.arch)
    assert json.loads(text) == arch
    twin = build_model(json.loads(text)).eval()
    twin.load_state_dict(model.state_dict())
    image = _image(arch, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(image), twin(image))


def test_arch_is_not_shared_with_the_model(arch: dict[str, Any]) -> None:
    model = build_model(arch)
    arch["n_outputs"] = 77
    assert model.arch["n_outputs"] != 77


def test_gradients_reach_every_parameter(arch: dict[str, Any]) -> None:
    model = build_model(arch).train()
    model(_image(arch, 64, 64)).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias-free network ends in batch norms whose shift may be zero by chance only in dead ReLUs; none may be cut off.
    assert [name for name in idle if "weight" in name and "bn" not in name] == []


def test_each_image_is_answered_on_its_own(arch: dict[str, Any]) -> None:
    model = build_model(arch).eval()
    images = _image(arch, 64, 64, n=3)
    with torch.no_grad():
        assert torch.allclose(model(images)[1:2], model(images[1:2]), atol=1e-5)


def test_the_teacher_has_the_stated_size() -> None:
    n_params = sum(p.numel() for p in build_model(unet_arch(1, 3)).parameters())
    assert n_params == pytest.approx(7.76e6, rel=0.005)


def test_the_pretrained_teacher_has_the_stated_size() -> None:
    model = build_model(lite_unet_arch(1, 3))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(6.0e6, rel=0.01)
    assert (model.stride, model.output_stride) == (32, 2)


@pytest.mark.parametrize("name", ["lite_unet", "efficient_unet-published"])
def test_the_encoder_normalises_as_its_json_says_and_the_decoder_as_torch_does(name: str) -> None:
    norms = {n: m.eps for n, m in build_model(ARCHS[name]).named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {eps for n, eps in norms.items() if not n.startswith("decoder")} == {1e-3}
    assert {eps for n, eps in norms.items() if n.startswith("decoder")} == {1e-5}


def test_the_student_is_of_the_lite_kind() -> None:
    model = build_model(efficient_unet_arch(3, 3))
    activations = {type(m).__name__ for m in model.modules() if "ReLU" in type(m).__name__ or "Si" in type(m).__name__}
    assert activations == {"ReLU6"}
    assert not [name for name, _ in model.named_modules() if ".se" in name], "no squeeze-excite"


def _timm_names() -> set[str]:
    """Parameter names of timm's tf_efficientnet_lite0 up to the last stage, written down from its block definitions."""
    names = {"conv_stem.weight"} | {f"bn1.{kind}" for kind in ("weight", "bias")}
    for stage, (expansion, _, repeats, _, _) in enumerate(LITE0):
        layers = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
        if expansion != 1:
            layers = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
        for repeat in range(repeats):
            for conv, norm in layers:
                block = f"blocks.{stage}.{repeat}"
                names |= {f"{block}.{conv}.weight", f"{block}.{norm}.weight", f"{block}.{norm}.bias"}
    return names


def test_encoder_names_equal_timm() -> None:
    model = build_model(efficient_unet_arch(3, 3))
    own = {name for name, _ in model.named_parameters() if not name.startswith(("decoder", "head"))}
    assert own == _timm_names()
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["conv_stem.weight"] == (32, 3, 3, 3)
    assert shapes["blocks.0.0.conv_dw.weight"] == (32, 1, 3, 3)
    assert shapes["blocks.2.0.conv_dw.weight"] == (144, 1, 5, 5)
    assert shapes["blocks.6.0.conv_pwl.weight"] == (320, 1152, 1, 1)


def test_unknown_name_and_missing_width_are_told() -> None:
    with pytest.raises(ConfigError, match=r"'resnet' is unknown; known are unet, lite_unet, efficient_unet"):
        build_model({"name": "resnet"})
    cut = unet_arch(1, 3, base=8)
    del cut["up"]
    with pytest.raises(ConfigError, match="lacks the key 'up'"):
        build_model(cut)


@given(st.floats(1, 2000))
def test_rounded_channels(channels: float) -> None:
    rounded = round_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * channels
    assert rounded <= max(8, channels + 8)


@settings(max_examples=15, deadline=None)
@given(
    width=st.sampled_from((0.25, 0.35, 0.5, 0.75)), depth=st.sampled_from((0.34, 0.5, 1.0)), stages=st.integers(5, 7)
)
def test_any_student_works_and_tells_its_arch(width: float, depth: float, stages: int) -> None:
    arch = efficient_unet_arch(1, 2, width=width, depth=depth, stages=stages)
    model = build_model(arch).eval()
    assert model.arch == arch
    assert all(m.out_channels % 8 == 0 for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and n != "head")
    with torch.no_grad():
        assert model(torch.rand(1, 1, model.stride, model.stride)).shape[-1] == model.stride // 2


@settings(max_examples=10, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=12, max_size=12), upsampling=st.sampled_from(("transposed", "bilinear"))
)
def test_a_unet_of_any_widths_is_rebuilt(widths: list[int], upsampling: str) -> None:
    """Pruning leaves odd widths everywhere; the JSON must carry each of them."""
    arch = {
        "name": "unet", "in_channels": 1, "n_outputs": 2, "upsampling": upsampling,
        "encoder": [widths[0:2], widths[2:4], widths[4:6]], "up": widths[6:8], "decoder": [widths[8:10], widths[10:12]],
    }  # fmt: skip
    model = build_model(arch).eval()
    assert model.arch == arch
    assert build_model(model.arch).state_dict().keys() == model.state_dict().keys()
    with torch.no_grad():
        assert model(torch.rand(1, 1, 8, 12)).shape == (1, 2, 8, 12)
