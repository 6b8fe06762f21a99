"""A target that answers by formula, counts what it is asked, and can be unplugged."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.compress.search.probe import Layer, Measurement
from edgeseg.runtime.errors import MeasureError


class FakeProbe:
    target = "fake-engine"
    depthwise_step = 1

    def __init__(self, identity: str = "board | engine 1 | int8", lasts: int = 10**9) -> None:
        self.identity = identity
        self.asked: list[Layer] = []
        self.lasts = lasts

    @staticmethod
    def formula_ms(layer: Layer) -> float:
        macs = layer.in_channels * layer.out_channels * layer.kernel**2 * layer.height_px * layer.width_px
        return 0.001 + macs * 1e-8

    def layers_ms(self, layers: Sequence[Layer]) -> list[float]:
        if len(self.asked) + len(layers) > self.lasts:
            raise MeasureError("the cable is out.")
        self.asked += layers
        return [self.formula_ms(layer) for layer in layers]

    def measure(self, model) -> Measurement:
        raise AssertionError("no test measures a network here")
