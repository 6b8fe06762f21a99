"""Tools of a fit: what a measurement and a score are remembered by, and what is tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.plan.search_parts import search_parts
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.fit import FitSection
from edgeseg.pipeline.search.contest import accuracy_of
from edgeseg.pipeline.search.lab import Lab
from edgeseg.pipeline.search.rounds import all_ways
from edgeseg.runtime.score.image_score import score_image
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

from ..fake_target import FakeProbe, fake_lab

RECIPE = "name: tiny\ndata: {name: synthetic}\ngeometry: {mode: resize, height_px: 64, width_px: 64}\n"
MASK = np.eye(4, dtype=np.uint8)


@pytest.fixture
def lab(tmp_path: Path, synthetic_dir: Path) -> Lab:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    return fake_lab(tmp_path, recipe, synthetic_dir, Budget("x86-ort", latency_ms=1.0), FakeProbe((64, 64)))


@pytest.fixture
def model() -> Any:
    return build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5, stages=4)).eval()


def test_pre_and_postprocessing_are_those_of_a_trained_network(lab: Lab, model: Any) -> None:
    whole = lab.measure(model)
    assert whole["latency_ms"] == whole["total_ms"] == pytest.approx(whole["infer_ms"] + 0.2)
    lab.around_ms = 0.5
    again = lab.measure(model)
    assert again["latency_ms"] == again["infer_ms"] + 0.5 and again["total_ms"] == whole["total_ms"]
    assert lab.probe.measured == 1  # type: ignore[attr-defined]


def test_a_score_is_of_the_ranges_it_was_made_with(lab: Lab, model: Any) -> None:
    scored = []

    def score(name: str, _: Any) -> Any:
        scored.append(name)
        return [score_image(MASK, MASK, 2, stem=stem) for stem in ("a", "b")]

    lab.score = score
    assert accuracy_of(lab, "pruned_0", model) == accuracy_of(lab, "pruned_0", model)
    assert len(scored) == 1
    quantize = lab.recipe.quantize
    for number, change in enumerate(({"method": "entropy"}, {"images": 32}, {"folder": "elsewhere"}), start=2):
        lab.recipe = replace(lab.recipe, quantize=replace(quantize, **change))
        lab.calibration_sha256 = "1a" if "folder" in change else None
        accuracy_of(lab, "pruned_0", model)
        assert len(scored) == number, change
    lab.recipe = replace(lab.recipe, quantize=replace(lab.recipe.quantize, folder="moved"))
    accuracy_of(lab, "pruned_0", model)
    assert len(scored) == 4


@pytest.mark.parametrize(
    ("limits", "measured", "size"),
    [({"macs_ratio": 0.5}, 0, None), ({"bytes": 9000}, 0, 5000), ({"speedup": 2}, 1, 5000)],
)
def test_no_more_is_measured_than_the_budget_asks_for(
    limits: dict[str, float], measured: int, size: int | None, lab: Lab, model: Any, tmp_path: Path
) -> None:
    budget = Budget("x86-ort", **limits)
    counted = fake_lab(tmp_path / "counted", lab.recipe, lab.data_root, budget, FakeProbe((64, 64)), model)
    figures = counted.measure(model)
    counted.learn(model.arch, figures)
    probe: Any = counted.probe
    assert probe.measured == measured and bool(probe.asked) == bool(measured)
    assert (figures["latency_ms"] is not None) == bool(measured) and figures["macs"] > 0
    assert figures["bytes"] is None if size is None else figures["bytes"] > size
    assert ("latency_ms" in counted.predictor.predict(model.arch)) == bool(measured)
    assert counted.aims.get("macs") == counted.ceilings.get("macs")  # what is counted has no noise


def test_a_meter_that_was_silent_is_asked_again(lab: Lab, model: Any, tmp_path: Path) -> None:
    class Metered(FakeProbe):
        def measure(self, model: Any) -> Any:
            return replace(super().measure(model), energy_mj=4.0, reason=None)

    budget = Budget("x86-ort", energy_mj=5)
    metered = fake_lab(tmp_path / "metered", lab.recipe, lab.data_root, budget, FakeProbe((64, 64)), model)
    for n in (1, 2):
        assert metered.measure(model)["energy_mj"] is None and metered.probe.measured == n  # type: ignore[attr-defined]
    metered.probe = probe = Metered((64, 64))
    assert metered.measure(model) == metered.measure(model) and probe.measured == 1
    metered.sensor = {"meter": "another"}  # whose numbers are its own
    figures = metered.measure(model)
    assert figures["energy_mj"] == 4.0 and probe.measured == 2
    metered.learn(model.arch, figures)
    assert metered.predictor.predict(model.arch)["energy_mj"] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(
    ("section", "ways"),
    [
        (FitSection(), ("taylor-depth", "group_l2-depth", "taylor-widths")),
        (FitSection(depth=False), ("taylor-widths", "group_l2-widths")),
        (FitSection(way="random-widths"), ("random-widths",)),
    ],
)
def test_progress_knows_the_trainings_that_choose_a_way(lab: Lab, section: FitSection, ways: tuple[str, ...]) -> None:
    lab.recipe = replace(lab.recipe, fit=section)
    assert tuple(way.name for way in all_ways(lab)) == section.ways == ways
    searched = {name for name in search_parts(lab.recipe) if name.startswith("search_")}
    assert searched == ({f"search_{name}" for name in ways} if len(ways) > 1 else set())
