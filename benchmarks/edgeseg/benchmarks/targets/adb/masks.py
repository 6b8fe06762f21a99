"""Whether a phone sees what it should: golden pixels in, scores out, and their mask held against the bundle's.

`benchmark_model` takes an input's bytes from a file and writes its outputs' bytes to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.engine_only.probe import ask_inputs
from edgeseg.benchmarks.golden import GoldenFrame
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import in_dtype, prepare
from edgeseg.runtime.golden import differing_share, is_lost, overlap


@dataclass(frozen=True)
class Feed:
    """What one model is fed.

    Attributes:
        name: Of its only input.
        shape: Of that input.
        data: Its bytes.
    """

    name: str
    shape: tuple[int, ...]
    data: bytes

    def flags(self, file: str) -> list[str]:
        """Of `benchmark_model`; `file` lies on the phone."""
        return [
            f"--input_layer={self.name}",
            f"--input_layer_shape={','.join(map(str, self.shape))}",
            f"--input_layer_value_files={self.name.replace(':', '::')}:{file}",
        ]


class Seen(NamedTuple):
    """What a phone saw, as the scorer takes it."""

    mask: npt.NDArray[np.uint8]


def make_feed(subject: Subject, frame: Frame, timeout_s: float) -> Feed:
    """The pixels of a frame as the model takes them.

    Raises:
        MeasureError: The name of the input cannot be asked, or a frame is more than one input.
    """
    name = _only_input(subject.model, subject.spec.backend, timeout_s)
    tensor = in_dtype(prepare(frame, subject.spec.input).tensor, subject.spec.input_dtype)
    if len(tensor) != 1:
        raise MeasureError("frames are cut into tiles, of which benchmark_model takes one at a time")
    return Feed(name, tuple(tensor.shape), np.ascontiguousarray(tensor).tobytes())


@lru_cache(maxsize=64)
def _only_input(model: Path, backend: str, timeout_s: float) -> str:
    """Its name; asked once, since that takes a process."""
    inputs = ask_inputs(model, backend, timeout_s)
    if inputs is None or len(inputs) != 1:
        raise MeasureError("LiteRT on this machine cannot tell the name of its input: pip install 'edgeseg[litert]'")
    return inputs[0].name


def mask_of(subject: Subject, frame: Frame, output: bytes) -> npt.NDArray[np.uint8]:
    """The mask that the phone's scores make.

    Args:
        subject: The model.
        frame: What it was fed.
        output: Bytes of its output.

    Raises:
        MeasureError: They are not as many as the spec says.
    """
    prepared, want = prepare(frame, subject.spec.input), subject.spec.output
    height, width = (side // want.stride_px for side in prepared.tensor.shape[1:3])
    planes = 1 if want.kind == "class_ids" or want.activation == "sigmoid" else len(subject.spec.classes)
    shape: tuple[int, ...] = (1, planes, height, width) if want.layout == "NCHW" else (1, height, width, planes)
    if want.kind == "class_ids":
        shape = (1, height, width)
    expected = math.prod(shape) * np.dtype(want.dtype).itemsize
    if len(output) != expected:
        raise MeasureError(f"its output has {len(output)} bytes, its spec says {expected}: masks cannot be made of it")
    mask: npt.NDArray[np.uint8] = to_mask(np.frombuffer(output, want.dtype).reshape(shape), subject.spec, prepared)
    return mask


def agreement(subject: Subject, golden: list[GoldenFrame], outputs: list[Path]) -> dict[str, Any]:
    """How far the phone's masks are from the accepted ones.

    Returns:
        `frames`, `worst_differing_share` in [0, 1], `max_differing_share` allowed, `worst_overlap` (see
        `runtime.golden.overlap`), `agrees`.
    """
    shares, overlaps = [], []
    for one, file in zip(golden, outputs, strict=True):
        accepted, most = one.masks[subject.name]
        mask = mask_of(subject, one.frame, file.read_bytes())
        shares.append((differing_share(mask, accepted), most))
        overlaps.append(overlap(mask, accepted))
    return {
        "frames": len(shares),
        "worst_differing_share": max(share for share, _ in shares),
        "max_differing_share": max(most for _, most in shares),
        "worst_overlap": min((one for one in overlaps if one is not None), default=None),
        "agrees": not any(map(is_lost, overlaps)) and all(share <= most for share, most in shares),
    }
