"""What a candidate will cost, before it is trained or exported: the table's milliseconds, MACs, bytes, energy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from edgeseg.compress.search.depth import Depth, further_cuts, shallower_arch
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.layer_interpolation import width_grid
from edgeseg.compress.search.probe import Layer
from edgeseg.runtime.errors import MeasureError
from edgeseg.train.models import build_model

# Widths measured of each layer, as ratios of the widest; the smallest comes to 8 channels nearly everywhere.
_RATIOS = (0.05, 0.25, 0.5, 1.0)

Arch = dict[str, Any]
Figures = dict[str, Any]  # latency_ms total_ms infer_ms energy_mj bytes macs params reason; None where not measured


@dataclass
class Predictor:
    """Predictions that follow what was measured whole: each measurement moves the next prediction.

    Attributes:
        table: Of the target.
        size_px: (height, width) of the network's input [px].
        timed: Whether anybody asks for latency; if not, no layer is measured.
        seen: Networks measured whole, as (arch, figures, latency predicted before the measurement or None).
    """

    table: LatencyTable
    size_px: tuple[int, int]
    timed: bool = True
    seen: list[tuple[Arch, Figures, float | None]] = field(default_factory=list)
    _layers: dict[str, list[Layer]] = field(default_factory=dict)

    def prepare(self, arch: Arch, *, depth: bool, progress: Callable[[float, str], None]) -> None:
        """Measure the layers a search from `arch` will ask about, at a grid of widths.

        Raises:
            MeasureError: If the target disappears; what was measured is kept.
        """
        if not self.timed:
            return
        wanted: dict[Layer, None] = dict.fromkeys(width_grid(self.layers(arch), _RATIOS))
        for cut in further_cuts(arch, Depth()) if depth else []:
            if cut.stages or cut.levels or cut.first:  # the others only leave layers out
                wanted.update(dict.fromkeys(width_grid(self.layers(shallower_arch(arch, cut)), _RATIOS)))
        self.table.ensure(wanted, progress)

    def predict(self, arch: Arch) -> dict[str, float]:
        """`macs bytes` of an architecture, `latency_ms` if timed, and `energy_mj` where some network's was measured."""
        layers = self.layers(arch)
        found = {"macs": macs(layers), "bytes": self._bytes(layers)}
        if not self.timed:
            return found
        found["latency_ms"] = self._latency_ms(layers)
        energies = [one["energy_mj"] / one["latency_ms"] for _, one, _ in self.seen if one.get("energy_mj")]
        return found | ({"energy_mj": energies[-1] * found["latency_ms"]} if energies else {})

    def learn(self, arch: Arch, figures: Figures) -> None:
        """Take a whole network's measurement into account; its own layers are measured rather than interpolated.

        Raises:
            MeasureError: If the target disappears.
        """
        if any(one == arch for one, _, _ in self.seen):
            return  # a second look at the same network would be predicted from the first
        if not self.timed:
            self.seen.append((arch, figures, None))
            return
        layers = self.layers(arch)
        self.table.ensure(layers)
        before = self.table.predict_ms(layers) if self.seen else None
        self.seen.append((arch, figures, before))
        pairs = [(self.layers(one), float(f["latency_ms"])) for one, f, _ in self.seen if f.get("latency_ms")]
        if pairs:
            self.table.fit_offset(pairs)

    def layers(self, arch: Arch) -> list[Layer]:
        """Layers of an architecture as the target runs them."""
        key = json.dumps(arch)
        if key not in self._layers:
            with torch.device("meta"):
                model = build_model(arch)
            self._layers[key] = self.table.layers_of(model, self.size_px)
        return self._layers[key]

    def _latency_ms(self, layers: Sequence[Layer]) -> float:
        lost = [layer for layer in self.table.unmeasured(layers) if not self._between(layer)]
        if lost:
            self.table.ensure(lost)
        return self.table.predict_ms(layers)

    def _between(self, layer: Layer) -> bool:
        """Whether a layer lies between measured widths."""
        try:
            self.table.layer_ms(layer)
        except MeasureError:
            return False
        return True

    def _bytes(self, layers: Sequence[Layer]) -> float:
        """Weights in INT8, and for each layer what the file of the network measured last holds beside them."""
        known = [(self.layers(arch), one["bytes"]) for arch, one, _ in self.seen if one.get("bytes")]
        if not known:
            return weights(layers)
        sample, size = known[-1]
        return weights(layers) + (size - weights(sample)) / len(sample) * len(layers)


def macs(layers: Sequence[Layer]) -> float:
    """Multiply-accumulates of one inference."""
    total = 0
    for layer in layers:
        outputs = layer.height_px * layer.width_px
        if layer.kind == "transposed":
            outputs *= layer.kernel**2
        elif layer.kind in ("conv", "depthwise"):
            outputs = (layer.height_px // layer.stride) * (layer.width_px // layer.stride) * layer.kernel**2
        else:
            continue
        total += outputs * layer.out_channels * (1 if layer.kind == "depthwise" else layer.in_channels)
    return float(total)


def weights(layers: Sequence[Layer]) -> float:
    """Numbers in the kernels: bytes of an INT8 file, but for biases and the graph."""
    dense = sum(
        one.in_channels * one.out_channels * one.kernel**2 for one in layers if one.kind in ("conv", "transposed")
    )
    return float(dense + sum(one.out_channels * one.kernel**2 for one in layers if one.kind == "depthwise"))
