import csv
import json
import re
from pathlib import Path

import pytest

from edgeseg.benchmarks.compare import compare_results
from edgeseg.benchmarks.results.imported import import_file
from edgeseg.benchmarks.results.result_file import from_json, to_json
from edgeseg.benchmarks.results.table import to_csv, to_text
from edgeseg.benchmarks.results.told import Operator, Placement
from edgeseg.runtime.errors import MeasureError

DATA = Path(__file__).resolve().parents[2] / "data" / "tools"


def only(name):
    (row,) = import_file(DATA / name).rows
    (told,) = row.told
    return row, told


def test_trtexec_of_jetpack_4():
    row, told = only("trtexec_8.0.1.log")
    assert (row.name, row.backend, row.precision) == ("unet.engine", "TensorRT 8.0.1 trtexec", "fp16")
    # GPU Compute Time, not the Latency that is a substring of other lines and means something else in each version.
    assert (told.stage, told.min, told.mean, told.p50, told.p99, told.max) == (
        "GPU compute time", 39.8569, 40.0027, 39.9982, 40.1931, 40.1931,
    )  # fmt: skip
    assert (told.p90, told.n) == (None, 100)  # 8.2 and before has p99 alone; total / mean
    assert told.settings == {
        "data_transfers": True,
        "spin_wait": False,
        "cuda_graph": False,
        "latency_p50_ms": "40.6337",
    }


def test_trtexec_of_version_10():
    row, told = only("trtexec_10.log")
    assert (row.name, row.backend, told.p50, told.p90, told.p95, told.n) == (
        "m.onnx", "TensorRT 10.3.0 trtexec", 7.14139, 10.2881, 10.8175, 391,
    )  # fmt: skip
    assert told.settings == {
        "data_transfers": False,
        "spin_wait": True,
        "cuda_graph": False,
        "latency_p50_ms": "7.16092",
    }


def test_trtexec_11_has_other_defaults(tmp_path):
    text = (
        (DATA / "trtexec_10.log")
        .read_text()
        .replace("v100300", "v110401")
        .replace(" --useSpinWait --noDataTransfers", "")
    )
    (tmp_path / "t.log").write_text(text)
    (row,) = import_file(tmp_path / "t.log").rows
    assert row.backend == "TensorRT 11.4.1 trtexec"
    assert row.told[0].settings == {
        "data_transfers": False,
        "spin_wait": True,
        "cuda_graph": True,
        "latency_p50_ms": "7.16092",
    }


def test_trtexec_that_failed(tmp_path):
    (tmp_path / "t.log").write_text(
        "&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx\n"
        "[04/14/2026-01:43:16] [E] [TRT] ModelImporter.cpp: no importer for QLinearConv\n"
        "&&&& FAILED TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx\n"
    )
    (row,) = import_file(tmp_path / "t.log").rows
    assert (row.status, row.backend) == ("failed", "TensorRT 8.2.1 trtexec") and "no importer" in (row.reason or "")


@pytest.mark.parametrize("broken", ["inf", "nan"])
def test_trtexec_with_a_time_that_is_none(tmp_path, broken):
    (tmp_path / "t.log").write_text(
        (DATA / "trtexec_10.log").read_text().replace("median = 7.14139", f"median = {broken}")
    )
    with pytest.raises(MeasureError, match="is no time"):
        import_file(tmp_path / "t.log")


def test_trtexec_times(tmp_path):
    entries = [
        {"startEnqMs": 1.0, "h2dMs": 0.1, "computeMs": ms, "d2hMs": 0.1, "latencyMs": ms + 0.2}
        for ms in (3.0, 1.0, 2.0)
    ]
    (tmp_path / "times.json").write_text(json.dumps(entries))
    (row,) = import_file(tmp_path / "times.json").rows
    assert (row.told[0].p50, row.told[0].n, row.told[0].samples_ms) == (2.0, 3, (3.0, 1.0, 2.0))
    assert row.told[0].settings == {"warm_up_included": False}
    (tmp_path / "cut.json").write_text(json.dumps(entries)[:-20])
    with pytest.raises(MeasureError, match=r"cut\.json .*was it cut off"):
        import_file(tmp_path / "cut.json")


