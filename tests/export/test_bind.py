"""Binding by value: ties, zeros, strangers."""

from __future__ import annotations

import numpy as np

from edgeseg.export.bind import bind, binding_image

RNG = np.random.default_rng(0)
LINEAR = RNG.normal(size=(1, 4, 8, 8)).astype(np.float32)
RELU = np.maximum(LINEAR, 0)
ZEROS = np.zeros((1, 4, 8, 8), np.float32)


def test_an_engines_rounding_does_not_matter():
    noisy = LINEAR * (1 + 1e-5 * RNG.normal(size=LINEAR.shape)).astype(np.float32)
    assert bind({"conv": LINEAR, "act": RELU}, {"t0": noisy, "t1": RELU}) == {"t0": ("conv",), "t1": ("act",)}


def test_a_relu_without_anything_to_cut_wins_over_its_input():
    assert bind({"conv": RELU, "act": RELU}, {"t0": RELU}) == {"t0": ("act",)}


def test_zeros_keep_all_candidates():
    assert bind({"conv": ZEROS, "act": ZEROS, "other": LINEAR}, {"t0": ZEROS}) == {"t0": ("conv", "act")}


def test_a_stranger_and_another_shape_are_left_out():
    assert bind({"conv": LINEAR}, {"t0": LINEAR[::, ::-1], "t1": LINEAR[:, :2]}) == {}


def test_the_image_has_structure():
    image = binding_image(16, 24, 3)
    assert image.shape == (1, 16, 24, 3) and image.dtype == np.uint8 and image.std() > 20
