"""What another way of shrinking frames costs in Dice: each `geometry.interpolation` against the one of the training.

    python benchmarks/frames/interpolation_dice.py runs/ultrasound/ultrasound.edgeseg data/usgra_nerve_vessel

prints one JSON object: Dice of the FP32 ONNX variant on val with each way, the network as it is, and the drop from the
bundle's own with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.data.dataset import read_image
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.choice import choose_samples
from edgeseg.runtime.score.drops import dice_drop
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.score.opening import About, open_for
from edgeseg.runtime.spec.input_spec import Interpolation
from edgeseg.runtime.spec.manifest import ModelSpec

WAYS: tuple[Interpolation, ...] = get_args(Interpolation)


def spec_with(spec: ModelSpec, way: Interpolation) -> ModelSpec:
    """The same network, fed with frames that were shrunk another way."""
    geometry = replace(spec.input.geometry, interpolation=way)
    return replace(spec, input=replace(spec.input, geometry=geometry))


def main() -> int:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle with an FP32 ONNX variant that resizes")
    parser.add_argument("data", type=Path, help="its data set")
    parser.add_argument("--split", default="val", help="(default: val)")
    args = parser.parse_args()
    with Bundle.open(args.bundle) as bundle:
        entry, its = bundle.variant("onnx-fp32"), bundle.manifest
        backend, own = open_backend(bundle.read(entry.file), entry.spec, 1), entry.spec.input.geometry
    if own.mode != "resize":
        raise ConfigError(f"{args.bundle} does not resize frames ({own.mode}): there is nothing to compare")
    samples = choose_samples(open_for(About(its.classes, its.input, its.data), args.data).data, args.split).samples
    scores: dict[str, list[ImageScore]] = {way: [] for way in WAYS}
    for sample in samples:
        frame, truth = read_image(sample.image, its.input.color, sample.window), sample.read_truth(len(its.classes))
        for way in WAYS:
            spec = spec_with(entry.spec, way)
            prepared = prepare(frame, spec.input)
            mask = to_mask(np.ascontiguousarray(backend.infer(prepared.tensor)), spec, prepared)
            scores[way].append(score_image(mask, truth, len(its.classes), stem=sample.stem, group=sample.group))
    told = {
        "trained_with": own.interpolation,
        "n_images": len(samples),
        "dice_mean": {way: summarize(found, its.classes)["dice_mean"] for way, found in scores.items()},
        "drop": {way: dice_drop(scores[own.interpolation], found, None) for way, found in scores.items()},
    }
    print(json.dumps(told, indent=2))  # noqa: T201  the script's result
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgesegError as problem:
        sys.exit(f"error: {problem}")