def test_benchmark_model_on_the_processor():
    row, told = only("benchmark_model_cpu.txt")
    assert (row.name, row.status, told.n) == ("m.tflite", "ok", 25)  # the second count: the first is the warm-up's
    assert (told.min, told.mean, told.std, told.p50, told.p95, told.max) == (
        140.071,
        145.528,
        13.583,
        141.253,
        187.533,
        195.121,
    )
    assert (told.first_ms, told.init_ms, told.peak_mib, told.placement) == (187.533, 92.318, 81.3, None)


def test_benchmark_model_by_the_gpu():
    _, told = only("benchmark_model_gpu.txt")
    assert (
        told.placement == Placement("GPU", "partial", 2, 60, 64)
        and told.placement.words == "GPU took 60 of 64 operators"
    )
    # A build without percentiles: its mean is all there is, and shown as a mean.
    assert (told.p50, told.typical_ms, told.n, told.peak_mib) == (None, 5.5123, 180, 101.4)
    assert "~5.51" in to_text(import_file(DATA / "benchmark_model_gpu.txt"))


def test_benchmark_model_that_fell_back():
    _, told = only("benchmark_model_fallback.txt")
    assert told.placement == Placement("GPU", "none", 0, 0, None)
    assert (told.n, told.p50, told.min, told.std) == (50, pytest.approx(2950.34), pytest.approx(2950.34), 0.0)


def test_benchmark_model_that_would_not_fall_back(tmp_path):
    (tmp_path / "t").write_text("INFO: Graph: [m.tflite]\nERROR: Disallowed CPU fallback detected.\n")
    (row,) = import_file(tmp_path / "t").rows
    assert row.status == "failed" and "Disallowed CPU fallback" in (row.reason or "")


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        (
            "benchmark_model_ops.txt",
            (
                Operator(
                    "TfLiteNnapiDelegate", "[MobilenetV2/expanded_conv_16/project/add_fold, aspp0/Relu]:71", 11.422
                ),
                Operator("AVERAGE_POOL_2D", "[AvgPool2D/AvgPool]:61", 0.080),
            ),
        ),
        (
            "benchmark_model_ops_new.txt",
            (
                Operator("QUANTIZE", "[tfl.quantize]:0", 0.203),
                Operator("Convolution (NHWC, QC8) IGEMM", "Delegate/Convolution (NHWC, QC8) IGEMM:0", 0.407),
            ),
        ),
    ],
)
def test_operators(name, operators):
    assert only(name)[1].operators == operators


@pytest.mark.parametrize("lines", [9, 10])
def test_benchmark_model_that_was_cut_off(tmp_path, lines):
    text = "\n".join((DATA / "benchmark_model_cpu.txt").read_text().splitlines()[:lines])
    (tmp_path / "t").write_text(text)
    with pytest.raises(MeasureError, match="cut off"):
        import_file(tmp_path / "t")


@pytest.mark.parametrize(
    ("first", "second", "swap"),
    [
        ("benchmark_model_cpu.txt", "benchmark_model_gpu.txt", ()),
        ("benchmark_model_cpu.txt", "benchmark_model_cpu.txt", ("m.tflite", "other.tflite")),
        ("trtexec_10.log", "trtexec_10.log", ("m.onnx", "other.onnx")),
        ("trtexec_10.log", "trtexec_8.0.1.log", ("&&&& RUNNING", "")),  # the head of the second is cut off
        ("benchmark_app_2022.txt", "benchmark_app_2022.txt", ()),
        ("ultralytics.txt", "ultralytics.txt", ("yolov8n", "yolov8s")),
    ],
)
def test_two_runs_in_one_file_are_refused(tmp_path, first, second, swap):
    """One row would have the first one's name and the last one's time."""
    second = (DATA / second).read_text()
    (tmp_path / "t").write_text((DATA / first).read_text() + (second.replace(*swap) if swap else second))
    with pytest.raises(MeasureError, match=rf"^{re.escape(str(tmp_path))}.*2 runs of"):
        import_file(tmp_path / "t")


