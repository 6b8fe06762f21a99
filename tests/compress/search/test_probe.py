from __future__ import annotations

import pytest

from edgeseg.compress.graph.kinds import KINDS
from edgeseg.compress.search.probe import Layer
from edgeseg.runtime.errors import ConfigError


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_reads_back_to_the_layer(kind: str) -> None:
    out = 16 if kind in ("conv", "transposed") else 8
    layer = Layer(kind, 8, out, 3, 2, 64, 48)
    assert layer.key == f"{kind} 3x3/2 8->{out} @64x48"
    assert Layer.from_key(layer.key) == layer


@pytest.mark.parametrize("key", ["", "conv 3x3/2 8->16", "conv 3x5/2 8->16 @4x4", "dense 1x1/1 8->8 @4x4"])
def test_no_key(key: str) -> None:
    with pytest.raises(ConfigError, match="layer"):
        Layer.from_key(key)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("dense", (8, 8, 1, 1, 4, 4)), ("conv", (0, 8, 1, 1, 4, 4)), ("add", (8, 16, 1, 1, 4, 4))],
)
def test_a_layer_that_cannot_be(kind: str, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=kind):
        Layer(kind, *sizes)
