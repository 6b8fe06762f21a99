"""What the runtime costs around the network: pre + post of a Segmenter against a plain numpy pipeline, A B A B.

No network runs: an engine that does nothing hands out the same scores each time. The plain pipeline is what a network
exported without thought makes necessary: pixels to float and divided by 255, and an argmax over full-size float scores.

    python benchmarks/frames/pipeline_overhead.py --size 256 --classes 3

prints one JSON object: medians [ms] by stage, and how many times faster the runtime is with its 95 % interval.

Post-processing looks only where there can be foreground, so what it takes depends on the mask. The scores are those of
one round object per class; `--noise` asks for the worst case, every cell drawn by chance.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

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
from edgeseg.runtime.backends.base import Backend
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, ModelSpec, OutputSpec

STRIDE_PX = 2


class FixedScores(Backend):
    """An engine that returns the same scores, uint8 (1, h, w, K) at stride 2, whatever it is given."""

    def _open(self, content: bytes) -> None:
        """Keep the scores, which are the file's whole content."""
        self.engine = "none"
        height = self.spec.input.geometry.height_px or 0
        width = self.spec.input.geometry.width_px or 0
        shape = (1, height // STRIDE_PX, width // STRIDE_PX, self.spec.n_planes)
        self._scores = np.frombuffer(content, np.uint8).reshape(shape)

    def _infer(self, tensor: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self._scores

    def _close(self) -> None:
        """Nothing to free."""


class PlainPipeline:
    """Pre- and post-processing as most example code writes it."""

    engine = "none"

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores  # float32, (1, K, H, W)

    def prepare(self, frame: Frame, /) -> np.ndarray:
        """Pixels in [0, 1], float32, (1, 1, H, W)."""
        return np.ascontiguousarray((frame / 255.0).astype(np.float32)[None, None])

    def infer(self, prepared: np.ndarray, /) -> np.ndarray:  # noqa: ARG002
        """The fixed scores."""
        return self._scores

    def finish(self, scores: np.ndarray, prepared: np.ndarray, /) -> Frame:  # noqa: ARG002
        """The class of the highest score, uint8, (H, W)."""
        mask: Frame = scores[0].argmax(axis=0).astype(np.uint8)
        return mask

    def close(self) -> None:
        """Nothing to free."""


def object_scores(side: int, n_classes: int) -> np.ndarray:
    """Scores of one round object per class on background, uint8 (side, side, K)."""
    rows, columns = np.mgrid[:side, :side] / side
    planes = [np.full((side, side), 100.0)]
    for turn in np.linspace(0.0, 2 * np.pi, n_classes - 1, endpoint=False):
        from_centre = np.hypot(rows - 0.5 - 0.15 * np.sin(turn), columns - 0.5 - 0.15 * np.cos(turn))
        planes.append(220 - 1000 * from_centre)
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def measure_once(size_px: int, n_classes: int, noise: bool, config: HarnessConfig) -> dict[str, ProcessRun]:
    """Both pipelines in this process, in turns."""
    rng = np.random.default_rng(0)
    frame: Frame = rng.integers(0, 256, (size_px, size_px), dtype=np.uint8)
    spec = ModelSpec(
        backend="onnxruntime",
        precision="int8",
        input=InputSpec("gray", Geometry("native", size_px, size_px), stride_px=STRIDE_PX),
        output=OutputSpec("scores", STRIDE_PX, "NHWC", "uint8", scale=0.1, zero_point=128),
        classes=tuple(f"class {i}" for i in range(n_classes)),
    )
    side = size_px // STRIDE_PX
    low = rng.integers(0, 256, (side, side, n_classes), dtype=np.uint8) if noise else object_scores(side, n_classes)
    high = low.repeat(STRIDE_PX, axis=0).repeat(STRIDE_PX, axis=1).transpose(2, 0, 1)[None]
    subjects: dict[str, Stages] = {
        "plain": PlainPipeline(np.ascontiguousarray(high, dtype=np.float32)),
        "runtime": Segmenter(FixedScores(low.tobytes(), spec, threads=1), "fixed scores"),
    }
    return time_subjects(subjects, frame, config, MachineClock(), lambda _name: None)


def summarize(runs: dict[str, list[ProcessRun]]) -> dict[str, Any]:
    """Medians by stage [ms], pre + post together, and the ratio with its interval."""
    medians: dict[str, Any] = {}
    nested: dict[str, list[list[np.ndarray]]] = {}
    for name, processes in runs.items():
        nested[name] = [[block.stage_ms("pre") + block.stage_ms("post") for block in p.blocks] for p in processes]
        stages = {
            stage: float(np.median(np.concatenate([b.stage_ms(stage) for p in processes for b in p.blocks])))
            for stage in ("pre", "post")
        }
        both = np.concatenate([block for process in nested[name] for block in process])
        medians[name] = {**stages, "pre_and_post": float(np.median(both)), "n": int(both.size)}
    return {"p50_ms": medians, "runtime_is_faster": speedup(nested["plain"], nested["runtime"]).to_json()}


def main() -> int:
    """Run the measurement in fresh processes and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the frame [px], even (default: 256)")
    parser.add_argument("--classes", type=int, default=3, help="number of classes (default: 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measuring time per pipeline (default: 5)")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes (default: 5)")
    parser.add_argument("--noise", action="store_true", help="scores by chance, the worst case")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = HarnessConfig(processes=args.processes, blocks=8, seconds=args.seconds)
    if args.once:
        runs = measure_once(args.size, args.classes, args.noise, config)
        print(json.dumps({name: asdict(run) for name, run in runs.items()}))  # noqa: T201
        return 0
    found: dict[str, list[ProcessRun]] = {"plain": [], "runtime": []}
    command = [sys.executable, __file__, *sys.argv[1:], "--once"]
    with Turns().measuring():
        for _ in range(args.processes):
            reply = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603
            for name, processes in found.items():
                processes.append(process_from_json(reply[name]))
    kind = "noise" if args.noise else "objects"
    setting = {"size_px": args.size, "classes": args.classes, "scores": f"{kind}, uint8 at stride {STRIDE_PX}"}
    about = {"device": read_device().to_json(), "software": read_software()}
    print(json.dumps({**setting, **summarize(found), **about}, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
