"""One contract for every backend: it runs what its spec says and refuses everything else with a way out."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.runtime import engines
from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.cores import default_threads
from edgeseg.runtime.engines import ENGINES, installed_package
from edgeseg.runtime.errors import BackendError, FrameError
from edgeseg.runtime.spec.manifest import Geometry, ModelSpec

Model = tuple[Path, ModelSpec]


# Engines that need a GPU are in test_trt.py.
@pytest.fixture(params=sorted(name for name, engine in ENGINES.items() if not engine.needs_gpu))
def model(request: pytest.FixtureRequest, tiny_onnx: Callable[..., Model]) -> Model:
    """The tiny model for each backend, as a file of one frame of 64x64."""
    if request.param == "litert":
        return request.getfixturevalue("tiny_tflite")
    pytest.importorskip(request.param)
    return tiny_onnx(geometry=Geometry("resize", 64, 64), backend=request.param)


def test_it_runs_and_the_caller_owns_the_output(model: Model) -> None:
    path, spec = model
    frame = np.full((1, 64, 64, 1), 200, np.uint8)
    with open_backend(path, spec, threads=1) as backend:
        first = backend.infer(frame)
        kept = first.copy()
        backend.infer(np.zeros_like(frame))
    np.testing.assert_array_equal(first, kept)
    planes = first[0] if spec.output.layout == "NCHW" else first[0].transpose(2, 0, 1)
    np.testing.assert_allclose(planes[:, 5, 5], [-5.75, 0, 1.5], atol=1e-3)
    assert backend.threads == 1
    assert any(character.isdigit() for character in backend.engine)


def test_nan_and_infinity_are_no_background(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of which nothing is known must not pass as one without a fault."""
    path, spec = model
    frame = np.full((1, 64, 64, 1), 200, np.uint8)
    with open_backend(path, spec, threads=1) as backend:
        real = backend._infer

        def spoiled(value: float) -> Callable[[np.ndarray], np.ndarray]:
            def infer(tensor: np.ndarray) -> np.ndarray:
                output = real(tensor)
                output[0, -1, -1, -1] = value
                return output

            return infer

        for value in (np.nan, np.inf, -np.inf):  # enlarged, infinity is NaN at its neighbours
            monkeypatch.setattr(backend, "_infer", spoiled(value))
            with pytest.raises(BackendError, match=r"returned NaN or infinity in .*\. Use another variant"):
                backend.infer(frame)
        largest = np.finfo(np.float32).max
        monkeypatch.setattr(backend, "_infer", spoiled(largest))
        assert backend.infer(frame)[0, -1, -1, -1] == largest


def test_bytes_and_path_give_the_same(model: Model) -> None:
    path, spec = model
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), np.uint8)
    with open_backend(path, spec) as one, open_backend(path.read_bytes(), spec) as other:
        np.testing.assert_array_equal(one.infer(frame), other.infer(frame))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (np.zeros((1, 64, 64, 1), np.float32), "takes uint8"),
        (np.zeros((1, 64, 64, 3), np.uint8), r"\(N, H, W, 1\)"),
        (np.zeros((64, 64), np.uint8), r"\(N, H, W, 1\)"),
        (np.zeros((0, 64, 64, 1), np.uint8), r"\(N, H, W, 1\)"),
        (np.zeros((1, 64, 62, 1), np.uint8), "Pad to 64x64"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(model: Model, tensor: np.ndarray, words: str) -> None:
    with open_backend(*model) as backend, pytest.raises(FrameError, match=words):
        backend.infer(tensor)


def test_a_closed_backend_says_so(model: Model) -> None:
    backend = open_backend(*model)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(np.zeros((1, 64, 64, 1), np.uint8))


@pytest.mark.parametrize("content", [b"no model at all", b"\x08\x07" * 50])
def test_a_file_that_is_no_model_is_refused(model: Model, content: bytes) -> None:
    with pytest.raises(BackendError, match="refused the model"):
        open_backend(content, model[1])


def test_a_truncated_file_is_refused(model: Model) -> None:
    path, spec = model
    with pytest.raises(BackendError, match="refused the model"):
        open_backend(path.read_bytes()[: path.stat().st_size // 2], spec)


def test_missing_and_empty_files_are_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="gone"):
        open_backend(tmp_path / "gone", model[1])
    (tmp_path / "empty").touch()
    with pytest.raises(BackendError, match="0 bytes"):
        open_backend(tmp_path / "empty", model[1])
    with pytest.raises(BackendError, match="0 bytes"):
        open_backend(b"", model[1])


def test_a_spec_of_another_file_is_refused(model: Model) -> None:
    path, spec = model
    for wrong in (
        dataclasses.replace(spec, input_dtype="int8"),
        dataclasses.replace(spec, output=dataclasses.replace(spec.output, dtype="uint8")),
    ):
        with pytest.raises(BackendError, match="belongs to another file"):
            open_backend(path, wrong)


@pytest.mark.parametrize("threads", [0, -1, 257, 5000])
def test_threads_are_few_and_at_least_one(model: Model, threads: int) -> None:
    with pytest.raises(BackendError, match="at least 1"):
        open_backend(*model, threads=threads)
    assert 1 <= default_threads() <= 4


@pytest.mark.parametrize("newer", ["version", "operator", "schema"])
def test_a_tflite_file_that_is_newer_than_the_interpreter_says_so(tiny_tflite: Model, newer: str) -> None:
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    path, spec = tiny_tflite
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(path.read_bytes()), 0))
    if newer == "version":
        model.operatorCodes[0].version = 99
    elif newer == "operator":
        model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = 250, 127
    else:
        model.version = 4
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(BackendError, match=r"newer than this ai-edge-litert: run pip install -U ai-edge-litert"):
        open_backend(bytes(builder.Output()), spec)


