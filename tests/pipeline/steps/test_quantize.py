"""The step `ranges`: what is tried, what is kept, and that the file scored is the file that ships."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.compress.int8.calibrate import METHODS
from edgeseg.compress.int8.candidate_choice import SAME_AGREEMENT, Evidence
from edgeseg.compress.int8.candidates import Candidate, prepared_candidates
from edgeseg.compress.int8.prepared import FILE
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.spec_file import read_spec
from edgeseg.pipeline.chain.chain import Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder, sha256_file
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.recipe.export_sections import QuantizeSection
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.steps import int8_trials
from edgeseg.pipeline.steps.export import input_spec, run_onnx_int8
from edgeseg.pipeline.steps.int8_judge import Judge
from edgeseg.pipeline.steps.int8_trials import N_CANDIDATES, Trials
from edgeseg.pipeline.steps.quantize import run_ranges
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError, ExportError
from edgeseg.runtime.score.image_score import score_image
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.synthetic import write_dataset

RECIPE = """\
name: small
data: {name: synthetic}
geometry: {mode: resize, height_px: 96, width_px: 96}
quantize: {images: 10}
"""

MakeContext = Callable[..., StepContext]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, synthetic_dir: Path) -> Path:
    """Folders of the steps before `ranges`: a checkpoint with lived-in statistics and its FP32 ONNX file."""
    root = tmp_path_factory.mktemp("run")
    (root / "recipe.yaml").write_text(RECIPE)
    data = open_dataset(synthetic_dir)
    torch.manual_seed(0)
    model = build_model(efficient_unet_arch(1, len(data.classes), width=0.25, stages=3))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.rand(4, 1, 96, 96))
    save_checkpoint(root / "steps/student/files", model.eval(), {})
    files = root / "steps/onnx_fp32/files"
    files.mkdir(parents=True)
    spec = export_onnx(
        model, files / "model.onnx", input_spec(context_of(root, synthetic_dir), data, model), data.classes
    )
    write_json(files / "spec.json", spec.to_json())
    return root


def context_of(root: Path, data_root: Path, name: str = "ranges", *assignments: str, **results: Any) -> StepContext:
    folders = {step: StepFolder(root / "steps" / step) for step in ("student", "onnx_fp32", "ranges", "onnx_int8")}
    folders[name].begin("key")
    known = {"choose_final": {"student": "student"}, "onnx_fp32": {"status": "ok"}} | results
    return StepContext(
        step=Step(name, tuple(known), {}, ""),
        recipe=load_recipe(root / "recipe.yaml", assignments),
        data_root=data_root,
        split_file=root / "split.csv",
        folder=folders[name],
        results={step: {"result": result} for step, result in known.items()},
        folders=folders,
        progress=lambda share, words: None,
    )


@pytest.fixture
def make_context(run_folder: Path, synthetic_dir: Path) -> MakeContext:
    return lambda *given, **results: context_of(run_folder, synthetic_dir, *given, **results)


def test_auto_tries_all_and_takes_by_the_rule(make_context: MakeContext) -> None:
    context = make_context("ranges", "quantize.score_images=3")
    result = run_ranges(context)
    names = [trial["name"] for trial in result["candidates"]]
    assert names[:5] == list(METHODS) and len(names) == N_CANDIDATES == 8
    scored = [trial for trial in result["candidates"] if trial["status"] == "ok"]
    best = max(trial["val_dice"] for trial in scored)
    assert all(0 <= trial["agreement_with_fp32"] <= 1 for trial in scored)
    for trial in scored:
        drop = trial["dice_drop_vs_best"]
        assert drop is None or drop["mean"] == pytest.approx(best - trial["val_dice"])
        assert trial["told_apart"] == (drop is not None and drop["lo95"] > 0)
    (kept,) = [trial for trial in scored if trial["reason"] is None]
    alike = [trial["agreement_with_fp32"] for trial in scored if not trial["told_apart"]]
    assert not kept["told_apart"] and kept["agreement_with_fp32"] >= max(alike) - SAME_AGREEMENT
    assert (result["method"], result["network"]) == (kept["method"], kept["network"])
    assert result["scored_on"]["n_images"] == 3 and len(result["scored_on"]["images"]) == 3
    assert len(result["images"]) == result["n_images"] == 10
    assert result["source"] == "train" and result["of"] > 10 and result["folder_sha256"] is None
    assert 0 <= result["fp32_val_dice"] <= 1
    assert json.loads(json.dumps(result)) == result
    stored = json.loads((context.folder.files / "ranges.json").read_text())
    assert stored["method"] == kept["method"] and stored["n_images"] == 10
    assert (context.folder.files / FILE).is_file() == (kept["network"] != "plain")
    assert not list(context.folder.files.glob("*.onnx"))
    # What was scored is, byte for byte, what the next step writes.
    context = make_context("onnx_int8", ranges=result)
    written = run_onnx_int8(context)
    assert written["status"] == "ok", written["reason"]
    assert sha256_file(context.folder.files / "model.onnx") == kept["sha256"]


def test_a_named_method_and_network_are_taken_as_they_are(make_context: MakeContext) -> None:
    context = make_context("ranges", "quantize.method=percentile", "quantize.network=equalized+corrected")
    result = run_ranges(context)
    assert (result["method"], result["network"]) == ("percentile", "equalized+corrected")
    assert "candidates" not in result and (context.folder.files / FILE).is_file()
    assert result["equalization"]["channels_scaled"] > 0
    written = run_onnx_int8(make_context("onnx_int8", ranges=result))
    assert written["status"] == "ok", written["reason"]


@pytest.mark.parametrize(("width", "seed"), [(0.25, 1), (0.5, 0)])
@pytest.mark.parametrize("network", ["plain", "corrected"])
def test_a_plan_of_another_network_of_the_family_is_refused(
    width: float, seed: int, network: str, make_context: MakeContext, tmp_path: Path
) -> None:
    context = make_context("ranges", "quantize.method=minmax", f"quantize.network={network}")
    result = run_ranges(context)
    context = make_context("onnx_int8", ranges=result)
    torch.manual_seed(seed)
    n_classes = len(open_dataset(context.data_root).classes)
    other = build_model(efficient_unet_arch(1, n_classes, width=width, stages=3)).eval()
    save_checkpoint(tmp_path / "student/files", other, {})
    context.folders["student"] = StepFolder(tmp_path / "student")
    with pytest.raises(ConfigError, match=r"holds the ranges of network \w{12}, but that in .*student.* is \w{12}"):
        run_onnx_int8(context)
    assert not list(context.folder.files.iterdir())


def test_agreement_is_one_for_the_fp32_file_itself_and_counts_foreground(make_context: MakeContext) -> None:
    context = make_context("ranges")
    files, data = context.folders["onnx_fp32"].files, open_dataset(context.data_root)
    spec = read_spec(files)
    judge = Judge.open(files / "model.onnx", spec, data, data.split("val")[:2])
    assert judge.look_at(files / "model.onnx", spec).agreement == 1.0
    assert any(mask.any() for mask in judge.reference)
    # The FP32 masks with all foreground gone: most pixels still agree, but nothing that matters does.
    blank = dataclasses.replace(judge, reference=[np.zeros_like(mask) for mask in judge.reference])
    assert blank.look_at(files / "model.onnx", spec).agreement == 0.0


def test_images_of_ones_own_take_the_place_of_train(
    make_context: MakeContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("own") / "metal"
    write_dataset(root, n=9, seed=5, size_px=96)
    context = make_context("ranges", "quantize.method=minmax")
    on_train = run_ranges(context), (context.folder.files / "ranges.json").read_text()
    context = make_context("ranges", "quantize.method=minmax", f"quantize.folder={root / 'images'}")
    result = run_ranges(context)
    assert (result["source"], result["n_images"], result["of"]) == ("folder", 9, 9)
    assert sorted(result["images"]) == sorted(path.stem for path in (root / "images").iterdir())
    assert result["images_by_class"] is None and len(result["folder_sha256"]) == 64
    assert json.loads(json.dumps(result)) == result
    assert (context.folder.files / "ranges.json").read_text() != on_train[1]


def test_without_a_file_to_try_on_the_simplest_is_taken(make_context: MakeContext) -> None:
    result = run_ranges(make_context("ranges", onnx_fp32={"status": "failed", "reason": "no"}))
    assert (result["method"], result["network"], result["candidates"]) == ("minmax", "plain", [])
    assert "onnx_fp32 is failed" in result["reason"]


class Written(Trials):
    """Trials whose files are their candidates' names, or what `same` says instead."""

    same: Mapping[str, str] = {}
    fails: Sequence[str] = ()

    def _write(self, candidate: Candidate) -> tuple[Path, Any]:
        if candidate.name in self.fails:
            raise ExportError(f"{candidate.name} cannot be written")
        file = self.origin.work / "int8.onnx"
        file.write_text(self.same.get(candidate.name, candidate.name))
        return file, None


