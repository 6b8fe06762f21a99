"""What each layer of a network costs on a target, measured once, and what a whole network will cost by their sum.

The sum is the engine's time by parts. A whole network costs more, or less: pre- and post-processing, one call, data
that is still in the cache. So a line (constant and factor) is fitted between the sums and a few networks that were
measured whole, and how far the line is off on others is a figure to be printed, not to be assumed.

Reference:
    Cai et al. 2019, arXiv:1812.00332 (ProxylessNAS), section 3.3 and appendix B: the latency table.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edgeseg.compress.search.layer_interpolation import interpolate_ms
from edgeseg.compress.search.layers import layers_of
from edgeseg.compress.search.probe import Layer, Probe
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.train.models import SegmentationNet

SCHEMA_VERSION = 1
# Layers measured together, in turns, and then written down: what a target that disappears can take along.
CHUNK = 24
# Sums nearer to each other than this ratio do not show a slope.
_LEAST_SPREAD = 1.1

# Told the ratio done in [0, 1] and what is being measured now.
Progress = Callable[[float, str], None]
Pairs = Sequence[tuple[Sequence[Layer], float]]


class LatencyTable:
    """Measured layers of one target, kept in a file that several targets may share.

    Args:
        probe: The target.
        cache_file: JSON; read if it is there, written after every few measurements.
        calls: How often the engine runs for one frame, such as once a tile.

    Attributes:
        offset_ms: Constant of the fitted line; 0 until `fit_offset`.
        factor: Its slope; 1 until `fit_offset`.

    Raises:
        MeasureError: If the file is no latency table, or one of another schema.
    """

    def __init__(self, probe: Probe, cache_file: Path, calls: int = 1) -> None:
        self._probe = probe
        self._calls = calls
        self._file = cache_file
        self._known = self._read().get(probe.identity, {})
        self._estimated: dict[Layer, float | None] = {}
        self.offset_ms = 0.0
        self.factor = 1.0

    def __len__(self) -> int:
        return len(self._known)

    def layers_of(self, model: SegmentationNet, size_px: tuple[int, int]) -> list[Layer]:
        """List a network's layers at the widths that this target gets; see `compress.search.layers.layers_of`."""
        return layers_of(model, size_px, self._probe.depthwise_step)

    def unmeasured(self, layers: Iterable[Layer]) -> list[Layer]:
        """The layers that were not measured, each once: `predict_ms` interpolates those, or refuses."""
        return [layer for layer in dict.fromkeys(layers) if layer not in self._known]

    def ensure(self, layers: Iterable[Layer], progress: Progress | None = None) -> None:
        """Measure what is missing, and write it down a few layers at a time.

        The order is shuffled, so that a machine that grows slower meanwhile does not fall on one part of the network.

        Raises:
            MeasureError: If the target has disappeared or answers nonsense. What was measured before is kept: the same
                call goes on from there.
        """
        missing = self.unmeasured(layers)
        random.Random(len(missing)).shuffle(missing)  # noqa: S311  the same order in every run
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            if progress is not None:
                progress(start / len(missing), f"{len(missing)} layers on {self._probe.target}")
            found = self._probe.layers_ms(chunk)
            if len(found) != len(chunk) or not all(math.isfinite(ms) and ms >= 0 for ms in found):
                raise MeasureError(
                    f"{self._probe.target} answered {found} for {len(chunk)} layers; "
                    f"a time [ms] each is needed. {len(self._known)} layers are in {self._file.name}."
                )
            self._known |= dict(zip(chunk, found, strict=True))
            self._estimated.clear()
            self._write()

    def layer_ms(self, layer: Layer) -> float:
        """One layer: measured, else interpolated between widths that were measured.

        Raises:
            MeasureError: If neither is possible.
        """
        if layer not in self._known and layer not in self._estimated:
            self._estimated[layer] = interpolate_ms(layer, self._known)
        ms = self._known[layer] if layer in self._known else self._estimated[layer]
        if ms is None:
            raise MeasureError(
                f"{layer.key} was not measured on {self._probe.target}, nor are there widths on both sides of it. "
                "Call ensure() with it, or with the width_grid() of the widest network."
            )
        return ms

    def predict_ms(self, layers: Sequence[Layer]) -> float:
        """Predict a whole network: `offset_ms + factor * sum`.

        Before `fit_offset` this is the plain sum: the engine's part, without pre- and post-processing.

        Raises:
            MeasureError: If a layer is neither measured nor between measured widths.
        """
        return self.offset_ms + self.factor * self._sum_ms(layers)

    def fit_offset(self, pairs: Pairs) -> None:
        """Fit the line between sums of layers and whole networks measured.

        The slope is the median of the slopes between all pairs, which one bad measurement does not turn. With one
        pair, or sums that hardly differ, the slope is 1; where that makes the constant negative, it is the slope alone.

        Args:
            pairs: Layers of a network and what the whole of it took [ms].

        Raises:
            ConfigError: If there is no pair, or a time is not positive.
            MeasureError: As `predict_ms`.

        Reference:
            Sen 1968, "Estimates of the regression coefficient based on Kendall's tau".
        """
        points = self._points(pairs)
        sums = [sum_ms for sum_ms, _ in points]
        slopes = [
            (b[1] - a[1]) / (b[0] - a[0])
            for a, b in itertools.combinations(sorted(points), 2)
            if b[0] > a[0] * _LEAST_SPREAD
        ]
        spread = max(sums) > min(sums) * _LEAST_SPREAD
        self.factor = max(statistics.median(slopes), 0.0) if spread and slopes else 1.0
        self.offset_ms = statistics.median(ms - self.factor * sum_ms for sum_ms, ms in points)
        if self.offset_ms < 0 or self.factor == 0:
            self.offset_ms, self.factor = 0.0, statistics.median(ms / max(sum_ms, 1e-9) for sum_ms, ms in points)

    def error(self, pairs: Pairs) -> float:
        """Median of |predicted - measured| / measured, a ratio. Says most on networks that were not fitted.

        Raises:
            ConfigError: If there is no pair, or a time is not positive.
            MeasureError: As `predict_ms`.
        """
        points = self._points(pairs)
        return statistics.median(abs(self.offset_ms + self.factor * sum_ms - ms) / ms for sum_ms, ms in points)

    def _points(self, pairs: Pairs) -> list[tuple[float, float]]:
        if not pairs or not all(math.isfinite(ms) and ms > 0 for _, ms in pairs):
            times = [ms for _, ms in pairs]
            raise ConfigError(f"a network and the positive time [ms] it took are needed at least once, found {times}.")
        return [(self._sum_ms(layers), ms) for layers, ms in pairs]

    def _sum_ms(self, layers: Sequence[Layer]) -> float:
        return self._calls * sum(self.layer_ms(layer) for layer in layers)

    # -- the file

    def _read(self) -> dict[str, dict[Layer, float]]:
        """Milliseconds by layer, by target."""
        if not self._file.exists():
            return {}
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            if stored["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema_version {stored['schema_version']}, not {SCHEMA_VERSION}")
            return {
                identity: {Layer.from_key(key): float(ms) for key, ms in rows.items()}
                for identity, rows in stored["layers_ms"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as err:
            raise MeasureError(f"{self._file} is no latency table ({err!r}). Move it away to measure anew.") from err

    def _write(self) -> None:
        """Write all targets; what another process has added meanwhile is kept."""
        targets = self._read()
        targets[self._probe.identity] = targets.get(self._probe.identity, {}) | self._known
        rows = {
            identity: {layer.key: round(ms, 6) for layer, ms in sorted(known.items())}
            for identity, known in targets.items()
        }
        write_json(self._file, {"schema_version": SCHEMA_VERSION, "layers_ms": rows})
