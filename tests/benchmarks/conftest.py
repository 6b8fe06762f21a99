"""Fakes for the harness's tests: a clock that only moves when told, a subject that takes a stated time, results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.state import MachineState
from edgeseg.benchmarks.results.result import BenchResult, ModelFile, Row, TestFrame
from edgeseg.benchmarks.results.samples import Block, Cold, ProcessRun
from edgeseg.benchmarks.subject import Subject
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, ModelSpec, OutputSpec


class FakeClock:
    """Time that passes only through ``sleep`` and ``spend``; ``spinning_s`` of CPU time is burnt while sleeping."""

    def __init__(self) -> None:
        self.now, self.cpu, self.spinning_s, self.slept = 0, 0, 0.0, 0.0

    def now_ns(self) -> int:
        return self.now

    def cpu_ns(self) -> int:
        return self.cpu

    def sleep(self, seconds: float) -> None:
        burnt = min(seconds, self.spinning_s)
        self.spinning_s -= burnt
        self.slept += seconds
        self.now += round(seconds * 1e9)
        self.cpu += round(burnt * 1e9)

    def spend(self, ns: int) -> None:
        self.now += ns
        self.cpu += ns


class FakeStages:
    """A subject whose stages take the stated times [ns], infer by turns; it writes its name down at every call."""

    engine = "fake 1.0"

    def __init__(self, clock: FakeClock, name: str = "a", infer_ns: Iterable[int] = (1_000_000,), log=None) -> None:
        self.clock, self.name, self.infer_ns, self.calls = clock, name, list(infer_ns), 0
        self.log = log if log is not None else []
        self.closed = False
        self.mask_shape: tuple[int, ...] | None = None

    def prepare(self, frame):
        self.clock.spend(100_000)
        return frame

    def infer(self, prepared):
        self.log.append(self.name)
        self.clock.spend(self.infer_ns[min(self.calls, len(self.infer_ns) - 1)])
        self.calls += 1
        return prepared

    def finish(self, scores, prepared):
        self.clock.spend(50_000)
        return np.zeros(self.mask_shape or scores.shape[:2], np.uint8)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_stages(clock: FakeClock) -> Callable[..., FakeStages]:
    return lambda name="a", infer_ns=(1_000_000,), log=None: FakeStages(clock, name, infer_ns, log)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        backend="onnxruntime",
        precision="fp32",
        input=InputSpec("gray", Geometry("native"), stride_px=2),
        output=OutputSpec("scores", 2, "NCHW", "float32"),
        classes=("background", "scratch", "pit"),
        dynamic=True,
    )


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a real ONNX network of two convolutions with ``width`` channels between them."""

    def make(name: str, width: int = 4) -> Path:
        rng = np.random.default_rng(0)
        weights = [
            numpy_helper.from_array((rng.normal(size=(width, 1, 3, 3)) / 255).astype(np.float32), "w1"),
            numpy_helper.from_array(rng.normal(size=(3, width, 3, 3)).astype(np.float32), "w2"),
        ]
        nodes = [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["pixels"], ["x"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "w1"], ["y"], pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Relu", ["y"], ["z"]),
            helper.make_node("Conv", ["z", "w2"], ["scores"], pads=[1] * 4),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 1])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3, "h2", "w2"])
        graph = helper.make_graph(nodes, "tiny", [image], [scores], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        path = tmp_path / name / "model.onnx"
        path.parent.mkdir()
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def make_subject(make_model: Callable[..., Path], spec: ModelSpec) -> Callable[..., Subject]:
    return lambda name, width=4, **values: Subject(name, make_model(name, width), spec, **values)


@pytest.fixture
def tiny_config() -> HarnessConfig:
    """So little that a test is quick and so patient that a busy machine does not matter."""
    return HarnessConfig(threads=1, processes=2, blocks=2, seconds=0.04, min_samples=8, warmup_cap_s=0.2, rewarm=1)


@pytest.fixture
def make_row() -> Callable[..., Row]:
    """A row from total times [ms] by process and block; pre is 0.1 ms and post 0.05 ms of each."""

    def make(name: str, nested_ms, **changes) -> Row:
        processes = tuple(
            ProcessRun(
                warmup_runs=20,
                warmup_s=0.5,
                warmed_up=changes.pop("warmed_up", True),
                unsettled=changes.get("unsettled", 0),
                mask_sha256="0" * 64,
                blocks=tuple(_block(block) for block in blocks),
            )
            for blocks in nested_ms
        )
        changes.pop("unsettled", None)
        row = {
            "name": name,
            "status": "ok",
            "reason": None,
            "model": ModelFile("ab" * 32, 1_230_000),
            "backend": "onnxruntime",
            "precision": "fp32",
            "threads": 2,
            "cold": Cold(40.0, 2.0, 9.0, 50.0, 70.0, 80.5, "0" * 64, "onnxruntime 1.20.0"),
            "processes": processes,
        }
        return Row(**{**row, **changes})

    return make


def _block(total_ms) -> Block:
    total = [round(ms * 1e6) for ms in total_ms]
    return Block(0, (100_000,) * len(total), tuple(t - 150_000 for t in total), (50_000,) * len(total))


@pytest.fixture
def make_result() -> Callable[..., BenchResult]:
    """A result of these rows, measured on a calm machine."""

    def make(*rows: Row, config: HarnessConfig | None = None, **changes) -> BenchResult:
        calm = MachineState(0.0, {}, 0, (), 0, 1000).to_json()
        result = {
            "created": "2026-11-20T10:00:00+00:00",
            "evidence": "device",
            "config": config or HarnessConfig(threads=1),
            "frame": TestFrame("part.png", "cd" * 32, (48, 64)),
            "device": {**read_device().to_json(), "governor": None},
            "software": read_software(),
            "before": calm,
            "after": {**calm, "total_ticks": 2000},
            "duration_s": 12.5,
            "rows": rows,
        }
        return BenchResult(**{**result, **changes})

    return make


@pytest.fixture
def noisy() -> Callable[..., list[list[np.ndarray]]]:
    """Samples [ms] around a median: by process and block, with differences between processes and between blocks."""

    def make(median_ms: float, seed: int, *, processes=5, blocks=6, n=30, between=0.01, within=0.01):
        rng = np.random.default_rng(seed)
        nested = []
        for _ in range(processes):
            centre = median_ms * np.exp(rng.normal(0, between))
            nested.append(
                [centre * np.exp(rng.normal(0, within)) * np.exp(rng.normal(0, 0.01, n)) for _ in range(blocks)]
            )
        return nested

    return make


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Twelve images with masks of three classes, in parts of two; four of each split."""
    root, rng = tmp_path / "dataset", np.random.default_rng(3)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "dataset.yaml").write_text("name: parts\nclasses: [background, scratch, pit]\ncolor: gray\n")
    lines = ["stem,split,group"]
    for index in range(12):
        blocks = rng.integers(0, 3, (6, 8)).astype(np.uint8)
        mask = np.kron(blocks, np.ones((8, 8), np.uint8))
        noise = rng.integers(0, 40, mask.shape)
        cv2.imwrite(str(root / f"images/{index}.png"), (mask * 90 + noise).astype(np.uint8))
        cv2.imwrite(str(root / f"masks/{index}.png"), mask)
        lines.append(f"{index},{('train', 'val', 'test')[index % 3]},part{index // 6 * 3 + index % 3}")
    (root / "meta.csv").write_text("\n".join(lines) + "\n")
    return root