def test_benchmark_app():
    row, told = only("benchmark_app_2022.txt")
    assert row.backend == "OpenVINO 2024.0.0"
    assert (told.n, told.p50, told.mean, told.min, told.max, told.first_ms) == (1413, 10.45, 10.62, 8.79, 16.95, 12.5)
    assert told.settings == {"api": "sync", "requests": 1}


TRTEXEC, APP = (DATA / name for name in ("trtexec_10.log", "benchmark_app_2022.txt"))


@pytest.mark.parametrize("told", ["--streams=4", "--infStreams=4", "Inference Streams: 4", "Streams: 4"])
def test_a_time_of_several_streams_is_none(tmp_path, told):
    text = TRTEXEC.read_text()
    log = text.replace(" --useSpinWait", f" {told} --useSpinWait") if told.startswith("-") else f"{text}[I] {told}\n"
    (tmp_path / "t.log").write_text(log)
    with pytest.raises(MeasureError, match="ran 4 streams at once"):
        import_file(tmp_path / "t.log")
    (tmp_path / "t.log").write_text(log.replace(told, told.replace("4", "1")))
    assert import_file(tmp_path / "t.log").rows[0].told_ms == 7.14139


@pytest.mark.parametrize(
    ("tool", "line", "flag", "batch"),
    [
        (TRTEXEC, "", "", None),
        (TRTEXEC, "", "--shapes=image:8x48x64x1", 8),
        (TRTEXEC, "", "--shapes=input:0:8x48x64x1,mask:8x48", 8),
        (TRTEXEC, "", "--minShapes=x:1x3x9x9 --optShapes=x:4x3x9x9 --maxShapes=x:8x3x9x9", 4),
        (TRTEXEC, "", "--shapes=a:8x3,b:1x3", None),
        (TRTEXEC, "", "--batch=16", 16),
        (TRTEXEC, "[I] Input binding for images with dimensions 3x3x640x640 is created.", "", 3),
        (TRTEXEC, "[I] Created input binding for input with dimensions 2x3x640x640", "", 2),
        (TRTEXEC, "[I] Batch: 32", "", 32),
        (TRTEXEC, "[I] Batch: Explicit", "", None),
        (APP, "", "", None),
        (APP, "[ INFO ] Model batch size: 4", "", 4),
        (APP, "[ INFO ] Network batch size: 2", "", 2),
        (DATA / "benchmark_model_cpu.txt", "INFO: Input shapes: [4,48,64,1]", "", 4),
    ],
)
def test_batch_is_what_was_told(tmp_path, tool, line, flag, batch):
    (tmp_path / "t").write_text(tool.read_text().replace(" --useSpinWait", f" {flag} --useSpinWait") + f"{line}\n")
    result = import_file(tmp_path / "t")
    (row,) = to_json(result)["rows"]
    assert result.rows[0].told[0].settings.get("batch") == batch == row["batch"]
    assert ("batch" in row["null_reasons"]) == (batch is None)
    assert f"batch {batch}" in to_text(result) or batch is None


def test_how_an_engine_was_called_is_what_was_told(tmp_path):
    (row,) = to_json(import_file(TRTEXEC))["rows"]
    assert (row["api"], row["spin_wait"], row["null_reasons"]["api"]) == (
        None,
        True,
        "not told by the tool that measured",
    )
    (row,) = to_json(import_file(APP))["rows"]
    assert (row["api"], row["spin_wait"]) == ("sync", None)
    (tmp_path / "t").write_text(APP.read_text().replace("synchronously,", "synchronously, using 4 streams for CPU,"))
    assert import_file(tmp_path / "t").rows[0].told[0].settings == {"api": "sync", "requests": 1, "streams": 4}