def test_a_fixed_tflite_file_names_the_shape_it_takes(tiny_tflite: Model) -> None:
    with open_backend(*tiny_tflite) as backend, pytest.raises(BackendError, match="64, 64"):
        backend.infer(np.zeros((1, 32, 32, 1), np.uint8))


def test_a_tflite_file_of_another_shape_is_refused_before_it_takes_memory(tiny_tflite: Model) -> None:
    path, spec = tiny_tflite
    content = path.read_bytes()
    sides = np.array([1, 64, 64, 1], "<i4").tobytes()
    huge = content.replace(sides, np.array([1, 64, 1 << 23, 1], "<i4").tobytes())  # pixels of 512 MiB, floats of 2 GiB
    assert huge != content
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BackendError, match=r"takes the shape \(1, 64, 8388608, 1\), its spec says \(1, 64, 64, 1\)"):
        open_backend(huge, spec)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_a_tflite_file_that_asks_for_more_memory_than_is_free_is_refused(tiny_tflite: Model) -> None:
    path, spec = tiny_tflite
    content = path.read_bytes()
    inner = np.array([1, 32, 32, 1], "<i4").tobytes()
    huge = content.replace(inner, np.array([1, 1 << 20, 1 << 20, 1], "<i4").tobytes())
    assert huge != content
    with pytest.raises(BackendError, match=r"takes 4194304 MiB, and \d+ MiB are free"):
        open_backend(huge, spec)


