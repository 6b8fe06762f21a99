"""A large colour frame in tiles: the peak of memory over frame and open model, and its time by the engine's own.

    python benchmarks/frames/tile_memory.py runs/demo/demo.edgeseg --variant onnx-int8-x86 --side 8192

prints one JSON object. One thread, and processor time, so that other programs do not count. Needs Linux' /proc.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from time import thread_time

import cv2
import numpy as np

from edgeseg.benchmarks.machine.memory import peak_memory_mib
from edgeseg.runtime.backends.ort import OrtBackend
from edgeseg.runtime.frame.preprocess import plan_tiles_of
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry

_CALLS = 40


def resident_mib() -> float:
    """Resident memory of this process, whose high-water mark begins anew from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    peak = peak_memory_mib()
    assert peak is not None, "needs Linux' /proc"
    return peak


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle with ONNX variants")
    parser.add_argument("--variant", default="onnx-int8-x86", help="of the bundle (default: onnx-int8-x86)")
    parser.add_argument("--side", type=int, default=8192, help="height and width of the frame [px] (default: 8192)")
    parser.add_argument("--tile", type=int, default=512, help="side of a tile [px] (default: 512)")
    parser.add_argument("--overlap", type=int, default=64, help="overlap of tiles [px] (default: 64)")
    parser.add_argument("--regions", action="store_true", help="find the regions, too")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with Bundle.open(args.bundle) as bundle:
        chosen = bundle.variant(args.variant)
        content = bundle.read(chosen.file)
        drawn = decode_png(bundle.read(bundle.manifest.golden[0].input), "golden frame")
    geometry = Geometry("tile", tile_px=args.tile, overlap_px=args.overlap)
    spec = replace(chosen.spec, input=replace(chosen.spec.input, geometry=geometry))
    gray = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY) if drawn.ndim == 3 else drawn
    frame = np.empty((args.side, args.side, 3), np.uint8)
    for top in range(0, args.side, len(gray)):
        rows = np.tile(gray, (1, args.side // gray.shape[1] + 1))[: args.side - top, : args.side]
        frame[top : top + len(rows)] = rows[:, :, None]
    backend = OrtBackend(content, spec, 1)
    with Segmenter(backend, args.variant) as segmenter:
        before = resident_mib()
        start = thread_time()
        segmenter(frame, regions=args.regions)
        whole_s, over = thread_time() - start, (peak_memory_mib() or 0.0) - before
        tile = np.ascontiguousarray(frame[: args.tile, : args.tile, : spec.input.channels])[None]
        n_tiles = len(plan_tiles_of((args.side, args.side), spec.input))
        calls = min(n_tiles, _CALLS)
        start = thread_time()
        for _ in range(calls):
            backend.infer(tile)
        engine_s = (thread_time() - start) / calls * n_tiles
    sizes = {"side_px": args.side, "tiles": n_tiles, "frame_mib": frame.nbytes / 2**20, "regions": args.regions}
    found = {"peak_over_frame_mib": over, "whole_s": whole_s, "engine_s": engine_s, "ratio": whole_s / engine_s}
    print(json.dumps({"variant": args.variant, **sizes, **found}, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
