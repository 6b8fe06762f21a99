from __future__ import annotations

import pytest

from edgeseg.compress.search.layer_interpolation import interpolate_ms, width_grid
from edgeseg.compress.search.probe import Layer


def conv(i: int, o: int, size: int = 32) -> Layer:
    return Layer("conv", i, o, 1, 1, size, size)


def depthwise(n: int) -> Layer:
    return Layer("depthwise", n, n, 3, 1, 32, 32)


def plane_ms(i: int, o: int) -> float:
    return 0.01 + 0.001 * i + 0.002 * o + 0.0001 * i * o


def test_one_width_is_a_line_between_neighbours() -> None:
    known = {depthwise(16): 1.0, depthwise(32): 3.0, depthwise(96): 4.0}
    assert interpolate_ms(depthwise(24), known) == pytest.approx(2.0)
    assert interpolate_ms(depthwise(64), known) == pytest.approx(3.5)
    assert interpolate_ms(depthwise(32), known) == 3.0


def test_nothing_is_extrapolated() -> None:
    known = {depthwise(16): 1.0, depthwise(32): 3.0} | {conv(i, o): 1.0 for i in (16, 32) for o in (16, 32)}
    assert interpolate_ms(depthwise(8), known) is None
    assert interpolate_ms(depthwise(40), known) is None
    assert interpolate_ms(conv(24, 64), known) is None
    assert interpolate_ms(conv(8, 8), known) is None


def test_other_layers_say_nothing() -> None:
    others = {conv(16, 16, 64): 1.0, conv(64, 64, 64): 2.0, Layer("conv", 32, 32, 3, 1, 32, 32): 1.0}
    assert interpolate_ms(conv(32, 32), others) is None


def test_two_widths_are_a_surface() -> None:
    known = {conv(i, o): plane_ms(i, o) for i in (16, 64, 96) for o in (8, 32, 128)}
    assert interpolate_ms(conv(40, 24), known) == pytest.approx(plane_ms(40, 24), rel=1e-6)


def test_a_shared_width_is_a_line() -> None:
    known = {conv(1, 16): 1.0, conv(1, 32): 2.0}
    assert interpolate_ms(conv(1, 24), known) == pytest.approx(1.5)


def test_the_surface_stays_between_what_is_narrower_and_what_is_wider() -> None:
    known = {conv(16, 16): 1.0, conv(16, 64): 1.0, conv(64, 16): 1.0, conv(64, 64): 1.1, conv(128, 128): 9.0}
    found = interpolate_ms(conv(32, 32), known)
    assert found is not None and 1.0 <= found <= 1.1


def test_noise_that_turns_narrow_and_wide_round() -> None:
    known = {conv(16, 16): 2.0, conv(16, 64): 2.0, conv(64, 16): 2.0, conv(64, 64): 1.0}
    assert interpolate_ms(conv(32, 32), known) == pytest.approx(1.5)


def test_a_grid_encloses_every_narrower_width() -> None:
    widest = [conv(96, 24), depthwise(96), Layer("conv", 1, 32, 3, 2, 64, 64), conv(16, 3)]
    grid = width_grid(widest)
    assert len(grid) == len(set(grid)) and set(widest) <= set(grid)
    assert all(n % 8 == 0 or n < 8 for layer in grid for n in (layer.in_channels, layer.out_channels))
    known = {layer: plane_ms(layer.in_channels, layer.out_channels) for layer in grid}
    for i in range(24, 97, 8):
        for o in range(8, 25, 8):
            assert interpolate_ms(conv(i, o), known) is not None
        assert interpolate_ms(depthwise(i), known) is not None
