"""`edgeseg adopt` and what its folders are taken by: evaluate, bench, doctor int8, pack, verify, predict."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper, version_converter
from typer.testing import CliRunner

from edgeseg.benchmarks.sources import open_source
from edgeseg.export.adopt.any import adopt_any
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.step import write_step
from edgeseg.pipeline import cli
from edgeseg.pipeline.commands import int8
from edgeseg.runtime.backends import ort
from edgeseg.runtime.backends.ort import OrtBackend
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.errors import BundleError, ConfigError, EdgesegError, ExportError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.segmenter import Segmenter

from .foreign_cases import HEIGHT, WIDTH, truth, write_data, write_net

F = np.float32


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_data(tmp_path_factory.mktemp("two") / "data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data: DataSet) -> Path:
    """Of a network that ends in a Sigmoid and knows pixels as -1..1, by the command."""
    root = tmp_path_factory.mktemp("adopted")
    before = [("Mul", ["x", "half"], ["m"], {}), ("Add", ["m", "half"], ["chw"], {})]
    write_net(root / "net.onnx", [("Sigmoid", ["l"], ["out"], {})], {"half": F(0.5)}, before=before)
    arguments = ("--data", data.root, "--mean", 0.5, "--std", 0.5, "--out", root / "net", "--json")
    done = edgeseg("adopt", root / "net.onnx", *arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["accuracy"]["val"]["dice_mean"] > 0.9 and not report["warnings"]
    assert report["output"]["cut"] == ["Sigmoid"] and report["input"]["mean"] == [0.5]
    return root / "net"


def test_the_folder_makes_the_masks_of_the_network(folder: Path, data: DataSet) -> None:
    image = read_image(data.samples[0].image, data.color)
    with Segmenter.open(folder) as segmenter:
        assert (segmenter(image).mask == truth(image, 1)).all()
        assert segmenter.name == "net"
    with pytest.raises(BundleError, match="no variant 'onnx-int8'"):
        Segmenter.open(folder, "onnx-int8")


def test_a_wrong_scaling_is_warned_of(data: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx")
    done = edgeseg("adopt", tmp_path / "net.onnx", "--data", data.root, "--scale", 1e-4, "--out", tmp_path / "net")
    assert done.exit_code == 0
    assert "WARNING: Dice on 8 val images" in done.stdout and "--scale" in done.stdout


def test_it_is_evaluated_and_timed_as_a_pipeline(folder: Path, data: DataSet) -> None:
    report = json.loads(edgeseg("evaluate", folder, "--data", data.root, "--json").stdout)
    assert report["variant"] == "net" and report["accuracy"]["dice_mean"] > 0.9
    with open_source([folder], "all") as source:
        assert [one.name for one in source.subjects] == ["net"]
        assert source.subjects[0].spec.input.geometry.height_px == HEIGHT


def test_it_is_packed_verified_and_run(folder: Path, data: DataSet, tmp_path: Path) -> None:
    bundle = tmp_path / "net.edgeseg"
    done = edgeseg(
        "pack", folder, "--data", data.root, "--out", bundle, "--intended-use", "tests", "--bundle-version", "1.4"
    )
    assert done.exit_code == 0, done.output
    with Bundle.open(bundle) as opened:
        (variant,) = opened.variants
        assert opened.read(variant.file) == (folder / "model.onnx").read_bytes()
        test = variant.accuracy["test"]
        assert test["dice_mean"] > 0.9
        assert test["dice_interval"]["lo95"] <= test["dice_mean"] <= test["dice_interval"]["hi95"]
        assert opened.manifest.data[0]["used_for"] == "scores"
        assert opened.manifest.bundle_version == "1.4" and opened.manifest.previous_bundle is None
        first = opened.manifest.bundle_id
    later = tmp_path / "later.edgeseg"
    assert edgeseg("pack", folder, "--data", data.root, "--out", later, "--replaces", bundle).exit_code == 0
    record = json.loads(edgeseg("diff", bundle, later, "--json").stdout)
    assert record["replaces"] is True and record["new"]["bundle_id"] != record["old"]["bundle_id"] == first
    assert edgeseg("verify", bundle, "--allow-unsigned").exit_code == 0
    assert edgeseg("predict", folder, data.samples[0].image, "--out", tmp_path / "masks").exit_code == 0
    mask = cv2.imread(str(tmp_path / "masks" / f"{data.samples[0].stem}.png"), cv2.IMREAD_UNCHANGED)
    assert (mask == truth(read_image(data.samples[0].image, data.color), 1)).all()


def test_what_cannot_be_packed(folder: Path, data: DataSet, tmp_path: Path) -> None:
    three = write_data(tmp_path / "three", 3)
    done = edgeseg("pack", folder, "--data", three.root, "--out", tmp_path / "a.edgeseg")
    assert done.exit_code == 2 and "background, kind1, kind2" in done.stderr
    done = edgeseg("pack", folder, folder, "--data", data.root, "--out", tmp_path / "a.edgeseg")
    assert done.exit_code == 2 and "both onnx-fp32" in done.stderr
    (tmp_path / "mine.edgeseg").write_text("notes")
    done = edgeseg("pack", folder, "--data", data.root, "--out", tmp_path / "mine.edgeseg")
    assert done.exit_code == 2 and (tmp_path / "mine.edgeseg").read_text() == "notes"


def test_the_int8_doctor_gives_a_folder_back(folder: Path, data: DataSet, tmp_path: Path) -> None:
    order = int8.DoctorOrder(str(folder), data.root, runs=tmp_path, threads=1)
    with int8.open_file(order) as (patient, out, _):
        kinds = [name.split("_")[0] for name in patient.layers()]
        assert kinds == ["Conv", "Conv"]  # what its pixels are scaled by is no layer, though Mul and Add can be
        made = patient.deliver(frozenset(), out)
    assert made == tmp_path / "net" / "net-int8"
    with Segmenter.open(made) as segmenter:
        assert segmenter.spec.precision == "int8"
        image = read_image(data.samples[0].image, data.color)
        assert (segmenter(image).mask != truth(image, 1)).mean() < 0.02
    three = write_data(tmp_path / "three", 3)
    with pytest.raises(ConfigError, match=r"K = \[3\]"), int8.open_file(dataclasses.replace(order, data=three.root)):
        pass


def test_classes_of_another_order_are_refused(folder: Path, data: DataSet, tmp_path: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (other / "spec.json").write_text(json.dumps(spec | {"classes": ["kind1", "background"]}))
    asked = int8.DoctorOrder(str(other), data.root, runs=tmp_path)
    refused = pytest.raises(ConfigError, match="kind1, background, discs has background, kind1")
    with refused, int8.open_file(asked):
        pass


def test_only_its_own_folder_is_replaced(data: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx")
    step = adopt_any(tmp_path / "net.onnx", data, Feeding())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="holds other files"):
        write_step(step, mine)
    with pytest.raises(ConfigError, match="is a file"):
        write_step(step, mine / "notes.txt")
    with pytest.raises((EdgesegError, OSError)):
        write_step(step, mine / "notes.txt" / "below")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for name in ("new", "new", "link"):
        write_step(step, tmp_path / name)
    assert (tmp_path / "link").is_symlink()
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["adopted.json", "model.onnx", "spec.json"]
    assert sorted(one.name for one in mine.iterdir()) == ["notes.txt"]
    assert not [one for one in tmp_path.iterdir() if one.name.endswith(".tmp")]


def test_what_was_put_into_its_folder_is_kept(data: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx")
    step, out = adopt_any(tmp_path / "net.onnx", data, Feeding()), tmp_path / "out"
    write_step(step, out)
    (out / "notes.txt").write_text("mine")
    (out / "source.onnx").write_bytes((tmp_path / "net.onnx").read_bytes())
    with pytest.raises(ConfigError, match=r"which would be deleted \(notes\.txt, source\.onnx\); choose another --out"):
        write_step(step, out)
    assert (out / "notes.txt").read_text() == "mine"
    for index in range(9):
        (out / f"{index}.txt").touch()
    with pytest.raises(ConfigError, match=r"4\.txt and 6 more\)"):
        write_step(step, out)
    other = tmp_path / "other"
    write_step(step, other)
    (other / "model.onnx").write_bytes((tmp_path / "net.onnx").read_bytes())
    with pytest.raises(ConfigError, match=r"other/model\.onnx lies in the folder that would be replaced"):
        write_step(adopt_any(other / "model.onnx", data, Feeding()), other)
    assert (other / "model.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()


def test_a_file_that_answers_otherwise_is_not_written(data: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx")
    step = adopt_any(tmp_path / "net.onnx", data, Feeding())
    model = onnx.load_from_string(step.content)
    weight = next(one for one in model.graph.initializer if one.name == "w2")
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), "w2"))
    with pytest.raises(ExportError, match="another mask"):
        write_step(dataclasses.replace(step, content=model.SerializeToString()), tmp_path / "step")
    assert not (tmp_path / "step").exists()


def test_quantised_and_half_files_are_taken_too(data: DataSet, tmp_path: Path) -> None:
    """The doctor starts from float32; to time, score and pack a file nothing is asked of its numbers."""
    pairs = [
        ("QuantizeLinear", ["l", "s", "z"], ["q"], {}),
        ("DequantizeLinear", ["q", "s", "z"], ["d"], {}),
        ("Sigmoid", ["d"], ["out"], {}),
    ]
    write_net(tmp_path / "int8.onnx", pairs, {"s": F(0.02), "z": np.int8(0)})
    assert adopt_any(tmp_path / "int8.onnx", data, Feeding()).spec.precision == "int8"
    model = write_net(tmp_path / "fp16.onnx")
    for name in ("w2", "b2"):
        one = next(one for one in model.graph.initializer if one.name == name)
        one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype(np.float16), f"{name}h"))
        node = onnx.helper.make_node("Cast", [f"{name}h"], [name], f"cast_{name}", to=TensorProto.FLOAT)
        nodes = [node, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    (tmp_path / "fp16.onnx").write_bytes(model.SerializeToString())
    step = adopt_any(tmp_path / "fp16.onnx", data, Feeding())
    assert (step.spec.precision, step.check()) == ("fp16", 0.0)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize(("operator", "opset", "scale"), [("Upsample", 9, 4), ("Resize", 10, 4), ("Resize", 10, 0.5)])
def test_an_older_opset_keeps_its_masks(
    data: DataSet, tmp_path: Path, operator: str, opset: int, scale: float, mode: str
) -> None:
    """Upsample, and Resize of opset 10, are asymmetric; what onnx's converter makes of them is half a pixel off."""
    pool = {"kernel_shape": [4, 4], "strides": [4, 4]} if scale > 1 else {"kernel_shape": [1, 1]}
    tail = [("AveragePool", ["l"], ["small"], pool), (operator, ["small", "scales"], ["out"], {"mode": mode})]
    scales = np.asarray([1, 1, scale, scale], F)
    write_net(tmp_path / "net.onnx", tail, {"scales": scales}, opset=opset, shape=(1, 1, HEIGHT, WIDTH))
    step = adopt_any(tmp_path / "net.onnx", data, Feeding())
    assert step.check() == 0 and not step.about["notes"]
    own = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    with OrtBackend(step.content, step.spec, 1) as backend:
        for sample, mask in zip(data.samples, step.masks, strict=False):
            pixels = read_image(sample.image, data.color)[None, :, :, None]
            (wanted,) = own.run(None, {"x": step.foreign.feeding.apply(pixels, "NCHW")})
            np.testing.assert_allclose(backend.infer(pixels), wanted, atol=1e-4)
            assert (mask == (wanted[0, 0] > 0)).all()


