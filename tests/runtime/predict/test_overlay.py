"""Overlays: the background as it is, classes tinted, a line of full colour around each."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.predict.overlay import CLASS_COLORS, overlay


def test_classes_are_tinted_and_outlined() -> None:
    frame = np.full((40, 60), 100, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30], mask[10:30, 30:50] = 1, 2
    drawn = overlay(frame, mask)
    assert drawn.shape == (40, 60, 3) and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[mask == 0], 100)
    for class_id, x in ((1, 20), (2, 40)):
        color = np.array(CLASS_COLORS[class_id - 1])
        np.testing.assert_array_equal(drawn[10, x], color)  # its outline
        np.testing.assert_allclose(drawn[20, x], 65 + 0.35 * color, atol=1)  # inside
    np.testing.assert_array_equal(drawn[20, 30], CLASS_COLORS[1])  # between two classes too
    assert (frame == 100).all()


def test_rgb_order_is_kept_and_every_id_has_a_color() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[..., 0] = 200
    np.testing.assert_array_equal(overlay(frame, np.zeros((8, 8), np.uint8)), frame)
    ids = np.repeat(np.arange(1, 256, dtype=np.uint8), 9).reshape(-1, 9)
    drawn = overlay(np.zeros_like(ids), ids)
    assert len(np.unique(drawn[:, 4], axis=0)) > 200
