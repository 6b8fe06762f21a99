"""From a frame to a mask, through real engines, in every geometry."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime import Segmenter
from edgeseg.runtime.errors import FrameError, ManifestError
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

Make = Callable[..., tuple[Path, ModelSpec]]

VARIATIONS = [
    {},
    {"layout": "NHWC"},
    {"dtype": "uint8", "scale": 0.1, "zero_point": 100},
    {"dtype": "int8", "scale": 0.1, "zero_point": -20, "layout": "NHWC"},
    {"kind": "class_ids", "dtype": "uint8"},
    {"input_dtype": "int8"},
    {"color": "rgb"},
    {"geometry": Geometry("tile", tile_px=32, overlap_px=8)},
    {"geometry": Geometry("resize", 64, 96)},
]


@pytest.mark.parametrize("changes", VARIATIONS, ids=str)
def test_stripes_are_told_apart(tiny_onnx: Make, stripes: np.ndarray, stripes_mask: np.ndarray, changes: dict) -> None:
    with Segmenter.from_file(*tiny_onnx(**changes)) as segmenter:
        result = segmenter(stripes)
        rgb = segmenter(stripes[:, :, None].repeat(3, axis=2))
    np.testing.assert_array_equal(result.mask, stripes_mask)
    np.testing.assert_array_equal(rgb.mask, stripes_mask)
    assert result.probability is None
    assert result.regions is None
    times_ms = result.timings_ms
    assert times_ms.keys() == {"pre", "infer", "post", "total"}
    assert times_ms["total"] == pytest.approx(times_ms["pre"] + times_ms["infer"] + times_ms["post"])


def test_litert_sees_the_same(
    tiny_tflite: tuple[Path, ModelSpec], stripes: np.ndarray, stripes_mask: np.ndarray
) -> None:
    with Segmenter.from_file(*tiny_tflite) as segmenter:
        mask = segmenter(stripes).mask
    # Resized to 64x64, a border may move by a pixel.
    assert (mask != stripes_mask).mean() < 0.05
    assert mask.shape == stripes_mask.shape


@pytest.mark.parametrize(
    "geometry", [Geometry("native"), Geometry("resize", 64, 64), Geometry("tile", tile_px=32, overlap_px=16)]
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (3, 5, 3), (33, 65), (512, 534, 3)])
def test_frames_of_any_size_get_a_mask_of_that_size(
    tiny_onnx: Make, geometry: Geometry, shape: tuple[int, ...]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Segmenter.from_file(*tiny_onnx(geometry=geometry)) as segmenter:
        assert segmenter(frame).mask.shape == shape[:2]


def test_the_stages_are_those_of_a_call(tiny_onnx: Make, stripes: np.ndarray) -> None:
    with Segmenter.from_file(*tiny_onnx()) as segmenter:
        prepared = segmenter.prepare(stripes)
        mask = segmenter.finish(segmenter.infer(prepared), prepared)
        np.testing.assert_array_equal(mask, segmenter(stripes).mask)


def test_probability_and_regions_on_request(tiny_onnx: Make, stripes: np.ndarray, stripes_mask: np.ndarray) -> None:
    with Segmenter.from_file(*tiny_onnx()) as segmenter:
        result = segmenter(stripes, probability=True, regions=True)
    assert result.probability is not None
    assert result.probability.shape == (3, *stripes.shape)
    assert result.probability.dtype == np.float32
    np.testing.assert_array_equal(result.probability.argmax(axis=0), stripes_mask)
    assert result.regions is not None
    assert [(region.class_id, region.area_px) for region in result.regions] == [(1, 64 * 32), (2, 64 * 32)]
    assert all(region.mean_score is not None and 0.3 < region.mean_score <= 1 for region in result.regions)
    assert result.timings_ms["extras"] > 0


def test_class_ids_give_regions_without_scores(tiny_onnx: Make, stripes: np.ndarray) -> None:
    with Segmenter.from_file(*tiny_onnx(kind="class_ids", dtype="uint8")) as segmenter:
        regions = segmenter(stripes, regions=True).regions
        assert regions is not None
        assert [region.mean_score for region in regions] == [None, None]
        with pytest.raises(ManifestError, match="class ids"):
            segmenter(stripes, probability=True)


@pytest.mark.parametrize("changes", [{}, {"geometry": Geometry("tile", tile_px=32, overlap_px=8)}], ids=str)
def test_a_batch_equals_single_calls(tiny_onnx: Make, changes: dict) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, shape, np.uint8) for shape in [(40, 40)] * 10 + [(24, 50), (40, 40)]]
    with Segmenter.from_file(*tiny_onnx(**changes)) as segmenter:
        batch = segmenter.batch(frames, probability=True)
        for frame, result in zip(frames, batch, strict=True):
            single = segmenter(frame, probability=True)
            np.testing.assert_array_equal(result.mask, single.mask)
            np.testing.assert_allclose(result.probability, single.probability, atol=1e-5)
        assert segmenter.batch([]) == []


@pytest.mark.parametrize("changes", [{}, {"geometry": Geometry("native", 40, 40), "dynamic": False}], ids=str)
def test_an_iterator_may_write_each_frame_of_a_batch_over_the_one_before(tiny_onnx: Make, changes: dict) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (10, 40, 40), np.uint8)

    def camera() -> Iterator[np.ndarray]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[...] = frame
            yield buffer

    with Segmenter.from_file(*tiny_onnx(**changes)) as segmenter:
        for frame, result in zip(frames, segmenter.batch(camera()), strict=True):
            np.testing.assert_array_equal(result.mask, segmenter(frame).mask)


def test_a_batch_of_a_fixed_model_runs_one_by_one(tiny_tflite: tuple[Path, ModelSpec], stripes: np.ndarray) -> None:
    with Segmenter.from_file(*tiny_tflite) as segmenter:
        first, second = segmenter.batch([stripes, stripes])
    np.testing.assert_array_equal(first.mask, second.mask)


def test_no_memory_is_a_message(tiny_onnx: Make, stripes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    with Segmenter.from_file(*tiny_onnx()) as segmenter:
        monkeypatch.setattr("edgeseg.runtime.segmenter.prepare", fail)
        with pytest.raises(FrameError, match="96x64 px"):
            segmenter(stripes)


def test_a_mask_does_not_change_with_the_next_frame(tiny_onnx: Make, stripes: np.ndarray) -> None:
    with Segmenter.from_file(*tiny_onnx()) as segmenter:
        frame = stripes.copy()
        first = segmenter(frame).mask
        kept = first.copy()
        frame[:] = 255 - frame
        segmenter(frame)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"geometry": Geometry("resize", 64, 96)}, (1200, 1600, 3)),
        ({"geometry": Geometry("resize", 64, 96, interpolation="halving"), "input_dtype": "int8"}, (1201, 1600, 3)),
        ({"geometry": Geometry("resize", 60, 90), "color": "rgb", "layout": "NHWC"}, (1200, 1600)),
        ({}, (1201, 1599)),
        ({"dtype": "int8", "scale": 0.1, "zero_point": -20, "layout": "NHWC", "input_dtype": "int8"}, (1201, 1599, 3)),
        ({"activation": "sigmoid"}, (1200, 1600, 3)),
        ({"activation": "sigmoid", "dtype": "uint8", "scale": 0.1, "zero_point": 100}, (1201, 1599)),
        ({"kind": "class_ids", "dtype": "uint8"}, (1201, 1599, 3)),
        ({"geometry": Geometry("tile", tile_px=64, overlap_px=16)}, (1201, 1599, 3)),
    ],
    ids=str,
)
def test_frame_after_frame_nothing_but_the_mask_is_allocated(tiny_onnx: Make, changes: dict, shape: tuple) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (6, 8), np.uint8).repeat(shape[0] // 6 + 1, 0).repeat(shape[1] // 8 + 1, 1)]
    frames += [frames[0][::-1]]
    frames = [np.ascontiguousarray(one[: shape[0], : shape[1]]) for one in frames]
    if len(shape) == 3:
        frames = [one[:, :, None].repeat(3, axis=2) for one in frames]
    with Segmenter.from_file(*tiny_onnx(**changes), threads=1) as segmenter:
        kept = [segmenter(frame).mask for frame in frames * 2]
        right = [mask.copy() for mask in kept]
        prepared = segmenter.prepare(frames[0])
        beyond = _traced(lambda: segmenter(frames[0]).mask) - kept[0].nbytes
        if int(np.__version__.split(".")[0]) < 2:  # the ONNX Runtimes of that time take their outputs from numpy
            beyond -= _traced(lambda: segmenter.infer(prepared))
    assert beyond < 200_000, "a plane of this frame has 1,920,000 bytes, of its score cells a quarter of them"
    for one, truth in zip(kept, right, strict=True):
        np.testing.assert_array_equal(one, truth)


def _traced(call: Callable[[], np.ndarray]) -> int:
    """Most bytes that Python and numpy hold more than before while a call runs."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = call()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return peak


def test_a_batch_of_tiled_frames_equals_single_calls(tiny_onnx: Make) -> None:
    frames = [np.random.default_rng(seed).integers(0, 256, (70, 90), np.uint8) for seed in range(3)]
    with Segmenter.from_file(*tiny_onnx(geometry=Geometry("tile", tile_px=32, overlap_px=8))) as segmenter:
        for frame, result in zip(frames, segmenter.batch(frames, regions=True), strict=True):
            single = segmenter(frame, regions=True)
            prepared = segmenter.prepare(frame)
            staged = segmenter.finish(segmenter.infer(prepared), prepared)
            np.testing.assert_array_equal(result.mask, single.mask)
            np.testing.assert_array_equal(staged, single.mask)
            assert result.regions == single.regions
