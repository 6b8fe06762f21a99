"""`edgeseg doctor int8`: from the command to the two files, exit codes, the page, and the way back into the recipe."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from edgeseg.pipeline import cli
from edgeseg.pipeline.chain.chain import Chain
from edgeseg.pipeline.commands import int8 as order
from edgeseg.pipeline.commands.int8 import DoctorOrder
from edgeseg.pipeline.int8.examine import examine_patient
from edgeseg.pipeline.int8.plan_patient import PlanPatient
from edgeseg.pipeline.int8.run_files import read_fit
from edgeseg.pipeline.plan.run import make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.search.ship import Shipping
from edgeseg.pipeline.target.fit_target import local_target
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

from .int8_cases import conv_net, racer, torch_infer, unet, write_data, write_fit, write_run

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
    assert sorted(path.name for path in (folder / "int8_doctor").iterdir()) == ["scores"]


def test_what_a_fit_ships_is_examined_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(monkeypatch)
    data = write_data(tmp_path / "data", torch_infer(unet()))
    run = write_run(tmp_path / "runs" / "toy", data, unet())
    fit = write_fit(run / "fit" / "x86-ort" / "latency_ms-2", data, unet("channel"))
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(RECIPE)
    given = ("doctor", "int8", recipe, "--data", data.root, "--runs", tmp_path / "runs", "--images", "0")
    given = (*given, "--max-drop", "0.02")
    done = edgeseg(*given, "--fit", fit)
    assert done.exit_code == 0, done.stderr
    report = json.loads((fit / "int8_doctor.json").read_text())
    assert report["name"] == "toy, fit x86-ort/latency_ms-2" and f"--fit {fit}" in report["command"]
    assert set(report["float_layers"]) == {"down.0.0.0", "down.0.1.0"}
    assert "Examined is what the fit ships, not the student of the run." in report["notes"]
    assert set(report["settings_to_use"]) == {"fit"} and report["settings_to_use"]["fit"]["float_paths"]
    assert (fit / "int8_doctor.html").is_file() and not list(run.glob("int8_doctor*"))
    fitted = (fit / "int8_doctor.json").read_bytes()
    assert edgeseg(*given).exit_code == 0
    assert json.loads((run / "int8_doctor.json").read_text())["float_layers"] == []
    assert (fit / "int8_doctor.json").read_bytes() == fitted


def test_a_fit_that_ships_nothing_or_is_not_the_recipes_is_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", torch_infer(unet()))
    with pytest.raises(ConfigError, match=r"no finished fit: fit.json is missing; name the folder of a fit such as"):
        read_fit(tmp_path, "toy")
    with pytest.raises(ConfigError, match="is of the recipe other, not of toy"):
        read_fit(write_fit(tmp_path / "a", data, unet(), recipe="other"), "toy")
    with pytest.raises(ConfigError, match=r"nothing ships from it \(budget not met\)"):
        read_fit(write_fit(tmp_path / "b", data, unet(), status="budget not met"), "toy")
    fit = write_fit(tmp_path / "c", data, unet())
    assert read_fit(fit, "toy").ranges.n_images == 10
    save_checkpoint(fit / "shipped/steps/network/files", unet("channel"), {})
    with pytest.raises(ConfigError, match="Run `edgeseg fit toy` with the target and budget of that folder again"):
        read_fit(fit, "toy")


@pytest.mark.slow
def test_the_examined_network_is_the_one_that_ships(tmp_path: Path) -> None:
    """By the fit's own steps: with no layer in float the doctor writes the shipped file, byte for byte."""
    (tmp_path / "recipe.yaml").write_text(
        "name: tiny\ndata: {name: synthetic, synthetic_images: 24, synthetic_px: 64}\n"
        "geometry: {mode: resize, height_px: 64, width_px: 64}\n"
        "quantize: {images: 8, method: minmax, network: corrected}\n"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = make_chain(recipe, None, tmp_path)
    data = open_dataset(chain.data_root, split_file=chain.root / "split.csv", seed=recipe.data.seed)
    torch.manual_seed(0)
    arch = efficient_unet_arch(1, len(data.classes), width=0.25, depth=0.5, stages=4)
    model = build_model(arch)
    model.apply(lambda module: nn.init.normal_(module.bias) if isinstance(module, nn.BatchNorm2d) else None)
    save_checkpoint(tmp_path / "winner", model.eval(), {})
    target = local_target(recipe, data, "x86-ort", 16, tmp_path / "scratch")
    fit = chain.root / "fit" / "x86-ort" / "latency_ms-2"
    shipping = Shipping(chain, target, model, fit / "shipped", lambda name, share, words: None)
    steps = shipping._steps(tmp_path / "winner")
    export = Chain(steps, shipping.folder, chain.data_root, chain.data_key)
    shipped = export.run().records["onnx_int8"]["result"]
    assert shipped["status"] == "ok", shipped["reason"]
    write_json(fit / "fit.json", {"recipe": {"name": "tiny"}, "status": "ok"})
    patient = PlanPatient.open(recipe, chain.root, data, fit)
    patient.write(frozenset(), tmp_path / "int8.onnx")
    assert sha256_file(tmp_path / "int8.onnx") == shipped["sha256"]


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx", "--data", "d"], "none.onnx does not exist"),
        (["none"], "'none' is no file"),
        (["net.onnx"], "--data DIR"),
        (["net.onnx", "--data", "d", "--size", "big"], "--size is 'big'"),
        (["demo", "--calibration", "own"], "--calibration own is for an .onnx file"),
        (["net.onnx", "--data", "d", "--fit", "f"], "--fit f is for a recipe; net.onnx is a file"),
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
    assert DoctorOrder("ultrasound", fit=Path("f")).command == "edgeseg doctor int8 ultrasound --fit f"
    assert DoctorOrder("a.onnx", Path("d"), Path("own")).command.endswith("--data d --calibration own")
