"""The INT8 doctor on runs of our own chain and on foreign ONNX files: it finds what was made sick, and why."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from edgeseg.compress.calibration.folder import open_folder
from edgeseg.compress.int8.plan import make_plan
from edgeseg.compress.int8.sensitivity import Sensitivity, Trial
from edgeseg.export.adopt.adopt import adopt
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.pixels import with_pixels
from edgeseg.pipeline.int8 import scored_patient
from edgeseg.pipeline.int8.examine import Report, Settings, examine_patient
from edgeseg.pipeline.int8.onnx_patient import OnnxPatient
from edgeseg.pipeline.int8.plan_patient import PlanPatient
from edgeseg.pipeline.int8.race import Race
from edgeseg.pipeline.int8.run_files import read_run
from edgeseg.pipeline.int8.scored_patient import val_hash
from edgeseg.pipeline.int8.verdict import too_much_lost, verdict_of
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.runtime.backends.ort import OrtBackend
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.score.intervals import Drop
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models.unet import UNet, unet_arch

from .int8_cases import conv_net, racer, torch_infer, unet, write_data, write_own, write_run

SETTINGS = Settings(max_drop=0.03, images=0, threads=1, command="edgeseg doctor int8 toy")


def plan_patient(folder: Path, sick: str = "") -> PlanPatient:
    net = unet(sick)
    data = write_data(folder / "data", torch_infer(net))
    return PlanPatient("toy", read_run(write_run(folder / "run", data, net), "toy"), data)


def onnx_patient(folder: Path, sick: str = "", *, nhwc: bool = False) -> OnnxPatient:
    path = folder / "net.onnx"
    data = write_data(folder / "data", conv_net(path, sick, nhwc=nhwc))
    return OnnxPatient(path, data, Feeding(None if nhwc else (48, 48)), folder / "work")


def layer(report: Report, name: str) -> dict[str, Any]:
    return next(row for row in report["layers"] if row["layer"] == name)


class TestOurPlan:
    def test_a_healthy_network_gets_a_clean_bill(self, tmp_path: Path) -> None:
        report = examine_patient(plan_patient(tmp_path), tmp_path / "out", SETTINGS, racer=racer())
        assert report["verdict"]["status"] == "ok" and "healthy" in report["verdict"]["sentence"]
        assert report["float_layers"] == [] and not any(row["bad"] for row in report["layers"])
        assert report["repairs"] == [] and len(report["trials"]) == 1
        assert report["dice_mean"]["float"] > 0.95
        assert {"conv", "transposed", "concat", "pool"} == {row["kind"] for row in report["layers"]}
        timed = [row for row in report["layers"] if row["int8_ms"] and row["float_ms"]]
        assert len(timed) >= len(report["layers"]) - 1
        assert report["targets"]["x86-ort"]["int8_bytes"] < report["targets"]["x86-ort"]["float_bytes"]
        json.dumps(report, allow_nan=False)

    @pytest.mark.parametrize("sick", ["channel", "outlier"])
    def test_a_layer_with_one_wide_channel_is_found_and_named(self, sick: str, tmp_path: Path) -> None:
        patient = plan_patient(tmp_path, sick)
        report = examine_patient(patient, tmp_path / "out", SETTINGS, racer=racer())
        row = layer(report, "down.0.0.0")
        assert row["bad"] and "Channel 5" in row["explanation"] and row["causes"][0]["kind"] == "outlier channel"
        # Both ends of the sick activation have to be in float, or it would be rounded all the same.
        assert set(report["float_layers"]) == {"down.0.0.0", "down.0.1.0"}
        assert report["result"]["drop"]["mean"] <= 0.03 < report["int8"]["drop"]["mean"]
        paths = report["settings_to_use"]["quantize"]["float_paths"]
        assert paths == ["down.0.0.0", "down.0.0.2", "down.0.1.0", "down.0.1.2"]
        files = read_run(tmp_path / "run", "toy")
        assert make_plan(files.model, files.ranges, tuple(paths)).is_float("down.0.0.2")
        if sick == "channel":
            assert "weights that vanish" in [cause["kind"] for cause in layer(report, "down.0.1.0")["causes"]]

    def test_the_recipes_own_images_are_looked_at(self, tmp_path: Path) -> None:
        patient = plan_patient(tmp_path)
        own = write_own(tmp_path / "own", patient.data)
        write_json(tmp_path / "run/steps/ranges/done.json", {"key": "k", "files": {}, "result": {"source": "folder"}})
        (tmp_path / "recipe.yaml").write_text("name: toy\ndata: {name: nowhere}\ngeometry: {mode: native}\n")
        recipe = load_recipe(tmp_path / "recipe.yaml", [f"quantize.folder={own}"])
        on_own = PlanPatient.open(recipe, tmp_path / "run", patient.data)
        assert on_own.notes() == ("Ranges: minmax, 10 images of quantize.folder, from the step ranges.",)
        assert "training images" in patient.notes()[0]
        name = patient.layers()[0]
        assert on_own.facts(name).inputs[0].core != patient.facts(name).inputs[0].core
        with pytest.raises(ConfigError, match="there is no folder"):
            PlanPatient.open(load_recipe(tmp_path / "recipe.yaml", ["quantize.folder=none"]), tmp_path, patient.data)

    def test_an_empty_range_is_repaired_and_told(self, tmp_path: Path) -> None:
        report = examine_patient(plan_patient(tmp_path, "dead"), tmp_path / "out", SETTINGS, racer=racer())
        (repair,) = report["repairs"]
        assert repair["layer"] == "up.0" and "carries nothing" in repair["sentence"]
        assert layer(report, "up.0")["causes"][0]["kind"] == "degenerate range"
        assert report["verdict"]["status"] == "ok" and "up.0" not in report["float_layers"]

    def test_int8_that_is_not_faster_is_refused_with_the_figures(self, tmp_path: Path) -> None:
        report = examine_patient(
            plan_patient(tmp_path), tmp_path / "out", SETTINGS, racer=racer("no difference shown", 0.99)
        )
        assert report["verdict"]["status"] == "refused"
        assert "not faster" in report["verdict"]["sentence"] and "4.00 ms" in report["verdict"]["detail"]

    def test_a_killed_doctor_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        patient = plan_patient(tmp_path, "channel")
        scored: list[str] = []
        real = scored_patient.masks_of

        def killed(file: Path, *others: Any) -> Any:
            if len(scored) == 6:
                raise KeyboardInterrupt
            scored.append(file.name)
            return real(file, *others)

        def watched(file: Path, *others: Any) -> Any:
            scored.append(file.name)
            return real(file, *others)

        monkeypatch.setattr(scored_patient, "masks_of", killed)
        with pytest.raises(KeyboardInterrupt):
            examine_patient(patient, tmp_path / "out", SETTINGS, racer=racer())
        done = len(list((tmp_path / "out/int8_doctor/scores").glob("*/done.json")))
        monkeypatch.setattr(scored_patient, "masks_of", watched)
        scored.clear()
        report = examine_patient(patient, tmp_path / "out", SETTINGS, racer=racer())
        kept = len(list((tmp_path / "out/int8_doctor/scores").glob("*/done.json")))
        # The float file and the one that is timed are scored in every pass, of the others those that are not kept.
        assert done == 5 and len(scored) == kept - done + 2
        scored.clear()
        again = examine_patient(patient, tmp_path / "out", SETTINGS, racer=racer())
        assert scored == [patient.float_model.name, "candidate.onnx"]
        assert again["trials"] == report["trials"] and again["float_layers"] == report["float_layers"]
        assert [row["drop"] for row in again["layers"]] == [row["drop"] for row in report["layers"]]

    def test_layers_are_compared_on_a_seeded_part_where_asked(self, tmp_path: Path) -> None:
        report = examine_patient(plan_patient(tmp_path), tmp_path / "out", Settings(0.03, 3, 1), racer=racer())
        assert len(report["data"]["compared_on"]) == 3 and report["data"]["n_images"] == 6
        assert report["result"]["drop"]["n_images"] == 6 and report["layers"][0]["drop"]["n_images"] == 3
        assert any("3 of the 6 val images" in note for note in report["notes"])

    def test_a_run_that_is_not_there_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no finished step choose_final; run `edgeseg run toy --only onnx_int8`"):
            read_run(tmp_path, "toy")

    @pytest.mark.parametrize("base", [8, 16])
    def test_ranges_of_another_student_are_refused(self, base: int, tmp_path: Path) -> None:
        """Trained again (same widths) or pruned otherwise: the operations have the same names."""
        data = write_data(tmp_path / "data", torch_infer(unet()))
        old = write_run(tmp_path / "old", data, unet())
        torch.manual_seed(9)
        root = write_run(tmp_path / "new", data, UNet(unet_arch(1, 3, base=base, depth=2)).eval())
        read_run(root, "toy")
        ranges = root / "steps/ranges/files/ranges.json"
        fitting, foreign = ranges.read_text(), (old / "steps/ranges/files/ranges.json").read_text()
        assert json.loads(fitting)["values"].keys() == json.loads(foreign)["values"].keys()
        # Only `onnx_fp32` was run for the new student.
        ranges.write_text(foreign)
        with pytest.raises(ConfigError, match=r"ranges of network .* Run `edgeseg run toy` again, so that its step"):
            read_run(root, "toy")
        unnamed = json.loads(fitting)
        del unnamed["network_sha256"]
        ranges.write_text(json.dumps(unnamed))
        with pytest.raises(ConfigError, match="does not say which network it is for"):
            read_run(root, "toy")
        # Neither file was made again.
        save_checkpoint(old / "steps/student_pruned/files", UNet(unet_arch(1, 3, base=base, depth=2)), {})
        with pytest.raises(ConfigError, match="its architecture or weights are others"):
            read_run(old, "toy")

    def test_a_step_that_failed_is_named(self, tmp_path: Path) -> None:
        data = write_data(tmp_path / "data", torch_infer(unet()))
        root = write_run(tmp_path / "run", data, unet())
        failed = {"status": "failed", "reason": "no such operator"}
        write_json(root / "steps/onnx_fp32/done.json", {"key": "k", "files": {}, "result": failed})
        with pytest.raises(ConfigError, match="the step onnx_fp32 is failed: no such operator"):
            read_run(root, "toy")


class TestForeignFile:
    def test_a_healthy_file_gets_a_clean_bill_and_is_delivered(self, tmp_path: Path) -> None:
        report = examine_patient(onnx_patient(tmp_path), tmp_path / "out", SETTINGS, racer=racer())
        assert report["verdict"]["status"] == "ok" and report["float_layers"] == []
        assert [row["kind"] for row in report["layers"]] == ["conv"] * 4
        assert all(row["int8_ms"] and row["float_ms"] for row in report["layers"])
        delivered = onnx.load(report["delivered"])
        assert [value.name for value in delivered.graph.input] == ["x"]
        assert "QuantizeLinear" in {node.op_type for node in delivered.graph.node}

    def test_a_sick_channel_is_found_and_its_layers_excluded(self, tmp_path: Path) -> None:
        report = examine_patient(onnx_patient(tmp_path, "channel"), tmp_path / "out", SETTINGS, racer=racer())
        row = layer(report, "Conv_2")
        assert row["bad"] and "Channel 7 of its result" in row["explanation"]
        assert {"Conv_2", "Conv_4"} <= set(report["float_layers"])
        settings = report["settings_to_use"]["quantize_static"]
        assert {"Conv_2", "Relu_3", "Conv_4"} <= set(settings["nodes_to_exclude"]) and settings["per_channel"]
        assert report["result"]["holds"] and not report["int8"]["holds"]

    def test_an_empty_range_is_given_one(self, tmp_path: Path) -> None:
        patient = onnx_patient(tmp_path, "dead")
        assert [repair.layer for repair in patient.repairs()] == ["Conv_2"]
        patient.write(frozenset(), tmp_path / "int8.onnx")
        model = onnx.load(tmp_path / "int8.onnx")
        scales = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        dead = next(
            node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] in ("c1", "r1")
        )
        assert float(scales[dead.input[1]]) == pytest.approx(1 / 255)
        advice = patient.advice(())["quantize_static"]
        assert list(advice["extra_options"]["TensorQuantOverrides"].values()) == [[{"rmin": 0.0, "rmax": 1.0}]]

    def test_it_is_calibrated_on_a_folder(self, tmp_path: Path) -> None:
        on_train = onnx_patient(tmp_path)
        data, feeding = on_train.data, Feeding((48, 48))
        folder = open_folder(write_own(tmp_path / "own", data), data, "--calibration")
        patient = OnnxPatient(tmp_path / "net.onnx", data, feeding, tmp_path / "other", folder)
        assert "min-max over 9 images of a folder" in patient.notes()[0]
        assert sorted(patient.advice(())["calibration_images"]) == sorted(path.stem for path in folder.images)
        assert patient.identity != on_train.identity
        assert patient.facts("Conv_0").inputs[0].core != on_train.facts("Conv_0").inputs[0].core

    def test_whatever_its_scores_depend_on_is_in_their_key(self, tmp_path: Path) -> None:
        patient = onnx_patient(tmp_path)
        data = patient.data

        def keys() -> tuple[str, str]:
            seen = open_dataset(data.root)
            identity = OnnxPatient(tmp_path / "net.onnx", seen, Feeding((48, 48)), tmp_path / "work").identity
            return identity, val_hash(seen)

        identity, content = before = keys()
        assert identity == patient.identity
        path = data.split("train")[0].image
        stored = path.read_bytes()
        assert cv2.imwrite(str(path), 255 - read_image(path, "gray"))  # the same stem
        assert keys()[0] != identity and keys()[1] == content
        path.write_bytes(stored)
        for changed in (data.split("val")[0].image, data.split("val")[0].mask):
            stored = changed.read_bytes()
            assert cv2.imwrite(str(changed), np.zeros((48, 48), np.uint8))
            assert keys()[0] == identity and keys()[1] != content
            changed.write_bytes(stored)
        yaml = data.root / "dataset.yaml"
        described = yaml.read_text()
        yaml.write_text(described.replace("part, hole", "hole, part"))
        assert keys()[0] != identity and keys()[1] != content
        yaml.write_text(described)
        assert keys() == before
        in_color = dataclasses.replace(data, color="rgb")
        assert val_hash(in_color) != content

    @pytest.mark.parametrize("nhwc", [False, True])
    def test_the_runtime_sees_what_the_file_sees(self, nhwc: bool, tmp_path: Path) -> None:
        infer = conv_net(tmp_path / "net.onnx", nhwc=nhwc)
        data = write_data(tmp_path / "data", infer)
        feeding = Feeding(None if nhwc else (48, 48), 1 / 255, (0.4,), (0.25,))
        adopted = adopt(tmp_path / "net.onnx", data, feeding)
        assert adopted.layout == ("NHWC" if nhwc else "NCHW") and adopted.spec.output.layout == adopted.layout
        image = read_image(data.samples[0].image, "gray")
        tensor = prepare(image, adopted.spec.input).tensor
        content = with_pixels(adopted.model, adopted).SerializeToString()
        with OrtBackend(content, adopted.spec, 1) as backend:
            found = backend.infer(tensor)[0]
        expected = infer(((image.astype(np.float32) / 255 - 0.4) / 0.25)[None, None])
        np.testing.assert_allclose(found.transpose(2, 0, 1) if nhwc else found, expected, rtol=1e-3, atol=1e-4)
        assert adopted.feeding.apply(tensor, adopted.layout).shape == ((1, 48, 48, 1) if nhwc else (1, 1, 48, 48))


class TestBadFiles:
    @pytest.fixture
    def data(self, tmp_path: Path) -> DataSet:
        return write_data(tmp_path / "data", conv_net(tmp_path / "net.onnx"))

    def test_messages_say_what_to_do(self, data: DataSet, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="--size HxW"):
            adopt(tmp_path / "net.onnx", data, Feeding())
        with pytest.raises(ConfigError, match=r"--std 1 values, but .* has channels for 1"):
            adopt(tmp_path / "net.onnx", data, Feeding((48, 48), mean=(0.1, 0.2, 0.3)))
        (tmp_path / "bad.onnx").write_bytes(b"\x00no onnx")
        with pytest.raises(ConfigError, match="a float ONNX file is needed"):
            adopt(tmp_path / "bad.onnx", data, Feeding((48, 48)))
        with pytest.raises(ConfigError, match="--std"):
            Feeding(std=(0.0,))

    def test_other_classes_are_refused(self, tmp_path: Path, data: DataSet) -> None:
        yaml = data.root / "dataset.yaml"
        yaml.write_text(yaml.read_text().replace("hole", "hole, crack"))
        with pytest.raises(ConfigError, match=r"returns float32 \(1, 3, 48, 48\).*K = \[4\]"):
            adopt(tmp_path / "net.onnx", open_dataset(data.root), Feeding((48, 48)))

    def test_a_quantised_file_is_refused(self, tmp_path: Path, data: DataSet) -> None:
        patient = OnnxPatient(tmp_path / "net.onnx", data, Feeding((48, 48)), tmp_path / "work")
        made = patient.deliver(frozenset(), tmp_path)
        with pytest.raises(ConfigError, match="quantised already"):
            adopt(made, data, Feeding((48, 48)))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="--max-drop"):
        Settings(max_drop=-1)
    with pytest.raises(ConfigError, match="--images"):
        Settings(images=-2)


def test_a_target_where_int8_is_slower_is_refused_alone() -> None:
    drop = Drop(0.001, -0.002, 0.004, 9, 9, "not shown")
    trial = Trial((), drop, 0.01, True)
    races = {
        "x86-ort": Race("a", 1, "faster", "given", 4.0, 2.0, 2.0, 1.9, 2.1),
        "x86-litert": Race("a", 1, "slower", "given", 4.0, 5.0, 0.8, 0.7, 0.9),
    }
    both = verdict_of(Sensitivity((), (trial,), trial), races)
    assert both.status == "ok" and both.refused_for == ("x86-litert",)
    assert "2.00 times as fast on x86-ort. Refused for x86-litert" in both.sentence
    none = verdict_of(Sensitivity((), (trial,), trial), {"x86-litert": races["x86-litert"]})
    assert none.status == "refused" and "INT8 5.00 ms" in none.detail
    assert "-0.20 to 0.40 points, so 9 images do not" in none.detail


def test_a_target_whose_own_file_loses_too_much_is_refused_however_fast_it_is() -> None:
    trial = Trial((), Drop(0.001, -0.002, 0.004, 9, 9, "not worse"), 0.01, True)
    races = {one: Race("a", 1, "faster", "given", 4.0, 2.0, 2.0, 1.9, 2.1) for one in ("x86-ort", "x86-litert")}
    lost = too_much_lost({"x86-ort": 0.001, "x86-litert": 0.15}, 0.005)
    both = verdict_of(Sensitivity((), (trial,), trial), races, (), lost)
    assert both.status == "ok" and both.refused_for == ("x86-litert",)
    words = "Refused for x86-litert: its own INT8 file loses 15.00 points of Dice, 0.50 are allowed."
    assert both.sentence.endswith(f"2.00 times as fast on x86-ort. {words}")
    none = verdict_of(Sensitivity((), (trial,), trial), {"x86-litert": races["x86-litert"]}, (), lost)
    assert (none.status, none.sentence) == ("refused", words)
