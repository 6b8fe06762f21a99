"""Published weights become our encoder's: every tensor, the same features, once, whatever becomes of the cache."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from edgeseg.runtime.errors import ConfigError, TrainingError
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.lite_encoder import LITE0, PUBLISHED_BN_EPS
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.pretrained import weights as room
from edgeseg.train.pretrained.published import PUBLISHED, published_file
from edgeseg.train.pretrained.weights import Weights, file_weights, published_weights, take_weights


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeseg" / "weights"


def _arch(channels: int, name: str) -> dict[str, Any]:
    one = PUBLISHED[name]
    return efficient_unet_arch(channels, 3, width=one.width, depth=one.depth) | {"bn_eps": PUBLISHED_BN_EPS}


def _published_state(name: str) -> dict[str, Tensor]:
    return torch.load(published_file(PUBLISHED[name]), weights_only=True)


@pytest.mark.parametrize(
    ("arch", "name", "count"),
    [
        (_arch(1, "lite0"), "lite0", 240),
        (_arch(3, "lite0"), "lite0", 240),
        (_arch(3, "lite1"), "lite1", 315),
        (_arch(1, "lite2"), "lite2", 315),
        (lite_unet_arch(1, 3), "lite2", 315),
        (lite_unet_arch(3, 1, width=1.0, depth=1.0), "lite0", 240),
    ],
    ids=["gray", "rgb", "lite1", "lite2", "teacher", "small teacher"],
)
def test_every_tensor_of_the_encoder_is_taken(arch: dict[str, Any], name: str, count: int) -> None:
    model = build_model(arch)
    fresh = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert take_weights(model, published_weights(name)) == count
    rest = {key for key in fresh if key.startswith(("decoder", "head")) or key.endswith("num_batches_tracked")}
    assert len(fresh) - len(rest) == count
    assert all(torch.equal(fresh[key], model.state_dict()[key]) for key in rest)


def test_a_block_has_the_published_weights_of_its_number() -> None:
    tensors, state = published_weights("lite0").tensors, _published_state("lite0")
    assert torch.equal(tensors["blocks.0.0.conv_pw.weight"], state["_blocks.0._project_conv.weight"])
    assert torch.equal(tensors["blocks.2.1.conv_dw.weight"], state["_blocks.4._depthwise_conv.weight"])
    assert torch.equal(tensors["blocks.6.0.bn3.running_var"], state["_blocks.15._bn2.running_var"])


def _norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{kind}"].double() for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_away_from_the_rim_features_equal_the_published_networks(channels: int) -> None:
    """Stem and the first block, built by hand from the published tensors for (255 x - 127) / 128, at an odd size."""
    image = torch.rand(1, channels, 65, 65, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state = _published_state("lite0")
    z = (255 * image.expand(1, 3, 65, 65) - 127) / 128
    z = F.conv2d(z, state["_conv_stem.weight"].double(), stride=2, padding=1)
    expected = F.relu6(_norm(z, state, "_bn0"))
    block = F.conv2d(expected, state["_blocks.0._depthwise_conv.weight"].double(), padding=1, groups=32)
    block = F.relu6(_norm(block, state, "_blocks.0._bn1"))
    block = _norm(F.conv2d(block, state["_blocks.0._project_conv.weight"].double()), state, "_blocks.0._bn2")
    model = build_model(_arch(channels, "lite0"))
    take_weights(model, published_weights("lite0"))
    model = model.double().eval()
    with torch.no_grad():
        stem = model.act1(model.bn1(model.conv_stem(image)))
        first = model.blocks[0](stem)
    inner = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(stem[inner], expected[inner], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(first[inner], block[inner], atol=2e-4, rtol=1e-5)


def _published_blocks(x: Tensor, name: str) -> Tensor:
    """All blocks behind the stem, built by hand from the published names, padded on all sides alike."""
    state = {key: tensor.double() for key, tensor in _published_state(name).items()}
    number = 0
    for _, _, repeats, stride, kernel in LITE0:
        count = repeats if repeats == 1 else math.ceil(repeats * PUBLISHED[name].depth)
        for place in range(count):
            path, y = f"_blocks.{number}", x
            if f"{path}._expand_conv.weight" in state:
                y = F.relu6(_norm(F.conv2d(y, state[f"{path}._expand_conv.weight"]), state, f"{path}._bn0"))
            step, depthwise = stride if place == 0 else 1, state[f"{path}._depthwise_conv.weight"]
            y = F.conv2d(y, depthwise, stride=step, padding=kernel // 2, groups=len(depthwise))
            y = F.relu6(_norm(y, state, f"{path}._bn1"))
            y = _norm(F.conv2d(y, state[f"{path}._project_conv.weight"]), state, f"{path}._bn2")
            x = x + y if place else y
            number += 1
    return x


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_every_block_computes_what_the_published_one_does(name: str) -> None:
    model = build_model(_arch(3, name))
    take_weights(model, published_weights(name))
    model = model.double().eval()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stem = model.act1(model.bn1(model.conv_stem(image)))
        expected = _published_blocks(stem, name)
        torch.testing.assert_close(model.encode(image)[0], expected, atol=1e-9, rtol=1e-9)
    assert expected.std() > 0.1


def test_at_even_sizes_the_stem_sees_its_input_one_pixel_up_and_left() -> None:
    """TensorFlow pads such an input at stride 2 below and to the right alone."""
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = _published_state("lite0")["_conv_stem.weight"].double()
    expected = F.conv2d(F.pad((255 * image - 127) / 128, (0, 1, 0, 1)), weight, stride=2)
    expected = F.relu6(_norm(expected, _published_state("lite0"), "_bn0"))
    model = build_model(_arch(3, "lite0"))
    take_weights(model, published_weights("lite0"))
    model = model.double().eval()
    with torch.no_grad():
        found = model.act1(model.bn1(model.conv_stem(image.roll((1, 1), (2, 3)))))
    torch.testing.assert_close(found[..., 2:-1, 2:-1], expected[..., 1:-2, 1:-2], atol=2e-5, rtol=1e-5)


def test_converted_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = published_weights("lite0").tensors
    monkeypatch.setattr("sys.path", [])  # the package is gone
    again = published_weights("lite0").tensors
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
    (cache / "lite0.safetensors").unlink()
    with pytest.raises(ConfigError, match="not installed"):
        published_weights("lite0")


@pytest.mark.parametrize("damage", ["byte", "cut", "no json", "other source", "other conversion"])
def test_a_damaged_or_outdated_cache_is_made_anew(damage: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = published_weights("lite0").tensors
    file, said = cache / "lite0.safetensors", cache / "lite0.json"
    content = file.read_bytes()
    if damage == "byte":
        file.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "no json":
        said.unlink()
    elif damage == "other source":
        said.write_text(said.read_text().replace(PUBLISHED["lite0"].sha256, "0" * 64))
    else:
        monkeypatch.setattr(room, "CONVERSION", room.CONVERSION + 1)
    again = published_weights("lite0").tensors
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert file.read_bytes() == content
    assert PUBLISHED["lite0"].sha256 in said.read_text()


def test_a_home_that_cannot_be_written_to_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(published_weights("lite0").tensors) == 240


# --- the user's own file ------------------------------------------------------------------------------------------


def _small(channels: int = 1, outputs: int = 2) -> Any:
    return build_model(efficient_unet_arch(channels, outputs, width=0.25, depth=0.34))


def test_a_checkpoint_gives_all_that_fits_and_its_epsilon(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = build_model(_small().arch | {"bn_eps": PUBLISHED_BN_EPS})
    save_checkpoint(tmp_path, before, {})
    after = _small(outputs=5)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        weights = file_weights(path)
        assert weights.bn_eps == PUBLISHED_BN_EPS
        assert take_weights(after, weights) == len(before.state_dict()) - 2, "all but the head, which has other classes"
    assert torch.equal(after.decoder[0].reduce.weight, before.decoder[0].reduce.weight)


def test_a_file_with_timms_classifier_is_scaled_from_its_inputs(tmp_path: Path) -> None:
    timm = build_model(efficient_unet_arch(3, 2, width=0.25, depth=0.34) | {"bn_eps": PUBLISHED_BN_EPS}).eval()
    state = {name: tensor for name, tensor in timm.state_dict().items() if not name.startswith(("decoder", "head"))}
    save_file({**state, "conv_head.weight": torch.zeros(1280, 80, 1, 1)}, tmp_path / "timm.safetensors")
    weights = file_weights(tmp_path / "timm.safetensors")
    gray = build_model(_small().arch | {"bn_eps": weights.bn_eps}).eval()
    assert take_weights(gray, weights) == len(state)
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        expected = timm.bn1(timm.conv_stem(2 * image.expand(1, 3, 32, 32) - 1))
        found = gray.bn1(gray.conv_stem(image))
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=1e-5)


def test_unfit_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(TrainingError, match="no readable safetensors file"):
        file_weights(tmp_path / "text")
    save_file({"conv_head.weight": torch.zeros(1)}, tmp_path / "half")
    with pytest.raises(TrainingError, match=r"lacks bn1.running_mean, conv_stem.weight"):
        file_weights(tmp_path / "half")
    with pytest.raises(TrainingError, match="no encoder among the 1 tensors"):
        take_weights(_small(), Weights({"other": torch.zeros(1)}, 1e-5))


def test_an_encoder_that_fits_in_part_is_refused() -> None:
    weights = dict(_small().state_dict())
    name = next(name for name in weights if name.startswith("blocks.") and name.endswith("conv_pw.weight"))
    weights[name] = weights[name][:-1]
    with pytest.raises(TrainingError, match=rf"1 tensors to start from have another shape .*such as {name}"):
        take_weights(_small(), Weights(weights, 1e-5))


def test_a_pickle_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"w": Trap()}, tmp_path / "net.pt")
    with pytest.raises(TrainingError, match=r"it is a PyTorch file .*pickles are never unpickled here"):
        file_weights(tmp_path / "net.pt")
    assert not (tmp_path / "ran").exists()
