"""From a network's low-resolution scores to a mask and probabilities at the frame's own size.

The scores are scaled up plane by plane and only then compared: smoother borders than scaling ids up. That is done
only where there can be foreground (see `window`). Quantised scores are never turned into floats for a mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, log

import cv2
import numpy as np

from edgeseg.runtime.errors import BackendError, ManifestError
from edgeseg.runtime.frame.preprocess import Prepared, resize
from edgeseg.runtime.frame.tiling import stitch
from edgeseg.runtime.frame.window import Window, foreground_window, whole_window
from edgeseg.runtime.manifest import ModelSpec


@dataclass
class Scratch:
    """Enlarged planes kept from frame to frame: the kernel's work of handing out fresh pages took half the time.

    Not safe to share between threads.
    """

    _memory: dict[str, np.ndarray] = field(default_factory=dict)

    def plane(self, name: str, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """Return the plane of this name with whatever is in it; new memory only where a larger one is asked for."""
        size = shape[0] * shape[1]
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = np.empty(size, dtype)
        return memory[:size].reshape(shape)


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
    planes = _planes(scores, spec, prepared)
    if spec.output.kind == "class_ids":
        return _ids_to_mask(planes[0], spec, prepared)
    whole = _whole(spec, prepared)
    planes = planes[(slice(None), *whole.cells)]
    mask = np.zeros(prepared.frame_shape, np.uint8)
    if spec.output.activation == "sigmoid":
        limit = _quantised_threshold(spec)
        window = foreground_window(_threshold(planes[0], limit), whole)
        if window is not None:
            mask[window.pixels] = _threshold(_enlarge(planes[0], window), limit)
        return mask
    window = foreground_window(cv2.compare(_highest(planes[1:]), planes[0], cv2.CMP_GT), whole)
    if window is not None:
        _argmax(planes, window, scratch or Scratch(), mask[window.pixels])
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
    logits = np.empty((len(spec.classes), *prepared.frame_shape), np.float32)
    for plane, large in zip(to_logits(planes, spec), logits, strict=True):
        large[...] = _enlarge(plane, whole)
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
    return _planes(scores, spec, prepared)[(slice(None), *whole.cells)], whole


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


def _planes(scores: np.ndarray, spec: ModelSpec, prepared: Prepared) -> np.ndarray:
    """Return the low-resolution planes of the whole frame, (K, h, w), contiguous, int8 moved to uint8."""
    cells = _as_nhwc(scores, spec)
    stride = spec.output.stride_px
    count, height, width = prepared.tensor.shape[:3]
    n_planes = 1 if spec.output.kind == "class_ids" else spec.n_planes
    if cells is None or cells.shape != (count, height // stride, width // stride, n_planes):
        expected = f"{n_planes} plane(s) at 1/{stride} of {count}x{height}x{width} px in {spec.output.layout}"
        raise BackendError(f"The model returned shape {scores.shape}, its spec says {expected}. Export both again.")
    joined = stitch(cells, prepared.grid, stride) if prepared.grid else cells[0]
    planes = np.ascontiguousarray(joined.transpose(2, 0, 1))
    if spec.output.kind == "scores" and planes.dtype == np.int8:
        # Same order, and OpenCV's fast paths are for uint8.
        return planes.view(np.uint8) ^ np.uint8(0x80)
    return planes


def _as_nhwc(scores: np.ndarray, spec: ModelSpec) -> np.ndarray | None:
    """Return a view with the axes (N, h, w, K), or None where the axes cannot be those of the spec."""
    if spec.output.kind == "class_ids" and scores.ndim == 3:
        return scores[:, :, :, None]
    if scores.ndim != 4:
        return None
    return scores if spec.output.layout == "NHWC" else scores.transpose(0, 2, 3, 1)


def _whole(spec: ModelSpec, prepared: Prepared) -> Window:
    return whole_window(prepared.content_shape, prepared.frame_shape, spec.output.stride_px)


def _enlarge(plane: np.ndarray, window: Window, out: np.ndarray | None = None) -> np.ndarray:
    """Scale the window of a plane up to the frame's size, without what belongs to the padding; `out` may be used."""
    # Where something is left out, the second step reads what the first has written: `out` is the second one's alone.
    first = out if window.enlarged == window.content == window.shape else None
    large = resize(plane[window.cells], *window.enlarged, "linear", first)
    return resize(large[: window.content[0], : window.content[1]], *window.shape, "linear", out)


def _highest(planes: np.ndarray) -> np.ndarray:
    """The largest of several planes, cell by cell."""
    highest: np.ndarray = planes[0]
    for plane in planes[1:]:
        highest = cv2.max(highest, plane)
    return highest


def _argmax(planes: np.ndarray, window: Window, scratch: Scratch, mask: np.ndarray) -> None:
    """Write the index of the highest plane per pixel into `mask`, which is 0; holds two enlarged planes, not all."""
    best = _enlarge(planes[0], window, scratch.plane("best", window.shape, planes.dtype))
    free = scratch.plane("other", window.shape, planes.dtype)
    higher = scratch.plane("higher", window.shape, np.dtype(np.uint8))
    for class_id in range(1, len(planes)):
        plane = _enlarge(planes[class_id], window, free)
        cv2.compare(plane, best, cv2.CMP_GT, higher)  # 255 where this class wins so far
        np.bitwise_and(higher, np.uint8(class_id), out=higher)
        # A later winner has a higher id than an earlier one, so the maximum keeps the last winner.
        np.maximum(mask, higher, out=mask)
        if class_id + 1 < len(planes):
            # Not into `best` itself: at stride 1 it is a view of the engine's output.
            best = np.maximum(best, plane, out=scratch.plane("best", window.shape, planes.dtype))


def _threshold(plane: np.ndarray, limit: float) -> np.ndarray:
    """Return 1 where the plane is above the limit, uint8."""
    if plane.dtype == np.uint8:
        # Whole numbers above a fractional limit are those above its floor. Outside 0..255 nothing is left to compare.
        limit = floor(limit)
        if not 0 <= limit < 255:
            return np.full(plane.shape, limit < 0, np.uint8)
        return cv2.threshold(plane, limit, 1, cv2.THRESH_BINARY)[1]
    return (plane > np.float32(limit)).view(np.uint8)


def _quantised_threshold(spec: ModelSpec) -> float:
    """Return the decision's probability as a score in the units of the planes from `_planes`."""
    logit = log(spec.decision.value / (1.0 - spec.decision.value))
    if spec.output.dtype == "float32":
        return logit
    return logit / spec.output.scale + spec.output.zero_point + (128 if spec.output.dtype == "int8" else 0)


def _ids_to_mask(ids: np.ndarray, spec: ModelSpec, prepared: Prepared) -> np.ndarray:
    stride = spec.output.stride_px
    height, width = prepared.content_shape
    ids = ids.view(np.uint8)
    if stride > 1:
        ids = resize(ids, ids.shape[0] * stride, ids.shape[1] * stride, "nearest")
    mask = resize(ids[:height, :width], *prepared.frame_shape, "nearest")
    return mask.copy() if mask.base is not None else mask
