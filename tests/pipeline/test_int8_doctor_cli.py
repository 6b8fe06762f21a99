"""`edgeseg doctor int8`: from the command to the two files, exit codes, the page, and the way back into the recipe."""

from __future__ import annotations

import dataclasses
import html.parser
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from edgeseg.benchmarks.machine.environment import read_device
from edgeseg.pipeline import cli
from edgeseg.pipeline.chain.chain import Chain
from edgeseg.pipeline.chain.lock import alone_in
from edgeseg.pipeline.commands import int8 as order
from edgeseg.pipeline.commands.int8 import DoctorOrder
from edgeseg.pipeline.int8.examine import examine_patient
from edgeseg.pipeline.int8.plan_patient import PlanPatient
from edgeseg.pipeline.plan import run
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.settled import settled
from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

from .int8_cases import conv_net, racer, torch_infer, unet, write_data, write_run
from .trained import put_networks

RECIPE = """\
name: toy
data: {name: nowhere}
geometry: {mode: resize, height_px: 48, width_px: 48}
bench: {threads: 1}
"""


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def decide(monkeypatch: pytest.MonkeyPatch, **raced: Any) -> None:
    monkeypatch.setattr(order, "examine_patient", lambda *given: examine_patient(*given, racer=racer(**raced)))


def keyed(folder: Path, recipe: Path, data: DataSet, *assignments: str) -> Chain:
    """Give the steps that a run has left the keys of this recipe, as the chain would have."""
    chain = make_chain(load_recipe(recipe, assignments), data.root, folder.parent)
    for name, key in chain.keys().items():
        done = chain.folder(name).root / "done.json"
        if done.is_file():
            write_json(done, json.loads(done.read_text()) | {"key": key})
    return chain


