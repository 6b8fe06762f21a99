"""The networks, each rebuilt exactly from its architecture JSON."""

from __future__ import annotations

from typing import Any, cast

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models.efficient_unet import EfficientUNet
from edgeseg.train.models.lite_unet import LiteUNet
from edgeseg.train.models.net import SegmentationNet
from edgeseg.train.models.unet import UNet

__all__ = ["MODELS", "EfficientUNet", "LiteUNet", "SegmentationNet", "UNet", "build_model"]

MODELS: dict[str, type[UNet] | type[LiteUNet] | type[EfficientUNet]] = {
    "unet": UNet,
    "lite_unet": LiteUNet,
    "efficient_unet": EfficientUNet,
}


def build_model(arch: dict[str, Any]) -> SegmentationNet:
    """Build the network that an architecture JSON describes, with fresh weights.

    Args:
        arch: A JSON object with `name` (a key of `MODELS`) and every channel width, as in `model.arch`.

    Returns:
        The network, in training mode; `model.arch` equals `arch`.

    Raises:
        ConfigError: If the name is unknown or a width is missing.
    """
    name = arch.get("name")
    if name not in MODELS:
        raise ConfigError(f"architecture {name!r} is unknown; known are {', '.join(MODELS)}")
    try:
        return MODELS[cast(str, name)].from_arch(arch)
    except KeyError as err:
        raise ConfigError(f"architecture {name!r} lacks the key {err}; was the JSON cut or edited?") from err
