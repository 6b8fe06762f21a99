"""What members of the student's family cost on this machine: width, output stride, decoder's width, early stages.

Nothing is trained. Every network is exported as the chain exports it, and the whole pipelines (pre + infer + post) of
one engine and precision are timed in turns, A B A B, each held against the first: a ratio above 1 is a faster network.
Masks of untrained networks are noise, the worst case of post-processing, so that ratios are rather too small.

    python benchmarks/networks/student_family.py --widths 1.0 0.75 0.5 --strides 2 4 8 --decoder-widths 0 0.5

prints one JSON object. A decoder's width of 0 is the encoder's; the first network has the first of each.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from edgeseg.benchmarks.compare import compare_rows
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.compress.as_trained import as_trained
from edgeseg.compress.cost import cost
from edgeseg.compress.search.depth import Depth, shallower_arch
from edgeseg.export.layers.graph import Precision
from edgeseg.pipeline.target.local import LocalProbe
from edgeseg.runtime.opening.selection import target_name
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import Decoder, efficient_unet_arch
from edgeseg.train.models.lite_encoder import round_channels

Arch = dict[str, Any]
CLASSES = ("background", "nerve", "vessel")
STRIDE_PX = 32
# What can be done about the stages at half the image's size, by name.
EARLY = ("whole", "half-stem", "half-expansion", "no-first-stage")
FILES: dict[str, tuple[str, Precision]] = {
    "ort-fp32": ("onnxruntime", "fp32"),
    "ort-int8": ("onnxruntime", "int8"),
    "litert-fp32": ("litert", "fp32"),
    "litert-int8": ("litert", "int8"),
}


class Member(NamedTuple):
    """One network of the family; `decoder` None has the encoder's width."""

    width: float
    stride: int
    decoder: float | None
    early: str

    @property
    def name(self) -> str:
        """For rows and files."""
        decoder = "" if self.decoder is None else f" decoder {self.decoder:g}"
        early = "" if self.early == "whole" else f" {self.early}"
        return f"width {self.width:g} stride {self.stride}{decoder}{early}"

    def build(self, in_channels: int) -> SegmentationNet:
        """The network, with weights from a seed and batch norms as any training leaves them."""
        torch.manual_seed(0)
        decoder = Decoder(self.decoder, self.stride)
        arch = efficient_unet_arch(in_channels, len(CLASSES), width=self.width, decoder=decoder)
        network = build_model(_EARLY[self.early](arch))
        as_trained(network)
        return network.eval()


def _half_stem(arch: Arch) -> Arch:
    """Stem and first stage with half as many channels, whatever expands them left as it is."""
    arch["stem"] = round_channels(arch["stem"] / 2)
    first = arch["blocks"][0][0]
    first |= {"mid": arch["stem"], "out": round_channels(first["out"] / 2)}
    return arch


def _half_expansion(arch: Arch) -> Arch:
    """The block that works at half the image's size and halves it expands by half as much."""
    block = arch["blocks"][1][0]
    block["mid"] = round_channels(block["mid"] / 2, 16)
    return arch


_EARLY: dict[str, Callable[[Arch], Arch]] = {
    "whole": lambda arch: arch,
    "half-stem": _half_stem,
    "half-expansion": _half_expansion,
    "no-first-stage": lambda arch: shallower_arch(arch, Depth(first=1)),
}


def members(args: argparse.Namespace) -> list[Member]:
    """Every combination asked for, the first of each in front."""
    decoders = [None if width == 0 else width for width in args.decoder_widths]
    return [Member(*one) for one in itertools.product(args.widths, args.strides, decoders, args.early)]


def compare(kind: str, networks: dict[str, SegmentationNet], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Export and time all networks for one engine and precision: a row each."""
    engine, precision = FILES[kind]
    frame = np.random.default_rng(0).integers(0, 256, (args.size, args.size, 3)[: 2 + args.rgb], dtype=np.uint8)
    spec = InputSpec("rgb" if args.rgb else "gray", Geometry("resize", args.size, args.size), STRIDE_PX)
    probe = LocalProbe(target_name(engine), spec, CLASSES, frame, threads=args.threads, precision=precision)
    config = HarnessConfig(threads=args.threads, processes=args.processes, blocks=args.blocks, seconds=args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        subjects = []
        for name, network in networks.items():
            print(f"{kind}: write {name}", file=sys.stderr)  # noqa: T201
            subjects.append(probe.export(network, Path(folder) / name))
        print(f"{kind}: measure", file=sys.stderr)  # noqa: T201
        result = measure(subjects, frame, config)
    first = subjects[0].name
    rows = []
    for subject in subjects:
        row = result.row(subject.name)
        medians = {stage: one.p50 for stage in ("total", "infer", "post") if (one := row.distribution(stage))}
        found: dict[str, Any] = {"network": row.name, "p50_ms": medians, "bytes": row.model.bytes, "reason": row.reason}
        if row.processes and result.row(first).processes:
            ratio = compare_rows(result, first, row.name)
            found["times_as_fast"] = dataclasses.asdict(ratio) | {"notes": None}
        rows.append(found)
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.75, 0.5], help="(default: 1.0 0.75 0.5)")
    parser.add_argument("--strides", type=int, nargs="+", default=[2, 4, 8], help="of the output (default: 2 4 8)")
    parser.add_argument("--decoder-widths", type=float, nargs="+", default=[0.0], help="0: the encoder's (default: 0)")
    parser.add_argument("--early", nargs="+", choices=EARLY, default=["whole"], help="early stages (default: whole)")
    files = ["ort-fp32", "ort-int8", "litert-int8"]
    parser.add_argument("--files", nargs="+", choices=FILES, default=files, help=f"(default: {' '.join(files)})")
    parser.add_argument("--size", type=int, default=256, help="side of the frame [px], multiple of 32 (default: 256)")
    parser.add_argument("--rgb", action="store_true", help="three input channels; gray otherwise")
    parser.add_argument("--threads", type=int, default=2, help="of the engine (default: 2)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each network and file (default: 5)")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes (default: 5)")
    parser.add_argument("--blocks", type=int, default=5, help="turns in each process (default: 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)  # nothing of ours may take the cores while others are timed
    channels = 3 if args.rgb else 1
    networks = {one.name: one.build(channels) for one in members(args)}
    costs = {name: cost(one, (1, channels, args.size, args.size)) for name, one in networks.items()}
    about: dict[str, Any] = {"size_px": args.size, "threads": args.threads, "color": "rgb" if args.rgb else "gray"}
    about |= {"device": read_device().to_json(), "software": read_software()}
    about["networks"] = {name: {"params": one.params, "macs": one.macs} for name, one in costs.items()}
    about["files"] = {kind: compare(kind, networks, args) for kind in args.files}
    print(json.dumps(about, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