def test_what_else_is_lost_by_raising_an_opset_is_found(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = version_converter.convert_version

    def careless(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        made = real(model, opset)
        weight = next(one for one in made.graph.initializer if one.name == "b2")
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + F(1), "b2"))
        return made

    monkeypatch.setattr(version_converter, "convert_version", careless)
    write_net(tmp_path / "net.onnx", opset=12)
    with pytest.raises(ConfigError, match=r"net\.onnx makes another mask with its opset raised .*opset_version=17"):
        adopt_any(tmp_path / "net.onnx", data, Feeding())


def test_an_opset_that_the_engine_does_not_run_is_noted(data: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx", [("Add", ["l", "l"], ["out"], {})], opset=6, shape=(1, 1, HEIGHT, WIDTH))
    (note,) = adopt_any(tmp_path / "net.onnx", data, Feeding()).about["notes"]
    assert note.startswith("It has opset 6, which onnxruntime") and "nothing holds the masks" in note


@pytest.mark.parametrize("constant", [False, True])
def test_kernels_of_one_zero_point_get_their_own(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, constant: bool
) -> None:
    """Sharing one, they keep ONNX Runtime from making its sums exact where the processor has no VNNI."""
    monkeypatch.setattr(ort, "cpu_flags", frozenset)
    tail, source = [], "l"
    for index in range(2):
        tail += [
            ("QuantizeLinear", [source, "s", "z"], [f"q{index}"], {}),
            ("DequantizeLinear", [f"q{index}", "s", "z"], [f"d{index}"], {}),
            ("DequantizeLinear", [f"k{index}", "ks", "kz"], [f"kd{index}"], {"axis": 0}),
            ("Conv", [f"d{index}", f"kd{index}"], [f"c{index}"], {}),
        ]
        source = f"c{index}"
    constants = {"s": F(0.1), "z": np.uint8(128), "ks": np.full(1, 1 / 127, F)}
    constants |= {f"k{index}": np.full((1, 1, 1, 1), 127, np.int8) for index in range(2)}
    zero = np.zeros(1, np.int8)
    if constant:
        tail.insert(0, ("Constant", [], ["kz"], {"value": numpy_helper.from_array(zero)}))
    tail.append(("Identity", [source], ["out"], {}))
    write_net(tmp_path / "net.onnx", tail, constants | ({} if constant else {"kz": zero}))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        step = adopt_any(tmp_path / "net.onnx", data, Feeding())
        assert step.check() == 0
    assert step.spec.precision == "int8"
    graph = onnx.load_from_string(step.content).graph
    zeros = [
        node.input[2] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in ("k0", "k1")
    ]
    assert len(set(zeros)) == 2


def test_no_path_of_its_maker_is_shipped(data: DataSet, tmp_path: Path) -> None:
    model = write_net(tmp_path / "net.onnx")
    model.graph.node[1].doc_string = "/home/jo/net.py"
    model.producer_name = "maker"
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    content = adopt_any(tmp_path / "net.onnx", data, Feeding()).content
    assert b"/home/jo" not in content
    assert onnx.load_from_string(content).producer_name == "maker"


def test_letters_are_no_picture(data: DataSet, tmp_path: Path) -> None:
    """(1, steps, letters), as text recognisers answer, has two axes like a picture, of other sides."""
    steps = [("Reshape", ["l", "to"], ["r"], {}), ("MatMul", ["r", "w"], ["m"], {}), ("Softmax", ["m"], ["out"], {})]
    constants = {"to": np.asarray([1, 12, HEIGHT * WIDTH // 12], np.int64), "w": np.ones((128, 7), F)}
    write_net(tmp_path / "net.onnx", steps, constants)
    with pytest.raises(ConfigError, match=r"returns float32 \(1, 12, 7\), made by Softmax"):
        adopt_any(tmp_path / "net.onnx", data, Feeding())


def test_a_channel_has_its_own_constants(data: DataSet, tmp_path: Path) -> None:
    """Mean and std a channel, in both layouts, as they are applied outside of the file."""
    colored = write_data(tmp_path / "data", color="rgb")
    feeding = Feeding(mean=(0.1, 0.0, 0.05), std=(0.9, 1.0, 1.1))
    for shape, before in (
        ((1, 3, HEIGHT, WIDTH), ()),
        ((1, HEIGHT, WIDTH, 3), [("Transpose", ["x"], ["chw"], {"perm": [0, 3, 1, 2]})]),
    ):
        write_net(tmp_path / "net.onnx", shape=shape, channels=3, before=before)
        step = adopt_any(tmp_path / "net.onnx", colored, feeding)
        pixels = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
        values = feeding.apply(pixels, step.foreign.entry.layout)
        wanted = step.foreign.run({"x": values}, [step.scores.ending.scores])[step.scores.ending.scores]
        with OrtBackend(step.content, step.spec, 1) as backend:
            np.testing.assert_allclose(backend.infer(pixels), wanted, atol=1e-4)


def test_what_is_no_model_is_named(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"\x89PNG\r\n\x1a\n")
    for path, reason in ((tmp_path / "net.tflite", "a PNG image"), (tmp_path / "none.onnx", "not there")):
        done = edgeseg("adopt", path, "--data", data.root)
        assert done.exit_code == 2 and reason in done.stderr
    assert open_dataset(data.root).classes == data.classes
