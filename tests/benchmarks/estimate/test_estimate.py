"""An estimate: layers counted by hand, the roofline's arithmetic, what a measured row changes."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.tensors import Tensor
from edgeseg.benchmarks.estimate.devices import DEVICES, Peak, peak_of
from edgeseg.benchmarks.estimate.graph import Layer, layers_of
from edgeseg.benchmarks.estimate.measured import measured_rows
from edgeseg.benchmarks.estimate.roofline import calibrated, network_time
from edgeseg.benchmarks.results.result import ModelFile, TestFrame
from edgeseg.benchmarks.results.result_file import write_result
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import Geometry


def test_layers_of_the_tiny_network_by_hand(make_model):
    """3x3 from 1 to 4 channels with stride 2 on 48x64, 3x3 from 4 to 3 on 24x32; the rest is folded or free."""
    layers = layers_of(make_model("a", 4), (1, 48, 64, 1))
    convolutions = [layer for layer in layers if layer.op == "Conv"]
    assert [layer.macs for layer in convolutions] == [24 * 32 * 4 * 9, 24 * 32 * 3 * 4 * 9]
    assert [layer.weights for layer in convolutions] == [4 * 9, 3 * 4 * 9]
    assert convolutions[0].activations == 48 * 64 + 24 * 32 * 4
    assert {layer.op for layer in layers} == {"Conv", "Transpose"}


def test_a_shape_that_does_not_fit_is_told(make_model, tmp_path):
    with pytest.raises(MeasureError, match=r"layers of model\.onnx cannot be counted"):
        layers_of(make_model("a"), (1, 3, 8))
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(MeasureError, match="cannot be counted"):
        layers_of(tmp_path / "no.onnx", (1, 8, 8, 1))


PEAK = Peak({"fp32": 100, "int8": 400}, 10, 4, "made up", (0.5, 1.0), (0.5, 1.0), (0.0, 0.0))


def test_the_roofline():
    heavy = Layer("Conv", 5_000_000_000, 1000, 1000)  # 10 GFLOP at 100 GFLOP/s
    wide = Layer("Add", 0, 250_000_000, 0)  # 1 GB of float32 at 10 GB/s
    found = network_time("a", "ort", [heavy, wide], "fp32", PEAK, 4)
    assert (found.low_ms, found.high_ms) == (pytest.approx(200), pytest.approx(400))
    assert found.low_ms < found.ms < found.high_ms and found.to_json()["evidence"] == "estimate"
    assert network_time("a", "ort", [heavy], "fp32", PEAK, 1).low_ms == pytest.approx(400)  # one of four cores
    assert network_time("a", "ort", [heavy], "fp32", PEAK, 8).low_ms == pytest.approx(100)
    assert network_time("a", "ort", [heavy], "int8", PEAK, 4).low_ms == pytest.approx(25)
    assert network_time("a", "ort", [wide], "int8", PEAK, 4).low_ms == pytest.approx(25)
    assert network_time("a", "ort", [heavy], "fp16", PEAK, 4).low_ms == pytest.approx(100)  # no fp16: computed in fp32
    assert network_time("a", "ort", [heavy], "fp32", PEAK, 4).bound_by == "compute"
    assert network_time("a", "ort", [wide], "fp32", PEAK, 4).bound_by == "memory"


def test_measured_rows_scale_the_others_and_set_the_bars():
    layers = [Layer("Conv", 10**9, 10**5, 10**4)]
    kinds = (("a", "fp32"), ("b", "int8"), ("c", "fp32"))
    found = [network_time(name, "ort", layers, kind, PEAK, 4) for name, kind in kinds]
    one = calibrated(found, [(found[0], 2 * found[0].ms)])
    assert one[0].ms == pytest.approx(2 * found[0].ms) and one[1].ms == pytest.approx(2 * found[1].ms)
    assert one[1].low_ms < one[1].ms < one[1].high_ms and one[1].calibrated_by == 1
    two = calibrated(found, [(found[0], 2 * found[0].ms), (found[2], 8 * found[2].ms)])
    assert two[1].ms == pytest.approx(4 * found[1].ms)
    assert two[1].low_ms <= 2 * found[1].ms and two[1].high_ms >= 8 * found[1].ms
    assert calibrated(found, []) == found


def test_what_is_most_alike_scales_a_row():
    """The same kind of file, or its engine and precision, or else its engine, or else whatever was measured."""
    layers = [Layer("Conv", 10**9, 10**5, 10**4)]

    def row(name, engine, precision):
        return network_time(name, engine, layers, precision, PEAK, 4)

    kinds = {
        ("onnx-fp32", "ort", "fp32"): 2,
        ("onnx-int8", "ort", "int8"): 9,
        ("onnx-int8-x86", "ort", "int8"): 4,
        ("tflite-fp32", "litert", "fp32"): 5,
    }
    measured = [(row(*kind), factor * row(*kind).ms) for kind, factor in kinds.items()]
    for kind, factor, n in (
        *((kind, factor, 1) for kind, factor in kinds.items()),
        (("onnx-int8-other", "ort", "int8"), 6, 2),
        (("tflite-int8", "litert", "int8"), 5, 1),
        (("openvino-int8", "openvino", "int8"), 360 ** (1 / 4), 4),
    ):
        (scaled,) = calibrated([row(*kind)], measured)
        assert scaled.ms == pytest.approx(factor * row(*kind).ms) and scaled.calibrated_by == n, kind


def test_every_device_is_faster_in_its_narrower_types():
    for name, peak in DEVICES.items():
        assert peak.rate("int8", 4) >= peak.rate("fp32", 4) and peak.source, name
    with pytest.raises(ConfigError, match="there are pi-zero-2w, pi4, pi5"):
        peak_of("pi6")


@pytest.fixture
def make_bundle(tmp_path, make_model, spec, frame):
    def make(name, width):
        variants, path = [VariantSource("onnx-fp32", make_model(name, width), spec)], tmp_path / f"{name}.edgeseg"
        pack(path, BundleInfo("part", "1", "tests only", spec.input), variants, [frame])
        return path

    return make


@pytest.fixture
def tiled_bundle(tmp_path, make_model, spec, frame):
    """Tiles of 32x32 that overlap by 8: six of them make up a frame of 48x64."""
    geometry = Geometry("tile", tile_px=32, overlap_px=8)
    tiled = dataclasses.replace(spec, input=dataclasses.replace(spec.input, geometry=geometry))
    path = tmp_path / "tiled.edgeseg"
    pack(
        path,
        BundleInfo("part", "1", "tests only", tiled.input),
        [VariantSource("fp32", make_model("t"), tiled)],
        [frame],
    )
    return path


def sha256_of(bundle):
    with Bundle.open(bundle) as opened:
        return opened.manifest.variants[0].sha256


def measured_by(bundle, tmp_path, result):
    write_result(result, tmp_path / "measured.json")
    ((_, ms),) = measured_rows(tmp_path / "measured.json", bundle, DEVICES["pi5"], 4)
    return ms


def test_the_time_of_a_frame_in_tiles_is_set_beside_the_estimate_of_one_tile(
    tiled_bundle, tmp_path, make_result, make_row
):
    row = make_row("fp32", [[[6.15]]], model=ModelFile(sha256_of(tiled_bundle), 1))
    config = HarnessConfig(threads=4)
    assert measured_by(tiled_bundle, tmp_path, make_result(row, config=config)) == pytest.approx(1.0)
    larger = TestFrame("part.png", "cd" * 32, (96, 128, 3))
    assert measured_by(tiled_bundle, tmp_path, make_result(row, config=config, frame=larger)) == pytest.approx(6 / 20)
    done = CliRunner().invoke(app, ["estimate", str(tiled_bundle), "--device", "pi5"])
    assert "the engine alone, of one tile of 32x32 px, by its layers" in done.stdout


def test_another_size_than_was_measured_is_refused(bundle, tmp_path, make_result, make_row):
    row = make_row("onnx-fp32", [[[7.15]]], model=ModelFile(sha256_of(bundle), 1))
    config, double = HarnessConfig(threads=4), TestFrame("part.png", "cd" * 32, (96, 128))
    with pytest.raises(MeasureError, match="ran at 96x128 px, the estimate is of one frame of 48x64 px: measure on"):
        measured_by(bundle, tmp_path, make_result(row, config=config, frame=double))
    padded = TestFrame("part.png", "cd" * 32, (47, 63))  # to the network's stride
    assert measured_by(bundle, tmp_path, make_result(row, config=config, frame=padded)) == pytest.approx(7.0)


def test_engines_that_were_timed_alone_say_what_they_were_fed(bundle, tmp_path, make_result, make_row):
    def alone(*shape):
        fed = EngineSpec("onnxruntime", (Tensor("image", "uint8", shape),), "random")
        row = make_row("onnx-fp32", [[[8.15]]], model=ModelFile(sha256_of(bundle), 1), engine_only=fed)
        return make_result(row, config=HarnessConfig(threads=4), frame=None)

    assert measured_by(bundle, tmp_path, alone(4, 48, 64, 1)) == pytest.approx(2.0)
    with pytest.raises(MeasureError, match="ran at 64x64 px"):
        measured_by(bundle, tmp_path, alone(1, 64, 64, 1))


@pytest.fixture
def bundle(make_bundle):
    return make_bundle("part", 16)


def test_the_command_says_estimate_everywhere(bundle, make_bundle, tmp_path, make_result, make_row):
    run = CliRunner()
    done = run.invoke(app, ["estimate", str(bundle), "--device", "pi5"])
    assert done.exit_code == 0, done.output
    assert "estimate, not measured" in done.stdout and done.stdout.splitlines()[1].endswith("estimate")
    plain = json.loads(run.invoke(app, ["estimate", str(bundle), "--device", "pi5", "--json"]).stdout)
    assert plain["rows"][0]["evidence"] == "estimate" and plain["rows"][0]["calibrated_by"] == 0
    with Bundle.open(bundle) as opened:
        sha256 = opened.manifest.variants[0].sha256
    four = HarnessConfig(threads=4)
    measured = make_result(make_row("onnx-fp32", [[[7.15]]], model=ModelFile(sha256, 1)), config=four)
    write_result(measured, tmp_path / "pi.json")
    command = ["estimate", str(bundle), "--device", "pi5", "--measured", str(tmp_path / "pi.json"), "--json"]
    (row,) = json.loads(run.invoke(app, command).stdout)["rows"]
    assert row["ms"] == pytest.approx(7.0) and row["calibrated_by"] == 1  # infer of 7.15 ms in all
    command[1] = str(make_bundle("wider", 64))  # never measured
    done = run.invoke(app, command)
    assert done.exit_code == 1 and "measured none of the files of" in done.stderr
    before, after = (
        json.loads(run.invoke(app, [*command[:4], *more, "--json"]).stdout)["rows"][0]
        for more in ([], [*command[4:6], "--measured-of", str(bundle)])
    )
    assert after["ms"] / before["ms"] == pytest.approx(7.0 / plain["rows"][0]["ms"]) and after["calibrated_by"] == 1
    done = run.invoke(app, [*command[:4], "--measured-of", str(bundle)])
    assert done.exit_code == 2 and "give the result of it too" in done.stderr
    command[1] = str(bundle)
    command[5] = str(tmp_path / "other.json")
    for other, reason in (
        (make_result(make_row("x", [[[7.0]]]), config=four), "calibrates nothing"),
        (dataclasses.replace(measured, evidence="emulated"), "is emulated: estimates are scaled by what a device"),
        (dataclasses.replace(measured, config=HarnessConfig(threads=1)), "used 1 threads, the estimate is of 4"),
    ):
        write_result(other, tmp_path / "other.json")
        done = run.invoke(app, command)
        assert done.exit_code == 1 and reason in done.stderr


def test_this_machine_s_own_peak_is_measured():
    peak = peak_of("here", lambda: 0.0)
    assert peak.gflops["fp32"] > 0.1 and peak.gb_s > 0.1 and peak.cores >= 1


def test_a_busy_machine_s_peak_is_not_seen():
    taken = iter(range(0, 1_000_000, 1000))
    with pytest.raises(MeasureError, match="so its peak cannot be seen"):
        peak_of("here", lambda: float(next(taken)))


def test_two_engines_that_run_one_file_have_each_its_own_time(tmp_path, make_model, spec, frame, make_result, make_row):
    pytest.importorskip("openvino")  # packing runs every file
    model, other = make_model("shared", 16), dataclasses.replace(spec, backend="openvino")
    variants = [VariantSource("onnx-fp32", model, spec), VariantSource("openvino-fp32", model, other)]
    pack(tmp_path / "part.edgeseg", BundleInfo("part", "1", "tests only", spec.input), variants, [frame])
    with Bundle.open(tmp_path / "part.edgeseg") as bundle:
        (sha256,) = {one.sha256 for one in bundle.manifest.variants}
    rows = {name: make_row(name, [[[ms + 0.15]]], model=ModelFile(sha256, 1)) for name, ms in (("a", 5), ("b", 9))}
    rows["b"] = dataclasses.replace(rows["b"], backend="openvino")
    for names, times in (("ab", {"onnxruntime": 5.0, "openvino": 9.0}), ("a", {"onnxruntime": 5.0})):
        result = make_result(*(rows[name] for name in names), config=HarnessConfig(threads=4))
        write_result(result, tmp_path / "pi.json")
        found = measured_rows(tmp_path / "pi.json", tmp_path / "part.edgeseg", DEVICES["pi5"], 4)
        assert {one.engine: pytest.approx(ms) for one, ms in found} == times
