"""Where a training begins: published weights in the encoder, the recipe's seed in the rest; and what is told of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.compress.search.narrow import narrowed
from edgeseg.pipeline.chain.chain import Step, StepContext, no_progress
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.start import StartSection, student_start
from edgeseg.pipeline.steps.start import pretrained, start_of, started
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.pretrained.published import PUBLISHED
from edgeseg.train.pretrained.weights import published_weights

from ..plan.test_starts import recipe_of


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def context_of(start: StartSection | None, root: Path, place: str | None = None) -> StepContext:
    settings = {"start": None if start is None else dataclasses.asdict(start)}
    step = Step("student_alone", (), settings, "m:f", places={} if place is None else {"start": place})
    return StepContext(step, root, root, StepFolder(root), {}, {}, lambda share, words: None)


def seeded(context: StepContext, arch: dict[str, Any]) -> Any:
    torch.manual_seed(3)
    return started(context, arch)


def test_a_narrow_student_has_the_encoder_of_the_weights_and_a_fresh_decoder(tmp_path: Path) -> None:
    arch = efficient_unet_arch(1, 3, width=0.5)
    fresh = seeded(context_of(None, tmp_path), arch)
    model = seeded(context_of(student_start("imagenet", 0.5, 1.0), tmp_path), arch)
    cut = narrowed(published_weights("lite0"), model.arch).tensors
    own, other = model.state_dict(), fresh.state_dict()
    decided = {name for name in own if name.startswith(("decoder", "head")) and own[name].ndim}
    encoder = {name for name in own if own[name].ndim} - decided
    assert len(encoder) == 240 and encoder <= cut.keys()
    assert all(torch.equal(own[name], cut[name]) for name in encoder)
    assert all(torch.equal(own[name], other[name]) for name in decided)
    assert (model.arch["bn_eps"], "bn_eps" in fresh.arch) == (1e-3, False)
    assert fresh.arch == arch


def test_published_weights_are_told_with_their_licence(tmp_path: Path) -> None:
    told = start_of(context_of(student_start("imagenet", 0.5, 1.0), tmp_path))["start"]
    assert told == {
        **{"name": "lite0", "sha256": PUBLISHED["lite0"].sha256, "licence": "Apache-2.0"},
        **{"trained_on": PUBLISHED["lite0"].trained_on, "source": PUBLISHED["lite0"].source},
    }
    assert start_of(context_of(None, tmp_path)) == {}


def test_a_checkpoint_hands_on_what_it_started_from(tmp_path: Path) -> None:
    origin = dataclasses.asdict(PUBLISHED["lite0"].origin)
    model = build_model(efficient_unet_arch(1, 3, width=0.25))
    save_checkpoint(tmp_path / "plain", model, {})
    save_checkpoint(tmp_path / "own", model, {"start": origin})
    told = {}
    for name in ("plain", "own"):
        start = student_start(str(tmp_path / name), 0.25, 1.0)
        told[name] = start_of(context_of(start, tmp_path, str(tmp_path / name)))["start"]
    assert told["plain"]["licence"] == "not stated"
    assert (told["own"]["name"], told["own"]["licence"]) == ("own", "Apache-2.0")
    assert "started from lite0" in told["own"]["source"]


def test_a_file_that_changed_after_it_was_planned_is_refused(tmp_path: Path) -> None:
    arch = efficient_unet_arch(1, 3, width=0.25)
    save_checkpoint(tmp_path / "own", build_model(arch), {})
    start = student_start(str(tmp_path / "own"), 0.25, 1.0)
    save_checkpoint(tmp_path / "own", build_model(arch), {})
    with pytest.raises(ConfigError, match="own has changed since this run began"):
        started(context_of(start, tmp_path, str(tmp_path / "own")), arch)


def test_both_students_start_alike_and_are_told_once() -> None:
    one, other = ({"name": name, "licence": "Apache-2.0"} for name in ("lite0", "lite2"))
    records = {
        "teacher": {"result": {"start": other}},
        "student_alone": {"result": {"start": one}},
        "student_distilled": {"result": {"start": one}},
    }
    assert pretrained(records) == ({"of": "teacher", **other}, {"of": "student", **one})
    assert pretrained({name: {"result": {"history": []}} for name in records}) == ()


@pytest.mark.slow
def test_trained_networks_say_where_they_started(tmp_path: Path) -> None:
    """One epoch each: a teacher with published encoder, and its student after it."""
    chain = make_chain(recipe_of(tmp_path), None, tmp_path)
    run_chain(chain, no_progress, only="student_distilled")
    for name, kind in (("teacher", "lite_unet"), ("student_distilled", "efficient_unet")):
        folder = chain.folder(name)
        result = json.loads((folder.root / "done.json").read_text())["result"]
        model, meta = load_checkpoint(folder.files, expect_arch=kind)
        assert meta["start"] == result["start"] == dataclasses.asdict(PUBLISHED["lite0"].origin)
        assert model.arch["bn_eps"] == model.bn1.eps == 1e-3
