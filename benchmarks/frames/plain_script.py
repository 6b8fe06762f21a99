"""The whole pipeline against a plain script for the same ONNX file, from a decoded colour frame to its mask, A B A B.

The script is what a good engineer writes in an afternoon: OpenCV for colour and size, one ONNX Runtime session with the
same threads, every score plane enlarged to the frame and compared there; large frames in overlapping tiles, one at a
time, each one's middle kept. `low-res` compares the scores as they are and enlarges the class ids, which is cheaper and
leaves borders in steps of a cell: how many pixels that moves is `differs`.

    python benchmarks/frames/plain_script.py runs/demo/demo.edgeseg --variant onnx-int8-x86 --threads 1

prints one JSON object: by case the medians [ms] and how many times faster the runtime is, with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.benchmarks.results.result_file import process_from_json
from edgeseg.benchmarks.results.samples import ProcessRun
from edgeseg.benchmarks.speedup import speedup
from edgeseg.benchmarks.subject import Frame, Stages
from edgeseg.benchmarks.timing.clock import MachineClock
from edgeseg.benchmarks.timing.loop import time_subjects
from edgeseg.runtime.backends.ort import OrtBackend, open_session, session_options
from edgeseg.runtime.golden import decode_png, differing_share
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

TILES = Geometry("tile", tile_px=512, overlap_px=64)
CASES = {"640x480": None, "1920x1080": None, "4096x3000": TILES}
NAMES = ("runtime", "plain", "low-res")
_KINDS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA, "halving": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST}


class Whole:
    """From a frame to its mask in one go, timed as the middle one of three stages."""

    engine = "onnxruntime"

    def __init__(self, call: Callable[[Frame], Frame], close: Callable[[], None]) -> None:
        self._call, self.close = call, close

    def prepare(self, frame: Frame, /) -> Frame:
        """Nothing."""
        return frame

    def infer(self, prepared: Frame, /) -> Frame:
        """All of it."""
        return self._call(prepared)

    def finish(self, scores: Frame, prepared: Frame, /) -> Frame:  # noqa: ARG002
        """Nothing."""
        return scores


class PlainScript:
    """The script, for one model file.

    Args:
        content: The ONNX file.
        spec: What it takes and returns; scores in NCHW.
        threads: Of the session.
        low_res: Compare the scores before enlarging.
    """

    def __init__(self, content: bytes, spec: ModelSpec, threads: int, low_res: bool) -> None:
        # As the runtime does, so that the network takes as long.
        self._session = open_session(content, session_options(threads))
        self._name = self._session.get_inputs()[0].name
        self._spec, self._low_res = spec, low_res

    def __call__(self, frame: Frame) -> Frame:
        """The mask of a colour frame."""
        pixels = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if self._spec.input.color == "gray" else frame
        geometry = self._spec.input.geometry
        if geometry.mode == "tile":
            return self._tiled(pixels, int(geometry.tile_px or 0), int(geometry.overlap_px or 0))
        size = (int(geometry.width_px or 0), int(geometry.height_px or 0))
        small = cv2.resize(pixels, size, interpolation=_KINDS[geometry.interpolation])
        return self._mask(self._scores(small), frame.shape[1], frame.shape[0])

    def _scores(self, pixels: Frame) -> np.ndarray:
        batch = pixels[None, :, :, None] if pixels.ndim == 2 else pixels[None]
        scores: np.ndarray = self._session.run(None, {self._name: np.ascontiguousarray(batch)})[0][0]
        return scores

    def _mask(self, scores: np.ndarray, width: int, height: int) -> Frame:
        if self._low_res:
            ids = scores.argmax(axis=0).astype(np.uint8)
            return np.asarray(cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST))
        large = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in scores])
        mask: Frame = large.argmax(axis=0).astype(np.uint8)
        return mask

    def _tiled(self, pixels: Frame, side: int, overlap: int) -> Frame:
        height, width = pixels.shape[:2]
        mask = np.empty((height, width), np.uint8)
        tops, lefts = (
            [*range(0, size - side, side - overlap), size - side] for size in (max(height, side), max(width, side))
        )
        below, right = max(0, side - height), max(0, side - width)
        pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REFLECT_101) if below or right else pixels
        for top in tops:
            for left in lefts:
                found = self._mask(self._scores(pixels[top : top + side, left : left + side]), side, side)
                y, x = (overlap // 2 if begin else 0 for begin in (top, left))
                part = found[y : height - top, x : width - left]
                mask[top + y : top + side, left + x : left + side] = part
        return mask


def open_all(bundle: Path, variant: str, case: str, threads: int) -> tuple[dict[str, Stages], Frame]:
    """The subjects of a case and its frame, colour, uint8 (H, W, 3)."""
    width, height = map(int, case.split("x"))
    with Bundle.open(bundle) as opened:
        chosen = opened.variant(variant)
        content = opened.read(chosen.file)
        drawn = decode_png(opened.read(opened.manifest.golden[0].input), "golden frame")
    spec, geometry = chosen.spec, CASES[case]
    if geometry is None:
        frame = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        spec = replace(spec, input=replace(spec.input, geometry=geometry))
        frame = np.tile(drawn, (height // drawn.shape[0] + 1, width // drawn.shape[1] + 1))[:height, :width]
    segmenter = Segmenter(OrtBackend(content, spec, threads), variant)
    plain, low_res = (PlainScript(content, spec, threads, low_res=one) for one in (False, True))
    calls: dict[str, Stages] = {
        "runtime": Whole(lambda one: segmenter(one).mask, segmenter.close),
        "plain": Whole(plain, lambda: None),
        "low-res": Whole(low_res, lambda: None),
    }
    return calls, np.repeat(frame[:, :, None], 3, axis=2) if frame.ndim == 2 else frame


def measure_once(args: argparse.Namespace, config: HarnessConfig) -> dict[str, Any]:
    """One case in this process, in turns."""
    cv2.setNumThreads(args.threads)
    subjects, frame = open_all(args.bundle, args.variant, args.once, args.threads)
    masks = {name: one.infer(frame) for name, one in subjects.items()}
    differs = {name: differing_share(mask, masks["runtime"]) for name, mask in masks.items()}
    runs = time_subjects(subjects, frame, config, MachineClock(), lambda _name: None)
    foreground = float(np.count_nonzero(masks["runtime"])) / masks["runtime"].size
    return {"runs": {name: asdict(run) for name, run in runs.items()}, "differs": differs, "foreground": foreground}


def summarize(replies: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians [ms] and ratios of one case."""
    runs: dict[str, list[ProcessRun]] = {
        name: [process_from_json(one["runs"][name]) for one in replies] for name in NAMES
    }
    nested = {name: [[b.stage_ms("infer") for b in p.blocks] for p in processes] for name, processes in runs.items()}
    medians = {name: float(np.median(np.concatenate([b for p in some for b in p]))) for name, some in nested.items()}
    return {
        "p50_ms": medians,
        "runtime_is_faster_than": {
            name: speedup(nested[name], nested["runtime"]).to_json() for name in NAMES if name != "runtime"
        },
        "differs": replies[0]["differs"],
        "foreground": replies[0]["foreground"],
    }


def main() -> int:
    """Measure every case in fresh processes and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle with ONNX variants")
    parser.add_argument("--variant", default="onnx-int8-x86", help="of the bundle (default: onnx-int8-x86)")
    parser.add_argument("--case", action="append", choices=CASES, help="frame's size (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of engine and OpenCV (default: 2)")
    parser.add_argument("--seconds", type=float, default=20.0, help="measuring time a subject and case (default: 20)")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes (default: 5)")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = HarnessConfig(args.threads, args.processes, blocks=4, seconds=args.seconds, min_samples=20)
    if args.once:
        print(json.dumps(measure_once(args, config)))  # noqa: T201
        return 0
    found: dict[str, Any] = {"variant": args.variant, "threads": args.threads}
    for case in args.case or CASES:
        command = [sys.executable, __file__, *sys.argv[1:], "--once", case]
        with Turns().measuring():
            replies = [
                json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603
                for _ in range(args.processes)
            ]
        found[case] = summarize(replies)
    about = {"device": read_device().to_json(), "software": read_software()}
    print(json.dumps({**found, **about}, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
