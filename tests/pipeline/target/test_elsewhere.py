"""A budget held on another machine: a real OpenSSH server on loopback, whose numbers are emulated by its own word."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.layers.job import LayerConfig
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.probe import Layer
from edgeseg.pipeline import cli
from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.plan.beside import There
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.target import machine
from edgeseg.pipeline.target.elsewhere import Elsewhere, ask, find_target, machine_of, target_of
from edgeseg.pipeline.target.local import LocalProbe
from edgeseg.pipeline.target.machine import ThisMachine
from edgeseg.runtime.errors import ConfigError, EdgesegError, MeasureError
from edgeseg.runtime.opening.selection import machine_kind
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

SIZE = 32
LAYERS = [Layer("conv", 8, 16, 1, 1, 16, 16), Layer("add", 8, 8, 1, 1, 8, 8)]
TINY = HarnessConfig(threads=1, processes=1, blocks=1, seconds=0.02, min_samples=4, warmup_cap_s=0.1, settle_cap_s=0.05)
TOLD = {
    "device": {"name": "Raspberry Pi 5", "arch": "aarch64", "cpu_flags": ["asimddp"], "governor": None},
    "engine": "ai-edge-litert 1.4",
    "evidence": "device",
    "meter": None,
    "sensor": None,
}
PI = Address("pi5", "ssh", "raspberrypi.local", "pi")

pytestmark = pytest.mark.skipif(not machine_kind().startswith("x86"), reason="INT8 of ONNX Runtime is u8s8 of x86")


@pytest.fixture(autouse=True)
def few_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.benchmarks.targets.ssh.patience._WAITS_S", (0.05,))


def probe(who: Any, target: str = "x86-ort") -> LocalProbe:
    return LocalProbe(
        target,
        InputSpec("gray", Geometry("resize", SIZE, SIZE), 4),
        ("background", "scratch", "pit"),
        np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8),
        threads=1,
        layer_config=LayerConfig(threads=1, processes=1, rounds=1, block_s=0.0005, settle_cap_s=0.0),
        harness=TINY,
        machine=who,
    )


def network() -> Any:
    torch.manual_seed(0)
    return build_model(efficient_unet_arch(1, 3, width=0.25, stages=2))


@pytest.mark.slow
def test_layers_and_networks_are_measured_on_the_board_and_known_there_alone(board: Any, tmp_path: Path) -> None:
    address = board.address()
    assert find_target(address, Wishes(), "x86-ort") == "x86-ort"
    assert find_target(address, Wishes(), "arm64-litert") == "x86-litert"  # the recipe's is another machine
    there = ask(address, Wishes(), "onnxruntime", None)
    assert there.evidence == "emulated" and "os" not in there.told["device"] and "onnxruntime" in there.told["engine"]
    there = Elsewhere.from_place(there.to_place(), json.loads(json.dumps(there.told)))
    far, here = probe(there), probe(ThisMachine())
    table = LatencyTable(far, tmp_path / "layers.json")
    table.ensure(LAYERS)
    assert len(table) == len(LAYERS) and table.predict_ms(LAYERS) >= 0
    assert len(LatencyTable(here, tmp_path / "layers.json")) == 0  # not this machine's, though it is the same
    assert far.identity.endswith(here.identity.rpartition(" | ")[2]) and "emulated" in far.identity

    cuts, whole = list[int](), threading.Event()

    def cut() -> None:
        while not whole.wait(0.1) and not sum(cuts):
            if board.at_work():
                cuts.append(board.cut())

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        found = far.measure(network())
    finally:
        whole.set()
        thread.join()
    assert sum(cuts) > 0  # a lost link is taken up again
    assert found.total_ms is not None and found.infer_ms is not None and found.total_ms > found.infer_ms > 0
    assert found.energy_mj is None and found.reason == "no power meter was named" and found.busy is None

    other = dataclasses.replace(there, told=there.told | {"device": there.told["device"] | {"name": "another"}})
    with pytest.raises(MeasureError, match="pi is another machine than the one that was asked"):
        probe(other).measure(network())
    with pytest.raises(MeasureError, match=r"this machine has no pi5-pmic.*asked for --meter pi5-pmic"):
        ask(address, Wishes(), "onnxruntime", "pi5-pmic")


def test_a_step_is_told_how_a_machine_is_reached_beside_what_it_is_keyed_by(tmp_path: Path) -> None:
    there = Elsewhere(PI, Wishes(wheelhouse=Path("wheels"), delegates=("cpu",)), TOLD)
    assert machine_of(TOLD, there.to_place()) == there
    assert machine_of(None, "") == ThisMachine() and machine_of({"meter": "rapl"}, "") == ThisMachine("rapl")
    assert target_of(TOLD["device"], "litert") == "arm64-litert" and target_of({"arch": "arm64-v8a"}, "litert") == (
        "arm64-litert"
    )
    assert "Raspberry Pi 5" in there.identity("litert") and "None" not in there.identity("litert")
    chains = {}
    for name, told in {"one": TOLD, "same": dict(TOLD), "other": TOLD | {"engine": "ai-edge-litert 2.0"}}.items():
        chains[name] = make_chain(recipe_of(tmp_path, "arm64-litert"), None, tmp_path, there=There(told, name)).keys()
    assert chains["one"] == chains["same"]
    changed = {step for step, key in chains["one"].items() if chains["other"][step] != key}
    assert {"target", "student_pruned", "bench", "ship"} <= changed
    assert not {"teacher", "student_alone", "teacher_onnx", "ranges"} & (changed - {"ranges"})
    local = make_chain(recipe_of(tmp_path, "x86-ort"), None, tmp_path)
    (bench,) = (step for step in local.steps if step.name == "bench")
    assert set(bench.settings) == {"bench"}  # a run on this machine is keyed as it always was


RECIPE = """\
name: tiny
data: {{name: synthetic, synthetic_images: 24, synthetic_px: 64}}
geometry: {{mode: resize, height_px: 64, width_px: 64}}
train: {{batch_size: 4, workers: 0, validate_every: 1, threads: 1, precision: float32}}
reference: {{base: 4, depth: 3}}
teacher: {{base: 4, depth: 3, epochs: 1}}
student: {{width: 0.25, depth: 0.5, stages: 4, epochs: 1}}
quantize: {{images: 8, method: minmax}}
bench: {{processes: 1, blocks: 1, seconds: 0.05, min_samples: 3, warmup_cap_s: 0.2, threads: 1}}
gates: {{max_dice_drop: null, max_total_dice_drop: null, min_skill: null}}
fit: {{final_seeds: 1, baselines: []}}
budget: {{target: {target}, latency_ms: 10000}}
"""


def recipe_of(root: Path, target: str, *assignments: str) -> Any:
    (root / "recipe.yaml").write_text(RECIPE.format(target=target))
    return load_recipe(root / "recipe.yaml", assignments)


@pytest.mark.slow
def test_what_ships_is_measured_on_the_board_and_never_told_as_a_devices(board: Any, tmp_path: Path) -> None:
    there = ask(board.address(), Wishes(), "litert", None)
    recipe = recipe_of(tmp_path, "x86-litert")
    chain = make_chain(recipe, None, tmp_path, there=There(there.told, there.to_place()))
    report = run_chain(chain, no_progress).report
    assert report is not None
    rows = {row["name"]: row for row in report["steps"]}
    assert report["shipped"]["target"] == "x86-litert" and report["shipped"]["over_budget"] == []
    timed = {name for name, row in rows.items() if row["latency_ms"]}
    assert {"tflite_int8", "tflite_fp32"} <= timed and not {"onnx_fp32", "onnx_int8"} & timed
    assert rows["tflite_int8"]["evidence"] == report["bench"]["evidence"] == report["search"]["evidence"] == "emulated"
    assert "emulated" in report["search"]["target_identity"]
    assert "not_a_device" in {one["kind"] for one in report["warnings"]}
    page = (tmp_path / "tiny" / "report.html").read_text()
    assert "Times are emulated" in page and ", emulated" in page
    manifest = json.loads(_manifest(tmp_path / "tiny" / "tiny.edgeseg"))
    measured = [row for variant in manifest["variants"] for row in variant["measured"]]
    assert measured and not any("total_p50_ms" in row for row in measured)


def _manifest(bundle: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(bundle) as archive:
        return archive.read("manifest.json")


def test_a_device_that_is_not_reached_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_of(tmp_path, "x86-ort")
    away = ["--on", "ssh://127.0.0.1:9"]
    for options, code, words in (
        (away, 1, "ssh://127.0.0.1:9 cannot be reached by ssh"),
        (["--on", "nowhere"], 2, "--on nowhere: no such device"),
        ([*away, "--budget", "energy_mj=4", "--meter", "csv:a.csv"], 2, "a file of this machine"),
        (["--meter", "rapl"], 2, "the budget has no energy_mj to be metered"),
    ):
        done = CliRunner().invoke(cli.app, ["fit", "recipe.yaml", *options])
        assert done.exit_code == code and words in " ".join(done.stderr.split()), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


@pytest.mark.parametrize("asked", [None, "x86-ort", "arm64-litert"])
def test_a_budget_is_not_held_by_trtexec(asked: str | None) -> None:
    with pytest.raises(ConfigError, match=r"measured by trtexec.*ssh://"):
        find_target(Address("orin", "trtexec", "127.0.0.1", port=9), Wishes(), asked)


def test_without_its_device_a_target_is_another_machine(tmp_path: Path) -> None:
    chain = make_chain(recipe_of(tmp_path, "arm64-litert"), None, tmp_path)
    with pytest.raises(EdgesegError, match=r"target arm64-litert is another machine.*Name it with --on"):
        run_chain(chain, no_progress)
    with pytest.raises(MeasureError, match="target x86-litert is another machine; pi5 is arm64-litert"):
        probe(Elsewhere(PI, Wishes(), TOLD), "x86-litert")
    with pytest.raises(MeasureError, match=r"u8s8 form of x86 only, this is arm64\. Use arm64-litert"):
        probe(Elsewhere(PI, Wishes(), TOLD), "arm64-ort")


@pytest.mark.slow
def test_energy_by_a_recording_is_a_number_that_says_so(recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "METERED_S", 20.0)
    who = ThisMachine(recording)
    found = probe(who).measure(network())
    assert found.total_ms is not None and found.energy_mj is not None and found.reason is None
    assert found.energy_mj == pytest.approx(4.0 * found.total_ms, rel=0.5)  # 4 W over what a call takes
    sensor = who.sensor()
    assert sensor is not None and sensor["evidence"] == "replayed"


def test_a_search_refuses_a_meter_that_is_read_after_one_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="csv is read once"):
        ThisMachine(f"csv:{tmp_path / 'power.csv'}").sensor()
    assert ThisMachine().sensor() is None
