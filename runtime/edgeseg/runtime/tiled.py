"""One frame in tiles, from its pixels to its result, without ever holding the scores of all of it."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tile_stream import Infer, TileStream
from edgeseg.runtime.result import Result, times_ms
from edgeseg.runtime.spec.manifest import ModelSpec


def segment_tiles(frame: np.ndarray, spec: ModelSpec, infer: Infer, scratch: Scratch, regions: bool) -> Result:
    """Segment a frame by a model whose geometry is `tile`.

    Args:
        frame: As for `prepare`.
        spec: The model.
        infer: Runs the network on tiles, uint8 (N, side, side, C), and returns its output.
        scratch: Memory kept from frame to frame.
        regions: Also find the regions.

    Raises:
        FrameError: As `prepare`.
        BackendError: If the engine fails, or its scores are not what the spec promises.
    """
    stream = TileStream(frame, spec, infer, scratch)
    if not regions:
        return Result(stream.mask(), None, None, times_ms(*stream.times_ns))
    from edgeseg.runtime.frame.strip_regions import StripRegions

    found = StripRegions(spec, frame.shape[1])
    mask = stream.mask(found)
    pre_ns, infer_ns, post_ns = stream.times_ns
    times = times_ms(pre_ns, infer_ns, post_ns - found.spent_ns)
    return Result(mask, None, found.regions(), times | {"extras": found.spent_ns / 1e6})
