"""One layer of each kind, for both engines' layer files."""

from __future__ import annotations

from edgeseg.compress.search.probe import Layer

LAYERS = {
    "stem": Layer("conv", 1, 16, 3, 2, 32, 48),
    "stem_rgb": Layer("conv", 3, 16, 3, 1, 32, 48),
    "conv": Layer("conv", 24, 96, 1, 1, 16, 24),
    "depthwise": Layer("depthwise", 24, 24, 5, 2, 32, 32),
    "transposed": Layer("transposed", 16, 8, 2, 2, 16, 16),
    "resize": Layer("resize", 16, 16, 1, 2, 16, 24),
    "concat": Layer("concat", 40, 40, 1, 1, 16, 16),
    "add": Layer("add", 24, 24, 1, 1, 16, 16),
    "pool": Layer("pool", 16, 16, 2, 2, 32, 32),
}
