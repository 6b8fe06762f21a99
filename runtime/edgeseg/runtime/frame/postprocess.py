"""From a network's low-resolution scores to a mask and probabilities at the frame's own size.

The scores are scaled up plane by plane and only then compared: smoother borders than scaling ids up. That is done
only where there can be foreground (see `window`). Quantised scores are never turned into floats for a mask.
"""

from __future__ import annotations

from math import floor, log

import cv2
import numpy as np

from edgeseg.runtime.errors import BackendError, ManifestError
from edgeseg.runtime.frame.preprocess import Prepared, resize
from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tiling import stitch
from edgeseg.runtime.frame.window import Window, foreground_windows, whole_window
from edgeseg.runtime.spec.manifest import ModelSpec


def to_mask(scores: np.ndarray, spec: ModelSpec, prepared: Prepared, scratch: Scratch | None = None) -> np.ndarray:
    """Make the mask of a frame.

    Args:
        scores: What the engine returned for `prepared.tensor`, in the layout and dtype of `spec.output`.
        spec: The model.
        prepared: The frame the scores belong to.
        scratch: Kept by the caller from frame to frame to save time; None makes a new one.

    Returns:
        Class ids, uint8 (H, W) at the frame's size. A new array. Equal scores give the lowest id.

    Raises:
        BackendError: If the shape of the scores is not the one the spec promises.
    """
    scratch = scratch or Scratch()
    planes = _planes(scores, spec, prepared, scratch)
    if spec.output.kind == "class_ids":
        mask = np.empty(prepared.frame_shape, np.uint8)
        _enlarge_ids(planes[0], spec, prepared.content_shape, scratch, mask)
        return mask
    whole = _whole(spec, prepared)
    planes = planes[(slice(None), *whole.cells)]
    mask = np.zeros(prepared.frame_shape, np.uint8)
    for window in _windows(planes, spec, whole, scratch):
        _fill(planes, spec, window, scratch, mask[window.pixels])
    return mask


def strip_mask(planes: np.ndarray, spec: ModelSpec, shape: tuple[int, int], scratch: Scratch) -> np.ndarray | None:
    """Make the mask of a strip of a frame whose cells are whole pixels.

    Args:
        planes: As `score_cells` leaves them, (K, h, w), the cells of the strip.
        spec: The model.
        shape: (height, width) of the strip [px].
        scratch: Memory of the mask: it is good until the next call.

    Returns:
        Class ids, uint8, of this shape; None where all of it is background.
    """
    mask = scratch.array("strip", shape, np.uint8)
    if spec.output.kind == "class_ids":
        _enlarge_ids(planes[0], spec, shape, scratch, mask)
        return mask
    whole = whole_window(shape, shape, spec.output.stride_px)
    windows = _windows(planes, spec, whole, scratch)
    if not windows:
        return None
    mask.fill(0)
    for window in windows:
        _fill(planes, spec, window, scratch, mask[window.pixels])
    return mask


def probability(scores: np.ndarray, spec: ModelSpec, prepared: Prepared) -> np.ndarray:
    """Return what the network believes, per class and pixel.

    Args:
        scores: As for `to_mask`.
        spec: The model.
        prepared: The frame the scores belong to.

    Returns:
        float32 (K, H, W), K = number of classes, summing to 1 over K.

    Raises:
        ManifestError: If the model returns class ids, which carry no probability.
        BackendError: As for `to_mask`.
    """
    planes, whole = score_planes(scores, spec, prepared)
    scratch, logits = Scratch(), np.empty((len(spec.classes), *prepared.frame_shape), np.float32)
    for plane, large in zip(to_logits(planes, spec), logits, strict=True):
        large[...] = _enlarge(plane, whole, scratch, "plane")
    return softmax(logits)