def test_an_onnx_file_that_is_refused_prints_nothing(
    tiny_onnx: Callable[..., Model], capfd: pytest.CaptureFixture[str]
) -> None:
    """Its Python part says on stdout that it tries once more, where the engine's own message is no text."""
    session = pytest.importorskip("onnxruntime.capi.onnxruntime_inference_collection").Session
    if "enable_fallback" not in inspect.signature(session.__init__).parameters:
        pytest.skip("this ONNX Runtime always tries once more")
    path, spec = tiny_onnx()
    content = path.read_bytes()
    unnamed = content.replace(b"Conv", b"\xfeonv")
    assert unnamed != content
    with pytest.raises(BackendError, match="refused the model"):
        open_backend(unnamed, spec)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_missing_engine_names_the_command_that_adds_it(
    name: str, monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    assert installed_package(name) is None
    spec = dataclasses.replace(model[1], backend=name)
    with pytest.raises(BackendError, match=re.escape(ENGINES[name].remedy)):
        open_backend(model[0], spec)


def test_litert_falls_back_to_the_next_interpreter(tiny_tflite: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert import interpreter

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", interpreter)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)
    with open_backend(*tiny_tflite) as backend:
        assert backend.engine.startswith("tflite-runtime")
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    monkeypatch.setitem(sys.modules, "tensorflow", interpreter)
    monkeypatch.setitem(sys.modules, "tensorflow.lite.python.interpreter", interpreter)
    with open_backend(*tiny_tflite) as backend:
        assert backend.engine.startswith("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow.lite.python.interpreter", None)
    with pytest.raises(BackendError, match="No LiteRT interpreter"):
        open_backend(*tiny_tflite)


def test_an_engine_s_message_keeps_its_end(tiny_onnx: Callable[..., Model]) -> None:
    """The cause is behind what onnxruntime says first: the file, line and signature of its own function."""
    path, spec = tiny_onnx()
    model = onnx.load(path)
    model.ir_version = 999
    with pytest.raises(BackendError, match=r"999, max supported IR version: \d+\. The file is newer.*-U onnxruntime"):
        open_backend(model.SerializeToString(), spec)


def test_an_interpreter_that_could_not_be_set_up_for_one_shape_is_for_the_next(tiny_tflite: Model) -> None:
    """A failed resize leaves the interpreter between two shapes; the one it had before is set up again."""
    path, spec = tiny_tflite
    frame = np.full((1, 64, 64, 1), 200, np.uint8)
    with open_backend(path, dataclasses.replace(spec, dynamic=True)) as backend:
        right = backend.infer(frame)
        allocate = backend._interpreter.allocate_tensors

        def fail() -> None:
            raise RuntimeError("no memory")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend._interpreter, "allocate_tensors", fail)
            with pytest.raises(BackendError, match="no memory"):
                backend.infer(np.zeros((1, 32, 32, 1), np.uint8))
        assert backend._interpreter.allocate_tensors == allocate
        np.testing.assert_array_equal(backend.infer(frame), right)


def test_openvino_computes_float_files_in_float_whatever_the_processor_has(tiny_onnx: Callable[..., Model]) -> None:
    """Its own default is bfloat16 where that is native, which gives other masks than the file was accepted for."""
    pytest.importorskip("openvino")
    path, spec = tiny_onnx(geometry=Geometry("resize", 64, 64), backend="openvino")
    with open_backend(path, spec, threads=2) as backend:
        compiled = backend._usual.get_compiled_model()
        asked = ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")
        found = [compiled.get_property(name) for name in asked]
    assert found[0].to_dtype() == np.float32 and found[1:] == [2, 1, False]


@pytest.mark.parametrize(
    "geometry", [Geometry("native"), Geometry("resize", 60, 96), Geometry("tile", tile_px=64, overlap_px=16)]
)
@pytest.mark.parametrize("shape", [(1, 64, 96, 1), (3, 32, 64, 1), (1, 64, 64, 1)])
def test_openvino_takes_batches_and_free_sizes_as_onnxruntime_does(
    shape: tuple[int, ...], geometry: Geometry, tiny_onnx: Callable[..., Model]
) -> None:
    pytest.importorskip("openvino")
    frames = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    path, spec = tiny_onnx(geometry=geometry)
    with open_backend(path, spec) as one, open_backend(path, dataclasses.replace(spec, backend="openvino")) as other:
        np.testing.assert_allclose(one.infer(frames), other.infer(frames), atol=1e-4)
        found = other.infer(frames[:, :32, :32])  # the request keeps no shape of before
        np.testing.assert_allclose(one.infer(np.ascontiguousarray(frames[:, :32, :32])), found, atol=1e-4)


def test_openvino_reads_content_and_never_a_file_of_that_name(
    tiny_onnx: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    path, spec = tiny_onnx(backend="openvino")
    (tmp_path / "named.onnx").write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendError, match="refused the model"):
        open_backend(b"named.onnx", spec)


CLOSED_ELSEWHERE = """
import pickle, signal, sys, threading
import numpy as np
from edgeseg.runtime.backends import open_backend

path, spec = pickle.load(sys.stdin.buffer)
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
backend = open_backend(path, spec)
backend.infer(np.zeros((1, 64, 64, spec.input.channels), np.uint8))
closing = threading.Thread(target=backend.close)
closing.start()
closing.join()
del backend
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_finds_its_stack_after_another_thread_has_closed(model: Model) -> None:
    """OpenVINO sets a signal stack up for the thread that opens it, and takes it away with its last engine."""
    given = pickle.dumps(model)
    done = subprocess.run([sys.executable, "-c", CLOSED_ELSEWHERE], input=given, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"heard\n"), done.stderr.decode()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_weights_in_another_file_are_refused_though_they_lie_where_an_engine_looks(
    tiny_onnx: Callable[..., Model], backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hash of a bundle covers them, and whoever starts the runtime in another folder starts another network."""
    if backend == "openvino":
        pytest.importorskip("openvino")
    path, spec = tiny_onnx()
    model = tmp_path / "split.onnx"
    onnx.save(onnx.load(path), model, save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    for given in (model, model.read_bytes()):
        with pytest.raises(BackendError, match=r"keeps weights in another file \(weights\.bin\).*as one file"):
            open_backend(given, dataclasses.replace(spec, backend=backend))
