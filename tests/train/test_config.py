"""Training configuration: impossible values are refused with the key and the value."""

from __future__ import annotations

from typing import Any

import pytest

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import AugmentConfig, TrainConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("batch_size", -1), ("learning_rate", 0.0), ("validate_every", 0),
        ("threads", 0), ("devices", 0), ("weight_decay", -0.1), ("samples_per_epoch", -1), ("patience", -1),
        ("workers", -1), ("schedule", "linear"), ("precision", "float16"),
        ("ema", 1.5), ("ema", -0.1),
    ],
)  # fmt: skip
def test_train_config_refuses(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"train\.{key} is {value!r}"):
        TrainConfig(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"), [("p_affine", 1.5), ("p_blur", -0.1), ("scale", 1.0), ("scale", -0.1), ("rotate_deg", 181.0)]
)
def test_augment_config_refuses(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.{key} is {value}"):
        AugmentConfig(**{key: value})


def test_defaults_are_valid() -> None:
    assert TrainConfig().augment == AugmentConfig()