def score_planes(scores: np.ndarray, spec: ModelSpec, prepared: Prepared) -> tuple[np.ndarray, Window]:
    """Return the low-resolution scores, (planes, h, w) without what is all padding, and the frame's window.

    Raises:
        ManifestError: If the model returns class ids.
        BackendError: As for `to_mask`.
    """
    if spec.output.kind == "class_ids":
        raise ManifestError("This model returns class ids, not scores. Choose a variant with output kind 'scores'.")
    whole = _whole(spec, prepared)
    return _planes(scores, spec, prepared, Scratch())[(slice(None), *whole.cells)], whole


def to_logits(planes: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Return the logits of every class, float32 (K, h, w), from planes of `score_planes` or rows of them."""
    zero = spec.output.zero_point + (128 if spec.output.dtype == "int8" else 0)
    logits = (planes.astype(np.float32) - np.float32(zero)) * np.float32(spec.output.scale)
    if spec.output.activation == "sigmoid":
        return np.concatenate([np.zeros_like(logits), logits])  # sigmoid(x) is the softmax of (0, x).
    return logits


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits, float32 (K, H, W), into probabilities in place, and return them."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def score_cells(scores: np.ndarray, spec: ModelSpec, input_shape: tuple[int, ...]) -> np.ndarray:
    """Return what an engine returned for an input of shape (N, H, W, C) as a view with the axes (N, h, w, K).

    Raises:
        BackendError: If the shape of the scores is not the one the spec promises.
    """
    output = spec.output
    cells = scores
    if output.kind == "class_ids" and scores.ndim == 3:
        cells = scores[:, :, :, None]
    elif output.layout == "NCHW" and scores.ndim == 4:
        cells = scores.transpose(0, 2, 3, 1)
    count, height, width = input_shape[:3]
    n_planes = 1 if output.kind == "class_ids" else spec.n_planes
    if cells.shape != (count, height // output.stride_px, width // output.stride_px, n_planes):
        expected = f"{n_planes} plane(s) at 1/{output.stride_px} of {count}x{height}x{width} px in {output.layout}"
        raise BackendError(f"The model returned shape {scores.shape}, its spec says {expected}. Export both again.")
    return cells


def put_planes(cells: np.ndarray, spec: ModelSpec, planes: np.ndarray) -> None:
    """Write cells, (h, w, K), into planes, (K, h, w) of `plane_dtype`, int8 scores moved to uint8."""
    turned = cells.transpose(2, 0, 1)
    if spec.output.kind == "scores" and cells.dtype == np.int8:
        # Same order, and OpenCV's fast paths are for uint8.
        np.bitwise_xor(turned.view(np.uint8), np.uint8(0x80), out=planes)
    else:
        planes[...] = turned.view(planes.dtype)


def plane_dtype(spec: ModelSpec) -> np.dtype:
    """The element type of planes from `put_planes`."""
    return np.dtype(np.float32 if spec.output.dtype == "float32" else np.uint8)


def _planes(scores: np.ndarray, spec: ModelSpec, prepared: Prepared, scratch: Scratch) -> np.ndarray:
    """Return the low-resolution planes of the whole frame, (K, h, w), contiguous, int8 moved to uint8."""
    cells = score_cells(scores, spec, prepared.tensor.shape)
    joined = stitch(cells, prepared.grid, spec.output.stride_px) if prepared.grid else cells[0]
    planes = joined.transpose(2, 0, 1)
    dtype = plane_dtype(spec)
    if planes.flags.c_contiguous and planes.dtype == dtype:
        return planes
    planes = scratch.array("planes", planes.shape, dtype)
    put_planes(joined, spec, planes)
    return planes


def _whole(spec: ModelSpec, prepared: Prepared) -> Window:
    return whole_window(prepared.content_shape, prepared.frame_shape, spec.output.stride_px)


def _enlarge(plane: np.ndarray, window: Window, scratch: Scratch, name: str) -> np.ndarray:
    """Scale the window of a plane up to the frame's size, without what belongs to the padding, in memory of a name."""
    large = resize(plane[window.cells], *window.enlarged, "linear", scratch.array(name, window.enlarged, plane.dtype))
    if window.content == window.shape:
        return large[: window.shape[0], : window.shape[1]]
    content = large[: window.content[0], : window.content[1]]
    return resize(content, *window.shape, "linear", scratch.array(f"{name} content", window.shape, plane.dtype))


def _windows(planes: np.ndarray, spec: ModelSpec, whole: Window, scratch: Scratch) -> list[Window]:
    """Where in `planes`, the cells of `whole`, foreground may be."""
    shape = planes.shape[1:]
    foreground = scratch.array("foreground", shape, np.uint8)
    if spec.output.activation == "sigmoid":
        _threshold(planes[0], _quantised_threshold(spec), foreground)
    else:
        highest = planes[1]
        for plane in planes[2:]:
            highest = cv2.max(highest, plane, scratch.array("highest", shape, planes.dtype))
        cv2.compare(highest, planes[0], cv2.CMP_GT, foreground)
    return foreground_windows(foreground, whole)


def _fill(planes: np.ndarray, spec: ModelSpec, window: Window, scratch: Scratch, mask: np.ndarray) -> None:
    """Write the class ids of a window into its part of the mask, which is 0."""
    if spec.output.activation == "sigmoid":
        _threshold(_enlarge(planes[0], window, scratch, "best"), _quantised_threshold(spec), mask)
    else:
        _argmax(planes, window, scratch, mask)


def _argmax(planes: np.ndarray, window: Window, scratch: Scratch, mask: np.ndarray) -> None:
    """Write the index of the highest plane per pixel into `mask`, which is 0; holds two enlarged planes, not all."""
    best = _enlarge(planes[0], window, scratch, "best")
    higher = scratch.array("higher", window.shape, np.uint8)
    for class_id in range(1, len(planes)):
        plane = _enlarge(planes[class_id], window, scratch, "other")
        cv2.compare(plane, best, cv2.CMP_GT, higher)  # 255 where this class wins so far
        np.bitwise_and(higher, np.uint8(class_id), out=higher)
        # A later winner has a higher id than an earlier one, so the maximum keeps the last winner.
        np.maximum(mask, higher, out=mask)
        if class_id + 1 < len(planes):
            # Not into `best` itself where nothing was enlarged: there it is a view of the scores.
            own = best if not np.may_share_memory(best, planes) else scratch.array("best", window.shape, planes.dtype)
            best = np.maximum(best, plane, out=own)


def _threshold(plane: np.ndarray, limit: float, out: np.ndarray) -> None:
    """Write 1 where the plane is above the limit into `out`, uint8, else 0."""
    if plane.dtype == np.uint8:
        # Whole numbers above a fractional limit are those above its floor. Outside 0..255 nothing is left to compare.
        limit = floor(limit)
        if not 0 <= limit < 255:
            out.fill(limit < 0)
            return
    np.greater(plane, plane.dtype.type(limit), out=out.view(np.bool_))


def _quantised_threshold(spec: ModelSpec) -> float:
    """Return the decision's probability as a score in the units of the planes from `_planes`."""
    logit = log(spec.decision.value / (1.0 - spec.decision.value))
    if spec.output.dtype == "float32":
        return logit
    return logit / spec.output.scale + spec.output.zero_point + (128 if spec.output.dtype == "int8" else 0)


def _enlarge_ids(
    ids: np.ndarray, spec: ModelSpec, content_shape: tuple[int, int], scratch: Scratch, mask: np.ndarray
) -> None:
    """Scale class ids up to the size of `mask` and write them into it."""
    stride = spec.output.stride_px
    size = (ids.shape[0] * stride, ids.shape[1] * stride)
    large = resize(ids, *size, "nearest", scratch.array("ids", size, np.uint8))[: content_shape[0], : content_shape[1]]
    if large.shape == mask.shape:
        mask[...] = large
    else:
        resize(large, mask.shape[0], mask.shape[1], "nearest", mask)
