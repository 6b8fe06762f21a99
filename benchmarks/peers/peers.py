"""Students against other projects' networks: the engine alone, LiteRT INT8 and ONNX Runtime FP32, A B A B.

    python benchmarks/peers/peers.py --environment ../peers-env --files ../peers-files

makes a virtual environment of its own for Ultralytics (AGPL-3.0: no part of edgeseg and never in its environment),
segmentation_models_pytorch and torchvision, has `peer_files.py` write their files there, and times them in turns with
our students, all from weights by chance, RGB, three classes. One JSON object: medians [ms], and how many times faster
each is than the first peer. A student is WIDTH:OUTPUT_STRIDE. Writing the peers' files takes a quarter of an hour: what
lies in `--files` already is timed as it is.

`--train DATA --epochs N` trains YOLO26n-sem from scratch on a data set of ours first (frames resized, no tiles) and
scores it by our scorer; `--checkpoints` adds students of runs on the same data, scored and timed likewise.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_data import OnnxPeer, scored, write_semantic

from edgeseg.benchmarks.compare import compare_rows
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.files import engine_subjects
from edgeseg.benchmarks.engine_only.tensors import Sizes
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.compress.as_trained import as_trained
from edgeseg.export.layers.graph import Precision
from edgeseg.pipeline.target.local import LocalProbe
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import ConfigError, EdgesegError, MeasureError
from edgeseg.runtime.opening.selection import target_name
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.input_spec import Color, Geometry, InputSpec
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import Decoder, efficient_unet_arch

ABOUT = "about.json"
ROOT = Path(__file__).resolve().parents[2]
# The converters are those of our extras, so that all files are made by the same versions.
PACKAGES = (
    *("ultralytics", "segmentation-models-pytorch", "torchvision", "litert-torch", "ai-edge-litert"),
    *("ai-edge-quantizer", "onnx", "onnxscript", "opencv-python-headless"),
)
FILES = {"litert-int8": "int8.tflite", "ort-fp32": "fp32.onnx"}
CLASSES = ("background", "nerve", "vessel")
STRIDE_PX = 32
WRITTEN: tuple[tuple[str, str, Precision], ...] = (
    ("int8.tflite", "litert", "int8"),
    ("fp32.onnx", "onnxruntime", "fp32"),
)


def make_environment(folder: Path, more: list[str]) -> Path:
    """The environment's Python; made, and filled by pip, where it is not there yet.

    Raises:
        ConfigError: If it would lie in the repository.
        MeasureError: If a command fails, with what it said last.
    """
    _outside(folder)
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.is_file():
        _run([sys.executable, "-m", "venv", str(folder)])
        constraints = ["-c", str(ROOT / "constraints.txt")]
        _run([str(python), "-m", "pip", "install", "--quiet", *constraints, *more, *PACKAGES])
        done.touch()
    return python


def write_peers(python: Path, out: Path, args: argparse.Namespace, data: DataSet | None) -> None:
    """Have `peer_files.py` write into `out`, with `about.json` last.

    Raises:
        ConfigError: If `out` lies in the repository.
        MeasureError: If the command fails, with what it said last.
    """
    _outside(out)
    command = [str(python), str(ROOT / "benchmarks" / "peers" / "peer_files.py"), str(out), "--size", str(args.size)]
    if args.peers:
        command += ["--peers", *args.peers]
    if data is not None:
        training = ["--data", str(write_semantic(data, out / "data", args.size)), "--epochs", str(args.epochs)]
        command += [*training, "--classes", str(len(data.classes))]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    _run(command, environment | {"YOLO_CONFIG_DIR": str(out)})


def read_peers(out: Path, args: argparse.Namespace, n_classes: int) -> dict[str, Any]:
    """What `peer_files.py` told of each peer asked for, by name.

    Raises:
        ConfigError: If the files are of another input size or of other classes, or lack a peer.
    """
    found: dict[str, Any] = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    asked = {"size_px": args.size, "classes": n_classes, "trained": args.train is not None}
    if found["of"] != asked:
        raise ConfigError(f"the files in {out} are of {found['of']}, asked is {asked}; name another folder as --files")
    names = args.peers or list(found["peers"])
    if missing := [name for name in names if name not in found["peers"]]:
        raise ConfigError(f"{out} holds no files of {', '.join(missing)}; name another folder as --files")
    return {name: found["peers"][name] for name in names}


def our_students(args: argparse.Namespace, n_classes: int) -> dict[str, SegmentationNet]:
    """Untrained ones by width and output stride."""
    torch.manual_seed(0)
    found: dict[str, SegmentationNet] = {}
    for asked in args.students:
        width, _, stride = asked.partition(":")
        decoder = Decoder(output_stride=int(stride or 2))
        network = build_model(efficient_unet_arch(3, n_classes, width=float(width), decoder=decoder))
        as_trained(network)
        found[f"student {float(width):g} stride {decoder.output_stride}"] = network.eval()
    return found


def trained_students(args: argparse.Namespace) -> dict[str, SegmentationNet]:
    """Those of checkpoints, by the end of their path.

    Raises:
        TrainingError: If a folder holds none.
    """
    return {
        "-".join(folder.resolve().parts[-4:]): load_checkpoint(folder, expect_arch="efficient_unet")[0]
        for folder in args.checkpoints
    }


def write_student(
    network: SegmentationNet, folder: Path, args: argparse.Namespace, classes: tuple[str, ...], data: DataSet | None
) -> dict[str, Any]:
    """Both files of a student, and its scores on `data`, where it is trained."""
    color: Color = "rgb" if network.arch["in_channels"] == 3 else "gray"
    spec = InputSpec(color, Geometry("resize", args.size, args.size, interpolation="area"), STRIDE_PX)
    frame = np.zeros((args.size, args.size, 3)[: 3 if color == "rgb" else 2], np.uint8)
    about: dict[str, Any] = {"params": sum(one.numel() for one in network.parameters())}
    folder.mkdir(parents=True)
    for name, engine, precision in WRITTEN:
        probe = LocalProbe(target_name(engine), spec, classes, frame, threads=args.threads, precision=precision)
        subject = probe.export(network, folder / engine)
        shutil.copy(subject.model, folder / name)
        if data is not None and precision == "fp32":
            with Segmenter.from_file(subject.model, subject.spec) as segmenter:
                about["scores"] = scored(segmenter, data)
    return about


def compare(kind: str, folders: dict[str, Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time one file of each network in turns: a row each, held against the first."""
    paths = [folder / FILES[kind] for folder in folders.values() if (folder / FILES[kind]).is_file()]
    config = HarnessConfig(threads=args.threads, processes=args.processes, seconds=args.seconds)
    found = engine_subjects(paths, Sizes((args.size, args.size)))
    subjects = [dataclasses.replace(one, name=path.parent.name) for one, path in zip(found, paths, strict=True)]
    result = measure(subjects, None, config)
    rows, first = [], next(iter(folders))
    for subject in subjects:
        row = result.row(subject.name)
        infer = row.distribution("infer")
        told: dict[str, Any] = {"network": row.name, "p50_ms": infer and infer.p50, "bytes": row.model.bytes}
        # A first peer that could not be converted has no row, and nothing is held against another in its place.
        if row.processes and any(one.name == first and one.processes for one in result.rows):
            ratio = compare_rows(result, first, row.name)
            told |= {"times_as_fast": ratio.ratio, "lo95": ratio.lo95, "hi95": ratio.hi95, "verdict": ratio.verdict}
        rows.append(told | {"reason": row.reason})
    return rows