def test_a_latency_under_load_is_none():
    with pytest.raises(MeasureError, match="4 requests in flight"):
        import_file(DATA / "benchmark_app_2021.txt")


@pytest.mark.parametrize("bars", [False, True])
def test_ultralytics(tmp_path, bars):
    text = (DATA / "ultralytics.txt").read_text()
    if bars:  # as polars prints it
        text = text.replace("  ✅", " │ ✅ │").replace("0                 PyTorch", "│ 0   ┆ PyTorch ┆")
    (tmp_path / "t").write_text(text)
    result = import_file(tmp_path / "t")
    rows = {row.name: row for row in result.rows}
    assert list(rows) == [
        f"yolov8n-seg {name}" for name in ("PyTorch", "TorchScript", "ONNX", "TensorFlow Lite", "TensorRT")
    ]
    lite = rows["yolov8n-seg TensorFlow Lite"]
    assert (lite.told[0].mean, lite.told[0].p50, lite.model.bytes) == (310.2, None, 6_900_000)
    assert [row.status for row in result.rows] == ["ok", "ok", "failed", "ok", "failed"]
    assert "validation failed" in (rows["yolov8n-seg ONNX"].reason or "") and result.device["name"] == "Cortex-A76"


def test_typed_in(tmp_path):
    (tmp_path / "a.csv").write_text(
        "name,engine,device,median_ms,n\nunet,Core ML,iPhone 13,12.5,100\nunet,Core ML,iPhone 13,9,\n"
    )
    result = import_file(tmp_path / "a.csv")
    assert [(row.name, row.backend, row.told[0].p50, row.told[0].n) for row in result.rows] == [
        ("unet", "Core ML", 12.5, 100),
        ("unet (2)", "Core ML", 9.0, None),
    ]
    assert result.device["name"] == "iPhone 13"
    (tmp_path / "b.json").write_text('{"rows": [{"name": "a", "samples_ms": [1, 3, 2]}]}')
    assert import_file(tmp_path / "b.json").rows[0].told[0].p50 == 2
    (tmp_path / "c.json").write_text('[{"name": "a", "samples_ms": [1, 3, 2], "n": 3}]')
    assert import_file(tmp_path / "c.json").rows[0].told[0].n == 3


def test_every_row_has_a_name_of_its_own(tmp_path):
    (tmp_path / "a.csv").write_text("name,median_ms\na (2),1\na,2\na,3\na,4\n")
    names = [row.name for row in import_file(tmp_path / "a.csv").rows]
    assert names == ["a (2)", "a", "a (3)", "a (4)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,median_ms\na,-1\n", "row 1 has a value"),
        ("name,median_ms\na,\n", "row 1 has no median_ms"),
        ("name,median_ms,colour\na,1,red\n", "'colour' is not known"),
        ('{"rows": 3}', "no list of objects"),
        ("hello\n", "of no tool that is known"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, text, message):
    (tmp_path / "t").write_text(text)
    with pytest.raises(MeasureError, match=message):
        import_file(tmp_path / "t")


def test_imported_for_ever(tmp_path, make_result, make_row, noisy):
    result = import_file(DATA / "trtexec_10.log", device="Orin Nano")
    document = json.loads(json.dumps(to_json(result)))
    assert document["evidence"] == "imported" and [row["evidence"] for row in document["rows"]] == ["imported"]
    assert document["rows"][0]["latency_ms"]["p50"] == 7.14139 and document["rows"][0]["model"]["sha256"] is None
    assert from_json(document) == result
    document["rows"][0]["evidence"] = "device"
    with pytest.raises(MeasureError, match="in a result that is 'imported'"):
        from_json(document)
    text = to_text(result)
    assert "evidence: imported" in text and "GPU compute time by TensorRT 10.3.0 trtexec" in text
    (row,) = csv.DictReader(to_csv(result).splitlines())
    assert row["evidence"] == "imported"
    measured = make_result(make_row("m.onnx", noisy(7.0, 0)), device={**result.device})
    with pytest.raises(MeasureError):
        compare_results(measured, result)
