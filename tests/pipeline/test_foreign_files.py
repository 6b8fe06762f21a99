"""Foreign ONNX files handed to the INT8 doctor: right masks whatever they end in and take, or the cause by name."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from edgeseg.compress.int8.sensitivity import Sensitivity, Trial
from edgeseg.export.adopt.adopt import adopt
from edgeseg.export.adopt.adopted import Adopted
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.pixels import with_pixels
from edgeseg.export.foreign.limits import engine_limits
from edgeseg.export.foreign.read import read_foreign
from edgeseg.pipeline.commands.int8 import DoctorOrder, carry_out
from edgeseg.pipeline.int8.examine import Settings, examine_patient
from edgeseg.pipeline.int8.onnx_patient import OnnxPatient
from edgeseg.pipeline.int8.race import Race
from edgeseg.pipeline.int8.verdict import change, verdict_of
from edgeseg.runtime.backends.ort import open_session
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.score.intervals import Drop
from edgeseg.runtime.segmenter import Segmenter

from .foreign_cases import HEIGHT, WIDTH, truth, write_data, write_net
from .int8_cases import racer

F = np.float32


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


ARGMAX = ("ArgMax", ["l"], ["q"], {"axis": 1, "keepdims": 0})
P, S = ("Sigmoid", ["l"], ["p"], {}), ("Softmax", ["l"], ["p"], {"axis": 1})
NCHW = {"perm": [0, 3, 1, 2]}
TO_FLOAT = [("Cast", ["x"], ["chw"], {"to": 1})]
UNFLATTENED = {"before": [("Reshape", ["x", "to"], ["chw"], {})], "constants": {"to": ints(1, 1, HEIGHT, WIDTH)}}
SETTINGS = Settings(max_drop=0.05, images=0, threads=1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_data(tmp_path_factory.mktemp("two") / "data")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_data(tmp_path_factory.mktemp("three") / "data", 3)


def wrong_pixels(adopted: Adopted, data: DataSet, folder: Path) -> int:
    """Of four images, against the mask that the network is known to make."""
    (folder / "with.onnx").write_bytes(with_pixels(adopted.model, adopted).SerializeToString())
    wrong = 0
    with Segmenter.from_file(folder / "with.onnx", adopted.spec, 1) as segmenter:
        for sample in data.samples[:4]:
            image = read_image(sample.image, data.color)
            gray = image if image.ndim == 2 else image[..., 0]
            wrong += int((segmenter(image).mask != truth(gray, adopted.spec.n_planes)).sum())
    return wrong


@pytest.mark.parametrize(
    ("tail", "constants"),
    [
        ([], {}),
        ([("Sigmoid", ["l"], ["out"], {})], {}),
        ([P, ("Squeeze", ["p", "axes"], ["out"], {})], {"axes": ints(1)}),
        ([("Squeeze", ["l", "axes"], ["out"], {})], {"axes": ints(1)}),
        ([P, ("Transpose", ["p"], ["out"], {"perm": [0, 2, 3, 1]})], {}),
        ([P, ("Resize", ["p", "", "s"], ["out"], {"mode": "linear"})], {"s": np.ones(4, F)}),
        ([P, ("Greater", ["p", "k"], ["q"], {}), ("Cast", ["q"], ["out"], {"to": 2})], {"k": F(0.5)}),
        ([P, ("Flatten", ["p"], ["out"], {})], {}),
        ([("Identity", ["l"], ["q"], {}), ("Reshape", ["q", "to"], ["out"], {})], {"to": ints(HEIGHT, WIDTH)}),
    ],
)
def test_one_plane_is_read_whatever_it_ends_in(tail: Any, constants: Any, two: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx", tail, constants)
    assert wrong_pixels(adopt(tmp_path / "net.onnx", two, Feeding()), two, tmp_path) == 0


@pytest.mark.parametrize(
    ("tail", "constants"),
    [
        ([], {}),
        ([("Softmax", ["l"], ["out"], {"axis": 1})], {}),
        ([("LogSoftmax", ["l"], ["out"], {"axis": -3})], {}),
        ([S, ("ArgMax", ["p"], ["q"], {"axis": 1, "keepdims": 0}), ("Cast", ["q"], ["out"], {"to": 2})], {}),
        ([("Transpose", ["l"], ["t"], {"perm": [0, 2, 3, 1]}), ("Softmax", ["t"], ["out"], {"axis": 3})], {}),
        (
            [
                ("Transpose", ["l"], ["t"], {"perm": [0, 2, 3, 1]}),
                ("Reshape", ["t", "to"], ["r"], {}),
                ("Softmax", ["r"], ["out"], {"axis": 2}),
            ],
            {"to": ints(0, -1, 3)},
        ),
        ([("Sigmoid", ["l"], ["out"], {})], {}),
    ],
)
def test_several_planes_are_read_whatever_they_end_in(
    tail: Any, constants: Any, three: DataSet, tmp_path: Path
) -> None:
    write_net(tmp_path / "net.onnx", tail, constants, planes=3)
    assert wrong_pixels(adopt(tmp_path / "net.onnx", three, Feeding()), three, tmp_path) <= 2  # ties of two levels


def test_opset_11_softmax_over_everything(three: DataSet, tmp_path: Path) -> None:
    """Before opset 13 Softmax flattens what is behind its axis; the order of the classes is the same."""
    write_net(tmp_path / "net.onnx", [("Softmax", ["l"], ["out"], {"axis": 1})], planes=3, opset=11)
    assert wrong_pixels(adopt(tmp_path / "net.onnx", three, Feeding()), three, tmp_path) <= 2


@pytest.mark.parametrize(
    ("planes", "tail", "constants", "reason"),
    [
        (3, [("Softmax", ["l"], ["out"], {"axis": 3})], {}, "goes along axis 3 .* not over the 3 classes"),
        (3, [("ArgMax", ["l"], ["out"], {"axis": 2})], {}, "its ArgMax .* goes along axis 2"),
        (3, [S, ("ReduceMax", ["p"], ["out"], {"axes": [1]})], {}, "made by ReduceMax"),
        (3, [P, ("Greater", ["p", "k"], ["out"], {})], {"k": F(0.5)}, "3 planes of truths"),
        (1, [P, ("Transpose", ["p"], ["out"], {"perm": [0, 1, 3, 2]})], {}, "another mask than its scores"),
        (1, [P, ("Cast", ["p"], ["out"], {"to": 2})], {}, "another mask than its scores"),
        (3, [ARGMAX, ("Cast", ["q"], ["out"], {"to": 9})], {}, "another mask than its scores"),
        (1, [P, ("Max", ["p", "k"], ["out"], {})], {"k": F(0.1)}, r"is between 0.1 and .*probabilities or a mask"),
        (1, [P, ("Sigmoid", ["p"], ["out"], {})], {}, "Sigmoid 2 times"),
    ],
)
def test_endings_that_are_no_mask_are_refused(
    planes: int, tail: Any, constants: Any, reason: str, tmp_path: Path
) -> None:
    write_net(tmp_path / "net.onnx", tail, constants, planes=planes)
    data = write_data(tmp_path / "data", max(planes, 2))
    with pytest.raises(ConfigError, match=reason) as caught:
        adopt(tmp_path / "net.onnx", data, Feeding())
    assert "--output" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "feeding", "note"),
    [
        ({"shape": (4, 1, HEIGHT, WIDTH)}, Feeding(), "a batch of 4"),
        ({"shape": ("N", 1, "H", "W")}, Feeding((HEIGHT, WIDTH)), ""),
        ({"shape": ("N", "C", "H", "W")}, Feeding((HEIGHT, WIDTH)), ""),
        ({"shape": ("N", HEIGHT, WIDTH, 1), "before": [("Transpose", ["x"], ["chw"], NCHW)]}, Feeding(), ""),
        (
            {"shape": ("N", "H", "W", "C"), "before": [("Transpose", ["x"], ["chw"], NCHW)]},
            Feeding((HEIGHT, WIDTH)),
            "",
        ),
        ({"shape": (1, 3, HEIGHT, WIDTH), "channels": 3}, Feeding(), "copied into three channels"),
        (
            {
                "dtype": TensorProto.UINT8,
                "before": [("Cast", ["x"], ["f"], {"to": 1}), ("Div", ["f", "k"], ["chw"], {})],
                "constants": {"k": F(255)},
            },
            Feeding(),
            "",
        ),
        ({"shape": (1, 1, HEIGHT, WIDTH), "tail": [P, ("Identity", ["p"], ["out"], {})]}, Feeding(), "ends in Sigmoid"),
    ],
)
def test_inputs_are_read_off_the_graph(options: Any, feeding: Feeding, note: str, two: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx", **options)
    adopted = adopt(tmp_path / "net.onnx", two, feeding)
    assert wrong_pixels(adopted, two, tmp_path) == 0
    assert note in " ".join(adopted.notes)


@pytest.mark.parametrize(
    ("options", "feeding", "reason"),
    [
        ({"shape": ("N", 1, "H", "W")}, Feeding(), "--size HxW"),
        ({}, Feeding((64, 64)), "takes 32x48 px, --size says"),
        ({"shape": (1, 4, HEIGHT, WIDTH), "channels": 4}, Feeding(), "1 or 3 channels.*the data are gray"),
        ({"shape": (1, HEIGHT * WIDTH), **UNFLATTENED}, Feeding(), "float 1x1536.*an image of 1 or 3 channels"),
        ({"dtype": TensorProto.DOUBLE, "before": TO_FLOAT}, Feeding(), r"x \(double"),
        ({"dtype": TensorProto.UINT8, "before": TO_FLOAT}, Feeding(scale=1.0), "uint8 pixels as they are"),
        (
            {
                "shape": (4, 1, HEIGHT, WIDTH),
                "before": [("Reshape", ["x", "to"], ["chw"], {})],
                "constants": {"to": ints(4, 1, HEIGHT, WIDTH)},
            },
            Feeding(),
            "made for a batch of 4, which is written into its graph",
        ),
    ],
)
def test_inputs_that_are_no_image_are_named(
    options: Any, feeding: Feeding, reason: str, two: DataSet, tmp_path: Path
) -> None:
    write_net(tmp_path / "net.onnx", **options)
    with pytest.raises(ConfigError, match=reason):
        adopt(tmp_path / "net.onnx", two, feeding)


def test_of_several_outputs_one_is_named(two: DataSet, tmp_path: Path) -> None:
    write_net(tmp_path / "net.onnx", [P, ("GlobalAveragePool", ["p"], ["area"], {})], outputs=("area", "p"))
    with pytest.raises(
        ConfigError, match=r"2 outputs: name the scores .* area .*GlobalAveragePool; p .*made by Sigmoid"
    ):
        adopt(tmp_path / "net.onnx", two, Feeding())
    for name in ("p", "l"):  # any tensor of the graph
        assert wrong_pixels(adopt(tmp_path / "net.onnx", two, Feeding(), name), two, tmp_path) == 0
    with pytest.raises(ConfigError, match="no tensor 'q'"):
        adopt(tmp_path / "net.onnx", two, Feeding(), "q")


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("squash", [[], [("Sigmoid", ["q"], ["out"], {})]])
def test_scores_that_are_no_numbers_are_refused(planes: int, squash: Any, tmp_path: Path) -> None:
    """The class of the highest NaN is the background, and a file of damaged weights would look like a bad network."""
    tail = [("Mul", ["l", "k"], ["q" if squash else "out"], {}), *squash]
    write_net(tmp_path / "net.onnx", tail, {"k": F(np.nan)}, planes=planes)
    with pytest.raises(ConfigError, match=r"100% NaN|another mask than its scores"):
        adopt(tmp_path / "net.onnx", write_data(tmp_path / "data", max(planes, 2)), Feeding())


@pytest.mark.parametrize(
    ("field", "reason"),
    [("output", "has no output"), ("input", "has no input"), ("opset_import", "does not say which opset")],
)
def test_files_that_lack_a_part(field: str, reason: str, two: DataSet, tmp_path: Path) -> None:
    model = write_net(tmp_path / "net.onnx")
    if field == "opset_import":
        model.ClearField("opset_import")
    else:
        model.graph.ClearField(field)  # type: ignore[arg-type]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match=reason):
        adopt(tmp_path / "net.onnx", two, Feeding())


class TestFiles:
    """What is under the name .onnx."""

    def contents(self, folder: Path) -> dict[str, tuple[Path, str]]:
        made = {}
        for key, content, words in (
            ("html", b"<!DOCTYPE html><html>login</html>", "an HTML page"),
            ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "git lfs pull"),
            ("garbage", np.random.default_rng(0).bytes(5000), "of no known kind"),
            ("tflite", b"\x1c\0\0\0TFL3" + bytes(100), "a TensorFlow Lite model"),
            ("empty", b"", "empty"),
            ("saved", b"\x08\x01\x12\x05hello", "SavedModel"),
            ("safetensors", (2).to_bytes(8, "little") + b"{}", "safetensors"),
            ("text", b"name: demo\n", "a text file"),
        ):
            made[key] = (folder / f"{key}.onnx", words)
            made[key][0].write_bytes(content)
        torch.save({"w": torch.zeros(3)}, folder / "torch.onnx")
        with zipfile.ZipFile(folder / "zip.onnx", "w") as archive:
            archive.writestr("net.onnx", b"x")
        with tarfile.open(folder / "tar.onnx", "w") as tar:
            tar.add(folder / "html.onnx", "net.onnx")
        (folder / "folder.onnx").mkdir()
        (folder / "link.onnx").symlink_to(folder / "nowhere")
        for key, words in (
            *(("torch", "a PyTorch file"), ("zip", "with net.onnx in it"), ("tar", "a tar archive")),
            *(("folder", "a folder"), ("link", "a link to nothing")),
        ):
            made[key] = (folder / f"{key}.onnx", words)
        return made

    def test_other_kinds_are_named_by_their_content(self, tmp_path: Path) -> None:
        for path, words in self.contents(tmp_path).values():
            with pytest.raises(ConfigError, match=words):
                read_foreign(path)

    def test_a_file_that_was_cut_off(self, tmp_path: Path) -> None:
        write_net(tmp_path / "net.onnx")
        whole = (tmp_path / "net.onnx").read_bytes()
        (tmp_path / "net.onnx").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ConfigError, match=r"cut off \(\d+ bytes are missing\); copy or download it again"):
            read_foreign(tmp_path / "net.onnx")

    def test_newer_than_the_engine(self, tmp_path: Path) -> None:
        model, limits = write_net(tmp_path / "net.onnx"), engine_limits()
        assert limits.opset >= 17 and limits.ir_version >= 8
        model.opset_import[0].version = limits.opset + 1
        onnx.save(model, tmp_path / "net.onnx")
        newest = f"{limits.package}: opset up to {limits.opset}, IR version up to {limits.ir_version}"
        with pytest.raises(ConfigError, match=f"opset {limits.opset + 1}.*{newest}"):
            read_foreign(tmp_path / "net.onnx")
        model.opset_import[0].version, model.ir_version = 17, limits.ir_version + 1
        onnx.save(model, tmp_path / "net.onnx")
        with pytest.raises(ConfigError, match=f"IR version {limits.ir_version + 1}.*{newest}"):
            read_foreign(tmp_path / "net.onnx")

    def test_weights_beside_it(self, two: DataSet, tmp_path: Path) -> None:
        model = write_net(tmp_path / "a.onnx")
        onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
        assert wrong_pixels(adopt(tmp_path / "net.onnx", two, Feeding()), two, tmp_path) == 0
        (tmp_path / "net.data").unlink()
        with pytest.raises(ConfigError, match=r"keeps its weights in net\.data, which is not there"):
            read_foreign(tmp_path / "net.onnx")
        with (tmp_path / "net.data").open("wb") as file:
            file.truncate(3 << 30)  # a hole: no disk is used
        with pytest.raises(ConfigError, match=r"has 3\.2 GB; files of up to 2 GB"):
            read_foreign(tmp_path / "net.onnx")

    def test_operators_of_others(self, tmp_path: Path) -> None:
        foo = [("Foo", ["l"], ["out"], {"domain": "my.ops"})]
        write_net(tmp_path / "net.onnx", foo, domains=["my.ops"])
        with pytest.raises(ConfigError, match=r"my\.ops:Foo \(1 nodes\)"):
            read_foreign(tmp_path / "net.onnx")
        assert [one.name for one in read_foreign(tmp_path / "net.onnx", "l").graph.output] == ["l"]

    def test_halves_and_integers_are_no_float_file(self, tmp_path: Path) -> None:
        half = [("Cast", ["l"], ["h"], {"to": 10}), ("Add", ["h", "k"], ["s"], {}), ("Cast", ["s"], ["out"], {"to": 1})]
        write_net(tmp_path / "net.onnx", half, {"k": np.float16(1)})
        with pytest.raises(ConfigError, match="16-bit floats"):
            read_foreign(tmp_path / "net.onnx")
        dequantised = [("DequantizeLinear", ["q", "s"], ["d"], {}), ("Add", ["l", "d"], ["out"], {})]
        write_net(tmp_path / "net.onnx", dequantised, {"q": np.int8(3), "s": F(0.1)})
        with pytest.raises(ConfigError, match=r"quantised already .1 DequantizeLinear"):
            read_foreign(tmp_path / "net.onnx")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
    def test_no_permission(self, tmp_path: Path) -> None:
        write_net(tmp_path / "net.onnx")
        (tmp_path / "net.onnx").chmod(0)
        with pytest.raises(ConfigError, match="no permission"):
            read_foreign(tmp_path / "net.onnx")

    def test_a_recipe_is_told_from_a_file_by_content(self, tmp_path: Path) -> None:
        for path, words in self.contents(tmp_path).values():
            with pytest.raises(ConfigError, match=words):
                carry_out(DoctorOrder(str(path), tmp_path))
        write_net(tmp_path / "UPPER.ONNX")
        write_net(tmp_path / "bare")
        for name in ("UPPER.ONNX", "bare"):
            with pytest.raises(ConfigError, match="--data DIR"):
                carry_out(DoctorOrder(str(tmp_path / name)))


def test_the_delivered_file_answers_as_the_file_it_came_from(two: DataSet, tmp_path: Path) -> None:
    """Batch of 4, Sigmoid and threshold included, though neither was quantised."""
    tail = [P, ("Greater", ["p", "k"], ["q"], {}), ("Cast", ["q"], ["out"], {"to": TensorProto.UINT8})]
    write_net(tmp_path / "net.onnx", tail, {"k": F(0.5)}, shape=(4, 1, HEIGHT, WIDTH))
    patient = OnnxPatient(tmp_path / "net.onnx", two, Feeding(), tmp_path / "work")
    images = [read_image(sample.image, "gray") for sample in two.samples[:4]]

    def answer(path: Path) -> np.ndarray:
        session = open_session(str(path), ort.SessionOptions())
        assert [(one.name, one.shape) for one in session.get_inputs()] == [("x", [4, 1, HEIGHT, WIDTH])]
        assert [one.name for one in session.get_outputs()] == ["out"]
        return np.asarray(session.run(None, {"x": np.stack(images)[:, None].astype(F) / 255})[0][:, 0])

    source = answer(tmp_path / "net.onnx")
    assert source.dtype == np.uint8 and source.any() and not source.all()
    np.testing.assert_array_equal(answer(patient.deliver(frozenset(patient.layers()), tmp_path)), source)
    for float_layers in (frozenset[str](), frozenset(patient.layers()[:1])):
        spec = patient.write(float_layers, tmp_path / "ours.onnx")
        with Segmenter.from_file(tmp_path / "ours.onnx", spec, 1) as segmenter:
            masks = np.stack([segmenter(image).mask for image in images])
        made = patient.deliver(float_layers, tmp_path)
        assert any(node.op_type == "QuantizeLinear" for node in onnx.load(made).graph.node)
        assert (answer(made) != masks).mean() < 0.001
    assert "Sigmoid_4" in patient.advice(())["quantize_static"]["nodes_to_exclude"]


class TestFindings:
    def examine(
        self, net: dict[str, Any], data: DataSet, folder: Path, feeding: Feeding | None = None
    ) -> dict[str, Any]:
        write_net(folder / "net.onnx", **net)
        patient = OnnxPatient(folder / "net.onnx", data, feeding or Feeding(), folder / "work")
        return examine_patient(patient, folder / "out", SETTINGS, racer=racer())

    def test_a_sound_network_has_none(self, two: DataSet, tmp_path: Path) -> None:
        report = self.examine({"tail": [("Sigmoid", ["l"], ["out"], {})]}, two, tmp_path)
        assert report["findings"] == [] and report["dice_mean"]["float"] > 0.9
        assert [row["truth"] for row in report["class_correspondence"]] == ["background", "kind1"]

    def test_answers_of_one_class_come_before_any_figure(self, two: DataSet, tmp_path: Path) -> None:
        """Fed a hundred times too much, the network marks every pixel."""
        report = self.examine({}, two, tmp_path, Feeding(scale=1.0))
        assert report["verdict"]["status"] == "refused" and report["delivered"] is None
        assert report["verdict"]["sentence"].startswith(
            "The float network calls every pixel of all 8 val images 'kind1'"
        )
        assert "--scale" in report["verdict"]["sentence"]

    def test_truth_of_one_class(self, tmp_path: Path) -> None:
        data = write_data(tmp_path / "data")
        for sample in data.split("val"):
            sample.mask.write_bytes(_white(sample.mask))
        report = self.examine({}, data, tmp_path)
        assert "Every pixel of all 8 val masks is 'kind1'" in report["verdict"]["sentence"]
        assert report["verdict"]["status"] == "refused"

    def test_inverted_classes_are_shown_by_what_lies_on_what(self, tmp_path: Path) -> None:
        data = write_data(tmp_path / "data", inverted=True)
        report = self.examine({}, data, tmp_path)
        found = " ".join(report["findings"])
        assert (
            "mean Dice of 0.0" in found and "background lies on kind1" in found and "kind1 lies on background" in found
        )

    def test_two_classes_in_another_order(self, three: DataSet, tmp_path: Path) -> None:
        swapped = [("Gather", ["l", "order"], ["out"], {"axis": 1})]
        report = self.examine({"tail": swapped, "constants": {"order": ints(0, 2, 1)}, "planes": 3}, three, tmp_path)
        (found,) = report["findings"]
        assert "kind1 lies on kind2" in found and "kind2 lies on kind1" in found


def _white(mask: Path) -> bytes:
    import cv2

    return cv2.imencode(".png", np.ones_like(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)))[1].tobytes()


def test_a_gain_that_is_noise_is_not_claimed() -> None:
    noise = Drop(-0.0133, -0.04, 0.01, 4, 4, "not shown")
    assert change(noise).startswith("no change of Dice is shown: the estimate is a gain of 1.33 points")
    assert change(Drop(0.02, 0.01, 0.03, 9, 9, "worse")).startswith("it loses 2.00 points of Dice, 95 % interval")
    assert "no interval" in change(Drop(-0.02, None, None, 9, 1, "not shown"))
    trial = Trial((), noise, 0.0, True)
    races = {"x86-ort": Race("a", 1, "faster", "given", 4.0, 2.0, 2.0, 1.9, 2.1)}
    said = verdict_of(Sensitivity((), (trial,), trial), races)
    assert "gains" not in said.sentence and "not shown" in said.sentence and "-4.00 to 1.00" in said.sentence
    assert verdict_of(Sensitivity((), (trial,), trial), races, ["Nothing is there."]).sentence.startswith("Nothing is")


def test_the_helper_makes_valid_networks(tmp_path: Path) -> None:
    model = write_net(tmp_path / "net.onnx", planes=3)
    onnx.checker.check_model(model)
    assert helper.printable_graph(model.graph)