def _outside(folder: Path) -> None:
    if folder.resolve().is_relative_to(ROOT):
        raise ConfigError(f"{folder} lies in the repository, where nothing under AGPL may; name another folder")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    print(" ".join(command), file=sys.stderr)  # noqa: T201
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise MeasureError(f"{Path(command[0]).name} ended with code {done.returncode}: {done.stderr.strip()[-1500:]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="folder, outside of the repository")
    parser.add_argument("--files", type=Path, help="folder of the peers' files, outside too (default: none are kept)")
    parser.add_argument("--pip", nargs="+", default=[], help="more words for pip, such as torch==2.13.0+cpu")
    parser.add_argument("--peers", nargs="+", help="of peer_files.py, the one to beat first (default: all)")
    students = ["1.0:2", "0.75:2", "0.75:4", "0.75:8"]
    parser.add_argument("--students", nargs="*", default=students, help=f"(default: {' '.join(students)})")
    parser.add_argument("--checkpoints", type=Path, nargs="*", default=[], help="folders with model.json, as of a run")
    parser.add_argument("--train", type=Path, help="data set to train YOLO26n-sem on and to score all trained ones")
    parser.add_argument("--epochs", type=int, default=60, help="(default: 60)")
    parser.add_argument("--size", type=int, default=256, help="side of the input [px], multiple of 32 (default: 256)")
    parser.add_argument("--threads", type=int, default=2, help="of the engine (default: 2)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each file (default: 10)")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes (default: 5)")
    return parser.parse_args()


def main() -> int:
    """Make, write, measure, print."""
    args = _options()
    data = None if args.train is None else open_dataset(args.train)
    torch.set_num_threads(1)  # nothing of ours may take the cores while others are timed
    with tempfile.TemporaryDirectory(prefix="edgeseg-peers-") as name:
        own, out = Path(name), args.files or Path(name)
        classes = CLASSES if data is None else tuple(data.classes)
        trained = trained_students(args)  # a wrong folder is told before anything that lasts
        if not (out / ABOUT).is_file():
            write_peers(make_environment(args.environment, args.pip), out, args, data)
        networks = read_peers(out, args, len(classes))
        folders = {peer: out / peer for peer in networks}
        for peer, about in networks.items():
            if data is not None and about.get("trained"):
                about["scores"] = scored(OnnxPeer(out / peer / "fp32.onnx", args.size), data)
        for student, network in (our_students(args, len(classes)) | trained).items():
            folders[student] = own / student
            told_of = data if student in trained else None
            networks[student] = write_student(network, folders[student], args, classes, told_of)
        told: dict[str, Any] = {"size_px": args.size, "threads": args.threads, "networks": networks}
        told["engine_only"] = {kind: compare(kind, folders, args) for kind in FILES}
    told |= {"device": read_device().to_json(), "software": read_software()}
    print(json.dumps(told, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgesegError as problem:
        sys.exit(f"error: {problem}")
