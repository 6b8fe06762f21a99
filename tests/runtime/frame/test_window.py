"""Masks made within a window equal those made of the whole frame, wherever the foreground lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.frame import postprocess
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.frame.window import foreground_windows, whole_window
from edgeseg.runtime.spec.manifest import Decision, Geometry, InputSpec, ModelSpec, OutputSpec

GEOMETRIES = {
    "native": Geometry("native"),
    "resize": Geometry("resize", 64, 64),
    "tile": Geometry("tile", tile_px=32, overlap_px=8),
}


def blob_scores(shape: tuple[int, int], n_planes: int, seed: int) -> np.ndarray:
    """uint8 (h, w, K): background all over, and a soft blob somewhere for every other plane."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    planes = [np.full(shape, 110.0)] if n_planes > 1 else []
    while len(planes) < n_planes:
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        planes.append(200 - rng.uniform(5, 60) * np.hypot(rows - y, columns - x) + rng.normal(0, 4, shape))
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def case(kind: str, size: tuple[int, int], n_planes: int, seed: int, stride: int = 2) -> tuple:
    """Scores, their spec and the frame they belong to."""
    inputs = InputSpec("gray", GEOMETRIES[kind], 8)
    activation = "sigmoid" if n_planes == 1 else "softmax"
    output = OutputSpec("scores", stride, "NHWC", "uint8", 0.1, 120, activation)
    names = tuple(f"c{index}" for index in range(max(n_planes, 2)))
    spec = ModelSpec("onnxruntime", "int8", inputs, output, names, Decision(0.5), dynamic=True)
    prepared = prepare(np.zeros(size, np.uint8), inputs)
    count, height, width = prepared.tensor.shape[:3]
    tiles = [blob_scores((height // stride, width // stride), n_planes, seed + tile) for tile in range(count)]
    return np.stack(tiles), spec, prepared


@given(
    st.sampled_from(tuple(GEOMETRIES)),
    st.integers(9, 90),
    st.integers(9, 90),
    st.sampled_from((1, 2, 4)),
    st.sampled_from((1, 2, 4)),
    st.integers(0, 1000),
)
def test_a_window_changes_no_mask(kind: str, height: int, width: int, n_planes: int, stride: int, seed: int) -> None:
    scores, spec, prepared = case(kind, (height, width), n_planes, seed, stride)
    mask = to_mask(scores, spec, prepared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postprocess, "foreground_windows", lambda _, whole: [whole])
        whole = to_mask(scores, spec, prepared)
    # Where a scale is no binary fraction, a weight of the enlargement may be rounded differently by 1 / 2048.
    assert (mask != whole).sum() <= (mask.size // 500 if kind == "resize" else 0)


def test_a_frame_without_foreground_has_no_window_and_an_empty_mask() -> None:
    whole = whole_window((64, 64), (100, 120), 2)
    assert foreground_windows(np.zeros((32, 32), np.uint8), whole) == []
    scores, spec, prepared = case("resize", (100, 120), 3, 0)
    scores[..., 0] = 255
    assert not to_mask(scores, spec, prepared).any()


def test_a_window_is_as_small_as_its_foreground_with_the_cells_it_reaches_into() -> None:
    cells = np.zeros((128, 128), np.uint8)
    cells[40:50, 60:80] = 1
    (window,) = foreground_windows(cells, whole_window((256, 256), (512, 512), 2))
    assert window.cells == (slice(39, 51), slice(59, 81))
    assert window.pixels == (slice(4 * 39, 4 * 51), slice(4 * 59, 4 * 81))
    assert window.shape == window.enlarged == (48, 88)


def test_edges_lie_where_cells_and_pixels_meet() -> None:
    cells = np.zeros((32, 32), np.uint8)
    cells[9, 9] = 1
    (window,) = foreground_windows(cells, whole_window((64, 64), (72, 80), 2))  # 4 cells are 9 rows, 2 are 5 columns
    assert window.cells == (slice(8, 12), slice(8, 12))
    assert window.pixels == (slice(18, 27), slice(20, 30))


@pytest.mark.parametrize("side", [60, 64, 70])  # 60: the last cell ends beyond the content, but where the frame ends
def test_cells_are_not_enlarged_into_the_memory_they_are_read_from(side: int) -> None:
    inputs, output = InputSpec("gray", Geometry("resize", 58, 58), 8), OutputSpec("scores", 4, "NHWC", "float32")
    spec = ModelSpec("onnxruntime", "fp32", inputs, output, ("c0", "c1", "c2"), Decision(0.5))
    prepared = prepare(np.zeros((side, side), np.uint8), inputs)
    scores = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    expected = postprocess.probability(scores, spec, prepared).argmax(axis=0)
    assert (to_mask(scores, spec, prepared) != expected).mean() < 1e-3


def scattered(seed: int, n_blobs: int, n_planes: int) -> np.ndarray:
    """uint8 (K, 64, 64): blobs of random classes on background, some of them touching."""
    rng = np.random.default_rng(seed)
    planes = np.full((n_planes, 64, 64), 60, np.uint8)
    planes[0] = 120
    for _ in range(n_blobs):
        y, x = rng.integers(1, 60, 2)
        planes[rng.integers(1, n_planes), y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = rng.integers(
            121, 255
        )
    return planes


@given(
    st.integers(0, 10_000), st.integers(1, 12), st.sampled_from((2, 4)), st.sampled_from(((1024, 1024), (720, 1280)))
)
@settings(max_examples=40, deadline=None)
def test_several_windows_change_no_mask(seed: int, n_blobs: int, n_planes: int, size: tuple[int, int]) -> None:
    inputs, output = InputSpec("gray", Geometry("resize", 128, 128), 8), OutputSpec("scores", 2, "NCHW", "uint8")
    names = tuple(f"c{index}" for index in range(n_planes))
    spec = ModelSpec("onnxruntime", "int8", inputs, output, names, Decision(0.5))
    prepared = prepare(np.zeros(size, np.uint8), inputs)
    scores = scattered(seed, n_blobs, n_planes)[None]
    mask = to_mask(scores, spec, prepared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postprocess, "foreground_windows", lambda _, whole: [whole])
        whole = to_mask(scores, spec, prepared)
    # 64 cells are a power of two of 1024 pixels, and not of 720: see above.
    assert (mask != whole).sum() <= (mask.size // 2000 if size[0] == 720 else 0)


def test_windows_far_apart_are_several_and_share_no_cell() -> None:
    cells = np.zeros((64, 64), np.uint8)
    cells[2:4, 3:6] = cells[60:62, 58:62] = cells[5, 6] = 1  # the last within reach of the first
    windows = foreground_windows(cells, whole_window((128, 128), (1024, 1024), 2))
    spans = sorted((one.cells[0].start, one.cells[0].stop, one.cells[1].start, one.cells[1].stop) for one in windows)
    assert spans == [(1, 7, 2, 8), (59, 63, 57, 63)]
    covered = np.zeros_like(cells)
    for one in windows:
        covered[one.cells] += 1
    assert covered.max() == 1


def test_the_scratch_is_not_made_anew_for_a_smaller_window() -> None:
    scratch = postprocess.Scratch()
    large = scratch.array("best", (20, 30), np.uint8)
    assert np.shares_memory(large, scratch.array("best", (5, 7), np.uint8))
    assert scratch.array("best", (30, 30), np.uint8).shape == (30, 30)
    assert scratch.array("best", (3, 3), np.float32).dtype == np.float32
