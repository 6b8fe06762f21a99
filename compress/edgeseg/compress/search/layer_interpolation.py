"""A layer's time from the times of the same layer at other widths, so that a search need not measure every width.

Time grows in steps of the engine's vector width and falls nowhere by much, so between measured widths a straight line
is close, and beyond them nothing is known: nothing is extrapolated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from edgeseg.compress.search.probe import Layer

# Unknowns of the surface over two widths; below this number of points it is not determined.
_TERMS = 4
_STEP = 8  # channels
_SHARED = ("kind", "height_px", "width_px", "kernel", "stride")


def width_grid(layers: Iterable[Layer], ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)) -> list[Layer]:
    """Layers to measure so that every narrower width of the given ones can be interpolated.

    Args:
        layers: Layers of the widest network of a search.
        ratios: Widths to measure, as ratios of the given ones; a convolution is measured at every pair of them. Widths
            are multiples of 8; fewer channels (pixels, classes) are left as they are.
    """
    grid: dict[Layer, None] = {}
    for layer in layers:
        ins, outs = (_widths(n, ratios) for n in (layer.in_channels, layer.out_channels))
        pairs = [(i, o) for i in ins for o in outs] if layer.kind in ("conv", "transposed") else [(n, n) for n in ins]
        for i, o in pairs:
            grid[_resized(layer, i, o)] = None
    return list(grid)


def interpolate_ms(layer: Layer, known: Mapping[Layer, float]) -> float | None:
    """Estimate a layer from measured ones that differ from it in width alone.

    Where one width is the same, or the layer has one width only, a line between the nearest narrower and wider one;
    else a surface a + b in + c out + d in out through all of them, never below what is narrower in both widths, nor
    above what is wider in both.

    Args:
        layer: What to estimate.
        known: Milliseconds by layer; others than the same at other widths are ignored.

    Returns:
        Milliseconds, or None where the measured widths do not enclose it.
    """
    points = [(other.in_channels, other.out_channels, ms) for other, ms in known.items() if _alike(other, layer)]
    at = (layer.in_channels, layer.out_channels)
    if layer.kind not in ("conv", "transposed"):
        return _line(at[0], [(i, ms) for i, _, ms in points])
    on_row = _line(at[1], [(o, ms) for i, o, ms in points if i == at[0]])
    on_column = _line(at[0], [(i, ms) for i, o, ms in points if o == at[1]])
    lines = [ms for ms in (on_row, on_column) if ms is not None]
    return sum(lines) / len(lines) if lines else _surface(at, points)


def _line(at: int, points: list[tuple[int, float]]) -> float | None:
    below = max((point for point in points if point[0] <= at), default=None)
    above = min((point for point in points if point[0] >= at), default=None)
    if below is None or above is None:
        return None
    if below[0] == above[0]:
        return below[1]
    return below[1] + (above[1] - below[1]) * (at - below[0]) / (above[0] - below[0])


def _surface(at: tuple[int, int], points: list[tuple[int, int, float]]) -> float | None:
    below = [ms for i, o, ms in points if i <= at[0] and o <= at[1]]
    above = [ms for i, o, ms in points if i >= at[0] and o >= at[1]]
    if len(points) < _TERMS or not below or not above:
        return None
    i, o, ms = np.array(points, np.float64).T
    terms = np.stack([np.ones_like(i), i, o, i * o], axis=1)  # (n, 4)
    # Relative errors of near widths count most.
    near = 1 / (1 + np.log(i / at[0]) ** 2 + np.log(o / at[1]) ** 2) / np.maximum(ms, ms.max() * 1e-3)
    found, *_ = np.linalg.lstsq(terms * near[:, None], ms * near, rcond=None)
    value = float(np.array([1, at[0], at[1], at[0] * at[1]]) @ found)
    low, high = max(below), min(above)
    return float(np.clip(value, low, high)) if low <= high else (low + high) / 2  # noise may have turned them round


def _widths(channels: int, ratios: tuple[float, ...]) -> list[int]:
    if channels < _STEP:
        return [channels]
    return sorted({channels, *(max(_STEP, round(channels * ratio / _STEP) * _STEP) for ratio in ratios)})


def _alike(one: Layer, other: Layer) -> bool:
    """Whether two layers differ in width alone."""
    return all(getattr(one, name) == getattr(other, name) for name in _SHARED)


def _resized(layer: Layer, in_channels: int, out_channels: int) -> Layer:
    return dataclasses.replace(layer, in_channels=in_channels, out_channels=out_channels)
