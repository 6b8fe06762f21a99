"""A frame streamed in tiles gives the mask and regions of all its scores at once, in memory that no height moves."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.frame import tile_stream
from edgeseg.runtime.frame.extras import extras_of
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import in_dtype, prepare
from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tile_stream import TileStream
from edgeseg.runtime.spec.manifest import Decision, Geometry, InputSpec, ModelSpec, OutputSpec
from edgeseg.runtime.tiled import segment_tiles

OUTPUTS = (
    {"dtype": "uint8"},
    {"dtype": "int8", "zero_point": -10},
    {"dtype": "float32", "scale": 1.0},
    {"dtype": "uint8", "activation": "sigmoid", "zero_point": 128},
    {"dtype": "uint8", "kind": "class_ids"},
)


def make_spec(tile: tuple[int, int], stride: int, color: str, layout: str, output: dict) -> ModelSpec:
    output = {"kind": "scores", "scale": 0.1} | output
    names = ("back", "one") if output.get("activation") == "sigmoid" else ("back", "one", "two")
    inputs = InputSpec(color, Geometry("tile", tile_px=tile[0], overlap_px=tile[1]), 8)
    return ModelSpec(
        "onnxruntime",
        "int8",
        inputs,
        OutputSpec(stride_px=stride, layout=layout, **output),
        names,
        Decision(0.6),
        dynamic=True,
    )


def network(spec: ModelSpec) -> tile_stream.Infer:
    """Scores that depend on the pixels of a tile and on where in it they lie, as those of a network do."""
    stride, output = spec.output.stride_px, spec.output
    n_planes = 1 if output.kind == "class_ids" else spec.n_planes

    def infer(tiles: np.ndarray) -> np.ndarray:
        cells = tiles.mean(axis=3)[:, ::stride, ::stride]
        where = np.add.outer(np.arange(cells.shape[1]), np.arange(cells.shape[2])) % 7
        planes = np.stack([cells * (1 + plane) + where * 9 * plane for plane in range(n_planes)], axis=-1)
        if output.kind == "class_ids":
            scores = (planes // 90 % 3).astype(np.uint8)
        elif output.dtype == "float32":
            scores = np.sin(planes / 40).astype(np.float32)
        else:
            scores = (np.sin(planes / 40) * 120).astype(np.int8)
            scores = scores if output.dtype == "int8" else (scores.view(np.uint8) ^ np.uint8(0x80))
        return scores if output.layout == "NHWC" else np.ascontiguousarray(scores.transpose(0, 3, 1, 2))

    return infer


@given(
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.sampled_from(((8, 0), (16, 0), (16, 8), (32, 8), (48, 24), (64, 0))),
    st.sampled_from((1, 2, 4, 8)),
    st.sampled_from(OUTPUTS),
    st.sampled_from((("gray", "NHWC", None), ("gray", "NCHW", 3), ("rgb", "NCHW", 3), ("rgb", "NHWC", None))),
    st.sampled_from((1, 500, 1 << 18)),
)
@settings(max_examples=60, deadline=None)
def test_a_streamed_frame_has_the_mask_of_all_scores_at_once(
    size: tuple[int, int], tile: tuple[int, int], stride: int, output: dict, kind: tuple, strip_px: int
) -> None:
    color, layout, channels = kind
    spec = make_spec(tile, stride, color, layout, output)
    shape = size if channels is None else (*size, channels)
    frame = np.random.default_rng(size).integers(0, 256, shape, np.uint8)
    prepared = prepare(frame, spec.input)
    scores = network(spec)(prepared.tensor)
    wanted = to_mask(scores, spec, prepared)
    scratch = Scratch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_stream, "_STRIP_PX", strip_px)
        for _ in range(2):  # the second in memory that the first has filled
            found = TileStream(frame, spec, network(spec), scratch).mask()
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_regions_are_joined_across_tiles_and_strips(output: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec((32, 8), 2, "gray", "NHWC", output)
    rows, columns = np.mgrid[:150, :210]
    frame = (
        (40 + 80 * np.sin(rows / 23) * np.sin(columns / 31) + 60 * (abs(columns - 100) < 9))
        .clip(0, 255)
        .astype(np.uint8)
    )
    prepared = prepare(frame, spec.input)
    scores = network(spec)(prepared.tensor)
    mask = to_mask(scores, spec, prepared)
    _, wanted = extras_of(mask, scores, spec, prepared, (False, True))
    monkeypatch.setattr(tile_stream, "_STRIP_PX", 210 * 8)
    result = segment_tiles(frame, spec, network(spec), Scratch(), True)
    assert wanted
    assert result.regions is not None
    assert [(one.class_id, one.area_px, one.box) for one in result.regions] == [
        (one.class_id, one.area_px, one.box) for one in wanted
    ]
    assert max(one.box[3] for one in wanted) > 64, "or nothing has to be joined"
    for one, other in zip(result.regions, wanted, strict=True):
        assert one.mean_score == pytest.approx(other.mean_score, abs=1e-5)
    assert result.timings_ms.keys() == {"pre", "infer", "post", "total", "extras"}


def test_a_16_bit_frame_is_mapped_tile_by_tile() -> None:
    spec = make_spec((32, 8), 2, "gray", "NHWC", {"dtype": "uint8"})
    inputs = InputSpec("gray", spec.input.geometry, 8, window=(100, 4000))
    spec = ModelSpec("onnxruntime", "int8", inputs, spec.output, spec.classes, dynamic=True)
    frame = np.random.default_rng(0).integers(0, 5000, (77, 90), np.uint16)
    prepared = prepare(frame, inputs)
    wanted = to_mask(network(spec)(prepared.tensor), spec, prepared)
    np.testing.assert_array_equal(TileStream(frame, spec, network(spec), Scratch()).mask(), wanted)


def test_memory_does_not_grow_with_a_frame_s_height() -> None:
    spec = make_spec((64, 16), 2, "rgb", "NCHW", {"dtype": "float32", "scale": 1.0})
    peaks = []
    for height in (512, 4096):
        frame = np.random.default_rng(0).integers(0, 256, (height, 512, 3), np.uint8)
        stream = TileStream(frame, spec, network(spec), Scratch())
        tracemalloc.start()
        mask = stream.mask()
        peaks.append(tracemalloc.get_traced_memory()[1] - mask.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_int8_input_is_pixels_less_128() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(in_dtype(pixels, "int8", Scratch()), pixels.astype(int) - 128)
