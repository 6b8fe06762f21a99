"""How far a sum of layers is from whole networks: the latency table of this machine against students measured whole.

Each student (thinner and wider ones, and one that is pruned unevenly) is exported at the precision that ships, and the
files are timed in turns, A B A B; compared is the engine's part. The line between table sums and measured times is
fitted to all students but one, and that one is predicted: the error printed first is of networks the line has not seen.

    python benchmarks/networks/latency_table.py --target x86-ort --size 256

prints one JSON object. Layers that were measured before are taken from the cache file, if one is given.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.benchmarks.layers.job import LayerConfig
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.compress.as_trained import as_trained
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.probe import Layer, Measurement
from edgeseg.compress.search.prune import prune, target_widths
from edgeseg.pipeline.target.local import LocalProbe, brief
from edgeseg.runtime.engines import TARGETS
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

CLASSES = ("background", "nerve", "vessel")
STRIDE_PX = 32


def candidates(widths: list[float], checkpoint: Path | None) -> dict[str, SegmentationNet]:
    """Students by name: one per width, one pruned, and the one of a checkpoint."""
    torch.manual_seed(0)
    arch = {width: efficient_unet_arch(1, len(CLASSES), width=width) for width in widths}
    networks = {f"width {width:g}": build_model(its) for width, its in arch.items()}
    widest = build_model(arch[max(widths)])
    target = target_widths(widest, 0.7)
    uneven = {name: n if index % 2 else max(8, n // 16 * 8) for index, (name, n) in enumerate(target.items())}
    networks["pruned"] = prune(widest, uneven, (64, 64), "random")
    for network in networks.values():
        as_trained(network)
    if checkpoint is not None:
        networks[checkpoint.name] = load_checkpoint(checkpoint)[0]
    return networks


def compare(
    table: LatencyTable, layers: dict[str, list[Layer]], measured: dict[str, Measurement]
) -> tuple[list[dict[str, Any]], dict[str, float | None]]:
    """One row per network; median errors (ratios): held out, fitted, and of the plain sum."""
    rows = [
        {"network": name, "layers": len(layers[name]), "sum_ms": table.predict_ms(layers[name])}
        | dataclasses.asdict(measured[name])
        for name in layers
    ]
    # The engine alone: these networks are not trained, and what post-processing takes depends on the mask.
    times = {name: one.infer_ms for name, one in measured.items() if one.infer_ms is not None}
    pairs = [(layers[name], ms) for name, ms in times.items()]
    errors: dict[str, float | None] = {"plain_sum": table.error(pairs) if pairs else None}
    held_out = {}
    for index, name in enumerate(times) if len(pairs) > 1 else ():
        table.fit_offset(pairs[:index] + pairs[index + 1 :])
        held_out[name] = table.predict_ms(layers[name])
    if pairs:
        table.fit_offset(pairs)
        errors["fitted"] = table.error(pairs)
    for row in rows:
        row["predicted_held_out_ms"] = held_out.get(str(row["network"]))
    off = [abs(ms - times[name]) / times[name] for name, ms in held_out.items()]
    return rows, {"held_out": statistics.median(off) if off else None, **errors}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="x86-ort", help=f"one of {', '.join(TARGETS)} (default: x86-ort)")
    parser.add_argument("--size", type=int, default=256, help="side of the frame [px], multiple of 32 (default: 256)")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.25, 0.5, 0.75], help="(default: 0.25 0.5 0.75)")
    parser.add_argument("--checkpoint", type=Path, help="folder of a student, measured beside the others")
    parser.add_argument("--threads", type=int, default=2, help="of the engine (default: 2)")
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8", help="(default: int8)")
    parser.add_argument("--rounds", type=int, default=5, help="of each layer and process (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each network (default: 1.5)")
    parser.add_argument("--cache", type=Path, help="file of measured layers (default: none kept)")
    return parser.parse_args()


def main() -> int:
    """Measure layers and networks, and print how well the ones predict the others."""
    args = _options()
    torch.set_num_threads(1)  # nothing of ours may take the cores while others are timed
    geometry = Geometry("resize", args.size, args.size)
    probe = LocalProbe(
        args.target,
        InputSpec("gray", geometry, STRIDE_PX),
        CLASSES,
        np.random.default_rng(0).integers(0, 256, (args.size, args.size), dtype=np.uint8),
        threads=args.threads,
        precision=args.precision,
        layer_config=LayerConfig(rounds=args.rounds),
        harness=dataclasses.replace(brief(args.threads), seconds=args.seconds),
    )
    networks = candidates(args.widths, args.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        table = LatencyTable(probe, args.cache or Path(folder) / "layers.json")
        layers = {name: table.layers_of(network, (args.size, args.size)) for name, network in networks.items()}
        every = [layer for its in layers.values() for layer in its]
        table.ensure(every, lambda done, what: print(f"{done:4.0%} of {what}", file=sys.stderr))  # noqa: T201
        print("the networks themselves", file=sys.stderr)  # noqa: T201
        measured = dict(zip(networks, probe.measure_all(list(networks.values())), strict=True))
        rows, errors = compare(table, layers, measured)
    line = {"offset_ms": table.offset_ms, "factor": table.factor}
    about = {"identity": probe.identity, "device": read_device().to_json(), "software": read_software()}
    setting = {"target": args.target, "size_px": args.size, "layers_measured": len(table)}
    print(json.dumps({**setting, "median_error": errors, "line": line, "networks": rows, **about}, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