class Eyes:
    """A judge that sees the same Dice everywhere, and an agreement by file."""

    def __init__(self, agreement: Mapping[str, float]) -> None:
        self.agreement, self.seen = agreement, []

    def look_at(self, file: Path, spec: Any) -> Evidence:
        self.seen.append(file.read_text())
        mask = np.ones((2, 2), np.uint8)
        return Evidence([score_image(mask, mask, 2, stem="one")], 1.0, self.agreement.get(self.seen[-1], 0.5))


def written(work: Path, eyes: Eyes) -> Written:
    preparation = SimpleNamespace(applies=lambda candidate: candidate.network != "equalized")
    return Written(preparation, SimpleNamespace(work=work), eyes, lambda share, words: None)  # type: ignore[arg-type]


def test_networks_are_prepared_for_the_method_that_the_rule_takes(tmp_path: Path) -> None:
    eyes = Eyes({"entropy": 0.9, "entropy, corrected": 0.95})
    trials = written(tmp_path, eyes)
    assert trials.run() == Candidate("entropy", "corrected")
    done = {trial.name: trial for trial in trials.done.values()}
    assert list(done)[5:] == [candidate.name for candidate in prepared_candidates("entropy")]
    assert done["entropy"].reason == "agrees less with FP32" and done["entropy, corrected"].reason is None
    assert done["entropy, equalized"].status == "not applicable" and done["entropy, equalized"].told_apart is None
    assert done["entropy"].to_json()["agreement_with_fp32"] == 0.9 and done["entropy"].told_apart is False


