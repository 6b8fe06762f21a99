"""Low-resolution scores become the mask a plain float computation would give, in every layout and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.errors import BackendError, ManifestError
from edgeseg.runtime.frame.postprocess import Scratch, probability, to_mask
from edgeseg.runtime.frame.preprocess import Prepared, prepare
from edgeseg.runtime.spec.manifest import Decision, Geometry, InputSpec, ModelSpec, OutputSpec


def make(height: int, width: int, n_classes: int = 3, geometry: Geometry | None = None, **output) -> tuple:
    """A spec and a prepared frame of zeros."""
    decision = Decision(output.pop("value", 0.5))
    output = {"kind": "scores", "stride_px": 2, "layout": "NCHW", "dtype": "float32"} | output
    names = tuple(f"c{index}" for index in range(n_classes))
    inputs = InputSpec("gray", geometry or Geometry("native"), 8)
    spec = ModelSpec("onnxruntime", "fp32", inputs, OutputSpec(**output), names, decision, dynamic=True)
    return spec, prepare(np.zeros((height, width), np.uint8), inputs)


def scores_for(spec: ModelSpec, prepared: Prepared, seed: int = 0) -> np.ndarray:
    """Random planes in the layout and dtype of the spec."""
    count, height, width = prepared.tensor.shape[:3]
    planes = 1 if spec.output.kind == "class_ids" else spec.n_planes
    shape = (count, planes, height // spec.output.stride_px, width // spec.output.stride_px)
    rng = np.random.default_rng(seed)
    if spec.output.dtype == "float32":
        scores = rng.normal(size=shape).astype(np.float32)
    else:
        info = np.iinfo(spec.output.dtype)
        scores = rng.integers(info.min, info.max + 1, shape).astype(spec.output.dtype)
    return np.ascontiguousarray(scores.transpose(0, 2, 3, 1)) if spec.output.layout == "NHWC" else scores


def upsampled(plane: np.ndarray, stride: int) -> np.ndarray:
    """Bilinear, half-pixel centres, edges held: written out apart from OpenCV."""
    for axis in (0, 1):
        size = plane.shape[axis]
        at = np.clip((np.arange(size * stride) + 0.5) / stride - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = plane.take(low, axis) * (1 - part) + plane.take(high, axis) * part
    return plane


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(2, 5),
    st.sampled_from((1, 2, 4, 8)),
    st.sampled_from(("NCHW", "NHWC")),
)
def test_float_masks_equal_the_plain_computation(h: int, w: int, n_classes: int, stride: int, layout: str) -> None:
    spec, prepared = make(h, w, n_classes, stride_px=stride, layout=layout)
    scores = scores_for(spec, prepared)
    planes = scores[0].transpose(2, 0, 1) if layout == "NHWC" else scores[0]
    # Cells wholly in the padding do not count; the border cell reaches to the edge of the content.
    cells = planes[:, : -(-h // stride), : -(-w // stride)].astype(float)
    logits = np.stack([upsampled(plane, stride)[:h, :w] for plane in cells])
    mask = to_mask(scores, spec, prepared)
    assert mask.shape == (h, w)
    assert mask.dtype == np.uint8
    gap = np.sort(logits, axis=0)
    clear = gap[-1] - gap[-2] > 1e-3
    np.testing.assert_array_equal(mask[clear], logits.argmax(axis=0)[clear])
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(probability(scores, spec, prepared), shares, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_quantised_masks_equal_the_float_ones_but_for_rounding(dtype: str, layout: str, stride: int) -> None:
    zero_point = 100 if dtype == "uint8" else -28
    spec, prepared = make(50, 64, dtype=dtype, layout=layout, scale=0.1, zero_point=zero_point, stride_px=stride)
    plain, _ = make(50, 64, layout=layout, stride_px=stride)
    scores = scores_for(spec, prepared)
    logits = ((scores.astype(np.float32) - zero_point) * 0.1).astype(np.float32)
    mask, wanted = to_mask(scores, spec, prepared), to_mask(logits, plain, prepared)
    # Interpolated values are rounded to whole numbers: only near-ties may turn.
    assert (mask != wanted).mean() < 0.02
    np.testing.assert_allclose(probability(scores, spec, prepared), probability(logits, plain, prepared), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("value", [0.05, 0.5, 0.93])
def test_sigmoid_masks_are_above_the_threshold(dtype: str, value: float) -> None:
    quantised = {} if dtype == "float32" else {"scale": 0.05, "zero_point": 100 if dtype == "uint8" else -28}
    spec, prepared = make(48, 40, 2, dtype=dtype, activation="sigmoid", value=value, **quantised)
    scores = scores_for(spec, prepared)
    belief = probability(scores, spec, prepared)
    assert belief.shape == (2, 48, 40)
    np.testing.assert_allclose(belief.sum(axis=0), 1, atol=1e-5)
    mask = to_mask(scores, spec, prepared)
    clear = np.abs(belief[1] - value) > 0.02
    np.testing.assert_array_equal(mask[clear], (belief[1] > value)[clear])
    assert set(np.unique(mask)) <= {0, 1}


@pytest.mark.parametrize(("zero_point", "scale", "wanted"), [(0, 0.01, 0), (255, 0.001, 1)])
def test_a_threshold_outside_what_the_scores_can_say(zero_point: int, scale: float, wanted: int) -> None:
    value = 0.99 if wanted == 0 else 0.01
    spec, prepared = make(8, 8, 2, dtype="uint8", activation="sigmoid", zero_point=zero_point, scale=scale, value=value)
    assert (to_mask(scores_for(spec, prepared), spec, prepared) == wanted).all()


def test_equal_scores_give_the_lowest_id() -> None:
    spec, prepared = make(16, 16, 4, dtype="uint8")
    assert (to_mask(np.full((1, 4, 8, 8), 7, np.uint8), spec, prepared) == 0).all()


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 8, 8, 4), (1, 4, 8, 9), (2, 4, 8, 8), (4, 8, 8), (1, 4, 16, 16)])
def test_other_shapes_than_the_spec_s_are_refused(shape: tuple[int, ...]) -> None:
    spec, prepared = make(16, 16, 4)
    with pytest.raises(BackendError, match="its spec says"):
        to_mask(np.zeros(shape, np.float32), spec, prepared)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("axes", ["NCHW", "NHWC", "NHW"])
def test_class_ids_are_repeated_and_cut(dtype: str, axes: str) -> None:
    spec, prepared = make(15, 13, 3, kind="class_ids", dtype=dtype, layout="NHWC" if axes == "NHWC" else "NCHW")
    ids = np.random.default_rng(0).integers(0, 3, (8, 8)).astype(dtype)
    scores = {"NCHW": ids[None, None], "NHWC": ids[None, :, :, None], "NHW": ids[None]}[axes]
    mask = to_mask(scores, spec, prepared)
    np.testing.assert_array_equal(mask, ids.repeat(2, axis=0).repeat(2, axis=1)[:15, :13])
    assert not np.shares_memory(mask, ids)
    with pytest.raises(ManifestError, match="class ids"):
        probability(scores, spec, prepared)


def test_a_resized_frame_gets_a_mask_of_its_own_size() -> None:
    for height, width in ((512, 534), (37, 11), (1, 1), (256, 256)):
        spec, prepared = make(height, width, geometry=Geometry("resize", 256, 256), dtype="uint8")
        assert to_mask(scores_for(spec, prepared), spec, prepared).shape == (height, width)


def test_a_resize_to_odd_sides_leaves_the_padding_out() -> None:
    spec, prepared = make(30, 20, geometry=Geometry("resize", 15, 10))
    scores = np.zeros((1, 3, 8, 8), np.float32)
    scores[:, 1] = 1
    scores[:, 2, :, 5:] = 9  # columns of padding only
    mask = to_mask(scores, spec, prepared)
    assert mask.shape == (30, 20)
    assert (mask == 1).all()


def test_tiles_join_to_the_mask_of_the_whole() -> None:
    spec, prepared = make(70, 90, geometry=Geometry("tile", tile_px=32, overlap_px=8))
    assert prepared.grid is not None
    whole = np.random.default_rng(5).normal(
        size=(prepared.grid.padded_shape[0] // 2, prepared.grid.padded_shape[1] // 2, 3)
    )
    tiles = [
        whole[top // 2 : top // 2 + 16, left // 2 : left // 2 + 16]
        for top in prepared.grid.tops
        for left in prepared.grid.lefts
    ]
    native, plain = make(70, 90)
    wanted = to_mask(whole.transpose(2, 0, 1)[None, :, :36, :48].astype(np.float32), native, plain)
    found = to_mask(np.stack(tiles).transpose(0, 3, 1, 2).astype(np.float32), spec, prepared)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_planes_kept_from_frame_to_frame_change_no_mask(dtype: str) -> None:
    scratch = Scratch()
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    sizes = [(40, 40), (40, 40), (33, 20), (40, 40), (1, 1)]
    for seed, (height, width) in enumerate(sizes):
        for stride_px in (1, 2):
            spec, prepared = make(height, width, 4, dtype=dtype, stride_px=stride_px)
            scores = scores_for(spec, prepared, seed)
            before = scores.copy()
            kept.append((to_mask(scores, spec, prepared, scratch), to_mask(scores, spec, prepared)))
            np.testing.assert_array_equal(scores, before)
    for reused, fresh in kept:
        np.testing.assert_array_equal(reused, fresh)