class _Page(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_run_is_examined_and_the_recipe_takes_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(monkeypatch)
    net = unet("channel")
    data = write_data(tmp_path / "data", torch_infer(net))
    folder = write_run(tmp_path / "runs" / "toy", data, net)
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(RECIPE)
    keyed(folder, recipe, data)
    done = edgeseg(
        *("doctor", "int8", recipe, "--data", data.root, "--runs", tmp_path / "runs", "--images", "0"),
        *("--max-drop", "0.02"),
    )
    assert done.exit_code == 0, done.stderr
    assert "Keep 2 layers in float" in done.stdout and "Channel 5 of its result" in done.stdout
    report = json.loads((folder / "int8_doctor.json").read_text())
    assert report["command"].endswith("--max-drop 0.02 --images 0") and report["threads"] == 1
    paths = report["settings_to_use"]["quantize"]["float_paths"]
    assert load_recipe(recipe, [f"quantize.float_paths={json.dumps(paths)}"]).quantize.float_paths == tuple(paths)
    page = _Page((folder / "int8_doctor.html").read_text())
    text = " ".join(" ".join(page.words).split())
    assert "svg" in page.tags and "script" not in page.tags
    for shown in ("Keep 2 layers", "down.0.0.0", "outlier channel", "down.0.1.2", "On all of val"):
        assert shown in text
    assert sorted(path.name for path in (folder / "int8_doctor").iterdir()) == ["lock", "scores"]


@pytest.fixture
def ran(tmp_path: Path) -> tuple[Path, Path, tuple[object, ...]]:
    """A run of a recipe with `bench.seconds=1` and `teacher.epochs=7`: its folder, the recipe, the doctor's words."""
    net = unet()
    data = write_data(tmp_path / "data", torch_infer(net))
    folder, recipe = write_run(tmp_path / "runs" / "toy", data, net), tmp_path / "toy.yaml"
    recipe.write_text(RECIPE)
    chain = keyed(folder, recipe, data, "teacher.epochs=7", "bench.seconds=1")
    write_json(folder / "steps/teacher/done.json", {"key": chain.keys()["teacher"], "files": {}, "result": {}})
    words = ("doctor", "int8", recipe, "--data", data.root, "--runs", tmp_path / "runs", "--images", "0")
    return folder, recipe, (*words, "--max-drop", "0.9")


def test_a_run_of_another_recipe_is_not_examined(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(monkeypatch)
    folder, recipe, words = ran
    done = edgeseg(*words)
    assert done.exit_code == 2 and "the step teacher was made by another recipe" in done.stderr
    assert f"edgeseg run {recipe} --only onnx_int8" in done.stderr and "give what the run was made with" in done.stderr
    now = settled(load_recipe(recipe), folder).to_json()
    then = now | {"teacher": now["teacher"] | {"epochs": 7}, "bench": now["bench"] | {"seconds": 1.0}}
    write_json(folder / "report.json", {"recipe": {"settings": then}})
    said = f"(teacher.epochs was 7 in its last report and is {now['teacher']['epochs']})"
    assert said in edgeseg(*words).stderr, "and nothing of what the step does not depend on"
    done = edgeseg(*words, "--set", "teacher.epochs=7")  # how long is measured is nothing to INT8
    assert done.exit_code == 0, done.stderr
    assert json.loads((folder / "int8_doctor.json").read_text())["command"].endswith("--set teacher.epochs=7")


def test_what_is_not_there_is_still_told_by_its_name(ran: Any) -> None:
    folder, _, words = ran
    (folder / "steps/ranges/done.json").unlink()
    done = edgeseg(*words, "--set", "teacher.epochs=7")
    assert done.exit_code == 2 and "holds no finished step ranges" in done.stderr


def test_a_search_on_another_machine_is_known_by_its_budget(
    ran: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a search has the machine in it, which this one may not be."""
    decide(monkeypatch)
    folder, recipe, words = ran
    given = ("teacher.epochs=7", "budget={target: x86-ort, latency_ms: 2}")
    with monkeypatch.context() as patched:
        patched.setattr(run, "read_device", lambda: dataclasses.replace(read_device(), cpu_model="another"))
        keyed(folder, recipe, open_dataset(tmp_path / "data"), *given)
    write_json(folder / "steps/student_pruned/files/search.json", {"target": "x86-ort", "budget": {"latency_ms": 2.0}})
    settings = [word for one in given for word in ("--set", one)]
    done = edgeseg(*words, *settings)
    assert done.exit_code == 0, done.stderr
    settings[-1] = "budget={target: x86-ort, latency_ms: 3}"
    done = edgeseg(*words, *settings)
    assert done.exit_code == 2 and "was cut to latency_ms=2 on x86-ort, and the recipe asks for" in done.stderr


def test_a_file_takes_no_settings(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", conv_net(tmp_path / "net.onnx"))
    done = edgeseg("doctor", "int8", tmp_path / "net.onnx", "--data", data.root, "--set", "teacher.epochs=7")
    assert done.exit_code == 2 and "--set teacher.epochs=7 is of a recipe" in done.stderr


@pytest.mark.slow
def test_the_examined_network_is_the_one_that_ships(tmp_path: Path) -> None:
    """With no layer in float the doctor writes the file of the run's step, byte for byte."""
    (tmp_path / "recipe.yaml").write_text(
        "name: tiny\ndata: {name: synthetic, synthetic_images: 24, synthetic_px: 64}\n"
        "geometry: {mode: resize, height_px: 64, width_px: 64}\nquantize: {images: 8, network: corrected}\n"
        "fit: {student: student_alone}\n"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = make_chain(recipe, None, tmp_path)
    data = open_dataset(chain.data_root, split_file=chain.root / "split.csv", seed=recipe.data.seed)
    torch.manual_seed(0)
    model = build_model(efficient_unet_arch(1, len(data.classes), width=0.25, depth=0.5, stages=4))
    model.apply(lambda module: nn.init.normal_(module.bias) if isinstance(module, nn.BatchNorm2d) else None)
    put_networks(
        chain, {"teacher": build_model(unet_arch(1, 4, base=4, depth=2)).eval(), "student_alone": model.eval()}
    )
    written = chain.run(only="onnx_int8").records["onnx_int8"]["result"]
    assert written["status"] == "ok", written["reason"]
    patient = PlanPatient.open(recipe, chain.root, data)
    patient.write(frozenset(), tmp_path / "int8.onnx")
    assert sha256_file(tmp_path / "int8.onnx") == written["sha256"]


def test_a_refusal_is_exit_code_3_with_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(monkeypatch, verdict="slower", ratio=0.8)
    path = tmp_path / "net.onnx"
    data = write_data(tmp_path / "data", conv_net(path))
    given = ("--data", data.root, "--size", "48x48", "--images", "0", "--max-drop", "0.05", "--threads", "1")
    done = edgeseg("doctor", "int8", path, *given, "--out", tmp_path / "out")
    assert done.exit_code == 3, done.stderr
    assert "Refused for x86-ort" in done.stdout and "INT8 5.00 ms, ratio 0.80" in done.stdout
    assert "Ship the float file" in (tmp_path / "out" / "int8_doctor.html").read_text()
    again = edgeseg("doctor", "int8", path, *given, "--out", tmp_path / "out", "--json")
    assert again.exit_code == 3 and json.loads(again.stdout)["verdict"]["status"] == "refused"
    assert json.loads(again.stdout)["delivered"] is None


def test_what_was_delivered_is_withdrawn_once_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for the file that this examination speaks of; a file of the user's own stays."""
    path, out = tmp_path / "net.onnx", tmp_path / "out"
    data = write_data(tmp_path / "data", conv_net(path))
    given = ("--data", data.root, "--size", "48x48", "--images", "0", "--max-drop", "0.05", "--threads", "1")
    out.mkdir()
    (out / "net.int8.onnx").write_bytes(b"the user's")
    decide(monkeypatch, verdict="slower", ratio=0.8)
    done = edgeseg("doctor", "int8", path, *given, "--out", out)
    assert (
        done.exit_code == 3 and (out / "net.int8.onnx").read_bytes() == b"the user's" and "removed" not in done.stdout
    )
    decide(monkeypatch, verdict="faster", ratio=2.0)
    done = edgeseg("doctor", "int8", path, *given, "--out", out)
    assert done.exit_code == 0 and (out / "net.int8.onnx").stat().st_size > 100, done.stderr
    decide(monkeypatch, verdict="slower", ratio=0.8)
    done = edgeseg("doctor", "int8", path, *given, "--out", out)
    assert done.exit_code == 3 and not (out / "net.int8.onnx").exists()
    assert "which an earlier examination had delivered" in " ".join(done.stdout.split())
    assert json.loads((out / "int8_doctor.json").read_text())["withdrawn"] == str(out / "net.int8.onnx")


def test_a_second_doctor_in_a_folder_waits_its_turn(tmp_path: Path) -> None:
    """Both would write, and take away, the same candidates."""
    data = write_data(tmp_path / "data", conv_net(tmp_path / "net.onnx"))
    out = tmp_path / "out"
    with alone_in(out / "int8_doctor"):
        done = edgeseg("doctor", "int8", tmp_path / "net.onnx", "--data", data.root, "--out", out)
    assert done.exit_code == 2 and "is being filled by another edgeseg process; wait for it" in done.stderr
    assert [path.name for path in (out / "int8_doctor").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx", "--data", "d"], "none.onnx does not exist"),
        (["none"], "'none' is no file"),
        (["net.onnx"], "--data DIR"),
        (["net.onnx", "--data", "d", "--size", "big"], "--size is 'big'"),
        (["demo", "--calibration", "own"], "--calibration own is for an .onnx file"),
        (["net.onnx", "--data", "d", "--mean", "a,b"], "--mean is 'a,b'"),
    ],
)
def test_usage(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conv_net(tmp_path / "net.onnx")
    done = edgeseg("doctor", "int8", *arguments)
    assert done.exit_code == 2 and message in " ".join(done.stderr.split())


def test_the_plain_doctor_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.pipeline.commands import machine as doctor

    monkeypatch.setattr(doctor, "examine", lambda _: {"ok": False})
    monkeypatch.setattr(doctor, "doctor_text", lambda _: "looked")
    assert edgeseg("doctor").exit_code == 1 and edgeseg("doctor", "--json").stdout == '{\n  "ok": false\n}\n'


def test_the_command_is_that_of_the_order() -> None:
    told = DoctorOrder("a.onnx", Path("d"), size="48x48", mean="0.5", max_drop=0.01)
    assert told.command == "edgeseg doctor int8 a.onnx --data d --size 48x48 --mean 0.5 --max-drop 0.01"
    assert DoctorOrder("ultrasound").command == "edgeseg doctor int8 ultrasound"
    assert DoctorOrder("a.onnx", Path("d"), Path("own")).command.endswith("--data d --calibration own")