def test_equal_files_are_looked_at_once_and_the_simpler_name_is_taken(tmp_path: Path) -> None:
    eyes = Eyes({"minmax": 0.9})
    trials = written(tmp_path, eyes)
    trials.same = {"mse": "minmax", "percentile": "minmax"}
    assert trials.run() == Candidate("minmax")
    assert eyes.seen[:3] == ["minmax", "moving_average", "entropy"] and eyes.seen.count("minmax") == 1
    assert trials.done[Candidate("mse")].agreement_with_fp32 == 0.9


def test_what_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    trials = written(tmp_path, Eyes({}))
    trials.fails = METHODS[:2]
    assert trials.run() == Candidate("percentile")
    assert trials.done[Candidate("minmax")].reason == "minmax cannot be written"
    trials = written(tmp_path, Eyes({}))
    trials.fails = METHODS
    assert trials.run() is None and {trial.status for trial in trials.done.values()} == {"failed"}


def test_where_every_candidate_fails_the_simplest_is_taken(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise ExportError("no such operator")

    monkeypatch.setattr(int8_trials, "write_int8_onnx", refuse)
    result = run_ranges(make_context("ranges", "quantize.score_images=1"))
    assert (result["method"], result["network"]) == ("minmax", "plain")
    assert result["reason"].startswith("every candidate failed") and len(result["candidates"]) == len(METHODS)
    assert {trial["reason"] for trial in result["candidates"]} == {"no such operator"}


def test_recipe_and_plan_know_the_same_methods(run_folder: Path) -> None:
    for method in (*METHODS, "auto"):
        assert load_recipe(run_folder / "recipe.yaml", [f"quantize.method={method}"]).quantize.method == method
    with pytest.raises(ConfigError, match=r"quantize\.method is 'guess'; use one of auto, minmax"):
        load_recipe(run_folder / "recipe.yaml", ["quantize.method=guess"])
    with pytest.raises(ConfigError, match="at least 8 images"):
        QuantizeSection(images=7)
    with pytest.raises(ConfigError, match="chooses the network by itself"):
        QuantizeSection(network="equalized")
    with pytest.raises(ConfigError, match="score_images is 0"):
        QuantizeSection(score_images=0)


def test_candidates_are_planned_after_the_file_they_are_written_from() -> None:
    steps = {step.name: step for step in plan_steps(load_recipe(Path(__file__).parents[3] / "recipes/demo.yaml"))}
    assert "onnx_fp32" in steps["ranges"].parents
    assert {"ranges", "onnx_fp32"} <= set(steps["onnx_int8"].parents)
    assert {"ranges", "tflite_fp32"} <= set(steps["tflite_int8"].parents)
