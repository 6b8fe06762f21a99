"""What blending overlapping tiles is worth in Dice: Gaussian weights against keeping each tile's side of the middle.

    python benchmarks/frames/tile_blend.py runs/demo/demo.edgeseg runs/demo/data/* --tile 64 --overlap 32

prints one JSON object. Frames are brought to the size the network was trained at, cut into tiles there, and the scores
joined in each way; `whole` is the frame in one piece. `--mosaic 2` lays 2x2 frames side by side first, so that tiles as
large as the frames of the training can be cut.

Reference:
    Isensee et al. 2021, Nature Methods 18, nnU-Net: Gaussian importance weighting, sigma = 1/8 of the tile.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.data.dataset import read_image
from edgeseg.runtime.frame.postprocess import score_cells, softmax, to_mask
from edgeseg.runtime.frame.preprocess import Prepared, prepare
from edgeseg.runtime.frame.tiling import TileGrid, extract, plan_tiles, stitch
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.choice import choose_samples
from edgeseg.runtime.score.drops import dice_drop
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.score.opening import About, open_for
from edgeseg.runtime.spec.manifest import Geometry

_SIGMA = 1 / 8
WAYS = ("whole", "centre", "gaussian_logits", "gaussian_probabilities")


def gaussian(cells: np.ndarray, grid: TileGrid, stride: int) -> np.ndarray:
    """Join the scores of tiles, (T, h, w, K), as means weighted by a Gaussian around each tile's middle."""
    side = cells.shape[1]
    one = np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (_SIGMA * side)) ** 2)
    weight = np.outer(one, one)[:, :, None]
    height, width = (size // stride for size in grid.padded_shape)
    total, weights = np.zeros((height, width, cells.shape[3])), np.zeros((height, width, 1))
    origins = [(top // stride, left // stride) for top in grid.tops for left in grid.lefts]
    for tile, (top, left) in zip(cells, origins, strict=True):
        total[top : top + side, left : left + side] += tile * weight
        weights[top : top + side, left : left + side] += weight
    return (total / weights).astype(np.float32)


def masks_of(frame: np.ndarray, backend: Backend, tile_px: int, overlap_px: int) -> list[np.ndarray]:
    """The masks of one frame, in the order of `WAYS`."""
    spec = backend.spec
    prepared = prepare(frame, spec.input)
    grid = plan_tiles(prepared.tensor.shape[1:3], tile_px, overlap_px, spec.input.stride_px)
    tiles = extract(prepared.tensor[0], grid)
    stride = spec.output.stride_px
    scores = np.concatenate([backend.infer(tile[None]) for tile in tiles])
    cells = score_cells(scores, spec, tiles.shape)
    chances = np.stack([softmax(one.transpose(2, 0, 1).copy()).transpose(1, 2, 0) for one in cells])
    joined = [
        score_cells(backend.infer(prepared.tensor), spec, prepared.tensor.shape)[0],
        stitch(cells, grid, stride),
        gaussian(cells, grid, stride),
        np.log(gaussian(chances, grid, stride)),
    ]
    return [_mask(one, backend, prepared) for one in joined]


def _mask(cells: np.ndarray, backend: Backend, prepared: Prepared) -> np.ndarray:
    turned = cells.transpose(2, 0, 1) if backend.spec.output.layout == "NCHW" else cells
    return to_mask(np.ascontiguousarray(turned)[None], backend.spec, prepared)


def mosaics(parts: list[np.ndarray], side: int) -> list[np.ndarray]:
    """Lay arrays (H, W) or (H, W, C) side by side in squares of side x side; what is left over is not used."""
    rows = [np.hstack(parts[first : first + side]) for first in range(0, len(parts) - side + 1, side)]
    return [np.vstack(rows[first : first + side]) for first in range(0, len(rows) - side + 1, side)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle with a float ONNX variant of free size")
    parser.add_argument("data", type=Path, help="its data set; the split test is scored")
    parser.add_argument("--tile", type=int, required=True, help="side of a tile [px]")
    parser.add_argument("--overlap", type=int, required=True, help="overlap of tiles [px]")
    parser.add_argument("--mosaic", type=int, default=1, help="frames laid side by side, along and down (default: 1)")
    args = parser.parse_args()
    with Bundle.open(args.bundle) as bundle:
        entry, its = bundle.variant("onnx-fp32"), bundle.manifest
        spec = entry.spec
        if args.mosaic > 1:
            spec = replace(spec, input=replace(spec.input, geometry=Geometry("native")))
        backend = open_backend(bundle.read(entry.file), spec, 1)
    samples = choose_samples(open_for(About(its.classes, its.input, its.data), args.data).data, "test").samples
    scores: dict[str, list[ImageScore]] = {way: [] for way in WAYS}
    frames = mosaics([read_image(one.image, its.input.color, one.window) for one in samples], args.mosaic)
    truths = mosaics([one.read_truth(len(its.classes)) for one in samples], args.mosaic)
    for number, (frame, truth) in enumerate(zip(frames, truths, strict=True)):
        for way, mask in zip(WAYS, masks_of(frame, backend, args.tile, args.overlap), strict=True):
            scores[way].append(score_image(mask, truth, len(its.classes), stem=str(number)))
    told: dict[str, Any] = {"tile_px": args.tile, "overlap_px": args.overlap, "n_frames": len(frames)}
    told["dice_mean"] = {way: summarize(own, its.classes)["dice_mean"] for way, own in scores.items()}
    told["drop_from_centre"] = {way: dice_drop(scores["centre"], own, None) for way, own in scores.items()}
    json.dump(told, sys.stdout, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
