"""Probabilities made by rows equal those of the whole frame, and so do the mean scores of regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.frame import regions
from edgeseg.runtime.frame.postprocess import probability, score_planes, to_mask
from edgeseg.runtime.frame.preprocess import Prepared
from edgeseg.runtime.frame.regions import find_regions
from edgeseg.runtime.frame.row_probability import RowProbability
from edgeseg.runtime.spec.manifest import Geometry

from .test_postprocess import make, scores_for

GEOMETRIES = (
    Geometry("native"),
    Geometry("resize", 64, 96),
    Geometry("resize", 40, 52),  # padded to the stride, so cells become pixels in two steps
    Geometry("tile", tile_px=32, overlap_px=8),
)
OUTPUTS = (
    {},
    {"layout": "NHWC", "stride_px": 1},
    {"dtype": "uint8", "scale": 0.02, "zero_point": 120, "stride_px": 4},
    {"dtype": "int8", "scale": 0.02, "zero_point": -10, "layout": "NHWC"},
    {"activation": "sigmoid", "n_classes": 2},
    {"activation": "sigmoid", "n_classes": 2, "dtype": "uint8", "scale": 0.02, "zero_point": 120},
)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda one: f"{one.mode}{one.height_px or ''}")
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 60), st.integers(0, 99))
def test_rows_are_those_of_the_whole(geometry, output, height: int, width: int, step: int, seed: int) -> None:
    spec, prepared = make(height, width, geometry=geometry, **dict(output))
    scores = scores_for(spec, prepared, seed)
    whole = probability(scores, spec, prepared)
    by_rows = RowProbability(*score_planes(scores, spec, prepared), spec)
    assert by_rows.shape == whole.shape
    found = [by_rows.rows(top, min(top + step, height)) for top in range(0, height, step)]
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=2e-5)


def blobs(prepared: Prepared, n_classes: int, seed: int) -> np.ndarray:
    """Smooth scores (1, K, h, w) at stride 2, so that a frame has few regions, and large ones."""
    height, width = (side // 2 for side in prepared.tensor.shape[1:3])
    rows, columns = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(rows / rng.uniform(3, 9) + seed) * np.cos(columns / rng.uniform(3, 9)) for _ in range(n_classes)]
    return 3 * np.stack(waves)[None].astype(np.float32)


@pytest.mark.parametrize("strip_px", [1, 500, 5000, 1 << 18])
@pytest.mark.parametrize("geometry", GEOMETRIES[:3], ids=lambda one: f"{one.mode}{one.height_px or ''}")
def test_mean_scores_are_what_they_were_with_whole_planes(geometry, strip_px: int, monkeypatch) -> None:
    spec, prepared = make(131, 170, 4, geometry=geometry)
    scores = blobs(prepared, 4, seed=1)
    mask, whole = to_mask(scores, spec, prepared), probability(scores, spec, prepared)
    expected = find_regions(mask, whole)
    assert len(expected) > 5
    monkeypatch.setattr(regions, "_STRIP_PX", strip_px)
    for found in (
        find_regions(mask, whole),
        find_regions(mask, RowProbability(*score_planes(scores, spec, prepared), spec)),
    ):
        assert [(one.class_id, one.area_px, one.box) for one in found] == [
            (one.class_id, one.area_px, one.box) for one in expected
        ]
        means = [one.mean_score for one in found]
        assert means == pytest.approx([one.mean_score for one in expected], abs=1e-5)
        for one, mean in zip(found, means, strict=True):
            x, y, w, h = one.box
            inside = mask[y : y + h, x : x + w] == one.class_id
            if inside.sum() == one.area_px:  # no other region of the class in its box
                assert mean == pytest.approx(whole[one.class_id, y : y + h, x : x + w][inside].mean(), abs=1e-5)


def test_class_ids_have_none() -> None:
    spec, prepared = make(20, 20, kind="class_ids", dtype="uint8")
    with pytest.raises(ManifestError, match="class ids"):
        score_planes(scores_for(spec, prepared), spec, prepared)
