"""Causes: each made on purpose in one layer's facts, named with its figures; healthy facts name none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.compress.int8.causes import LayerFacts, causes_of, explain
from edgeseg.compress.int8.statistics import Activation, Statistics
from edgeseg.compress.int8.tensor_facts import TensorFacts

RNG = np.random.default_rng(0)


def seen(*images: np.ndarray) -> Activation:
    found = Statistics()
    for values in images:
        found.note("t", torch.from_numpy(values))
    return found.of("t")


def tensor(name: str = "t", factor: np.ndarray | None = None, channels: int = 8) -> TensorFacts:
    values = RNG.uniform(-1, 3, (2, channels, 16, 16)).astype(np.float32)
    if factor is not None:
        values *= factor[None, :, None, None]
    activation = seen(values)
    low, high = activation.seen
    return TensorFacts(name, activation, min(low, 0), max(high, 0))


def healthy() -> LayerFacts:
    weight = RNG.normal(0, 0.2, (12, 8, 9)).astype(np.float32)
    return LayerFacts("conv", "conv", (tensor("before"),), tensor("conv", channels=12), weight, np.ones(12, np.float32))


def kinds(facts: LayerFacts) -> list[str]:
    return [cause.kind for cause in causes_of(facts)]


def test_a_healthy_layer_has_no_cause() -> None:
    assert kinds(healthy()) == []
    assert "No single cause" in explain(healthy()) and "scores" in explain(replace(healthy(), is_score=True))


def test_outlier_channel_of_activations() -> None:
    factor = np.ones(8)
    factor[5] = 1000
    facts = replace(healthy(), output=tensor("conv", factor))
    assert kinds(facts) == ["outlier channel"]
    assert "Channel 5 of its result" in explain(facts) and "of 256 levels" in explain(facts)
    facts = replace(healthy(), inputs=(tensor("before", factor),))
    assert "Channel 5 of its input before" in explain(facts)


def test_wide_range_with_most_values_in_few_levels() -> None:
    values = RNG.uniform(0, 1, (1, 8, 64, 64)).astype(np.float32)
    values[:, :, 3, 5] = 700  # one bright pixel in every channel
    facts = replace(healthy(), output=TensorFacts("conv", seen(values), 0.0, 700.0))
    assert kinds(facts) == ["wide range"]
    assert "0 to 700" in explain(facts) and "they share 1 of 256 levels" in explain(facts)


def test_concat_of_unlike_ranges() -> None:
    narrow, wide = tensor("skip", np.full(8, 0.1)), tensor("up", np.full(8, 10.0))
    joined = replace(wide, name="cat")
    facts = LayerFacts("cat", "concat", (wide, narrow), joined)
    assert "concat of unlike ranges" in kinds(facts)
    assert "joins up" in explain(facts) and "and skip" in explain(facts)
    assert kinds(LayerFacts("cat", "concat", (wide, wide), joined)) == []


def test_outlier_channel_of_weights() -> None:
    facts = healthy()
    assert facts.weight is not None
    facts.weight[:, 2] *= 400
    assert kinds(facts) == ["outlier channel in the weights"]
    assert "input channel 2" in explain(facts)


def test_weights_that_vanish_beside_others() -> None:
    factor = np.ones(8)
    factor[6] = 3000
    facts = replace(healthy(), inputs=(replace(tensor("before", factor), low=-1.0, high=3.0),))
    assert facts.weight is not None
    facts.weight[:, 6] /= 3000
    assert "weights that vanish" in kinds(facts)
    vanishing = next(cause for cause in causes_of(facts) if cause.kind == "weights that vanish")
    assert "input channel 6" in vanishing.sentence


def test_a_bias_that_does_not_fit() -> None:
    facts = replace(healthy(), inputs=(replace(tensor("before"), low=0.0, high=1e-6),))
    assert facts.bias is not None
    facts.bias[4] = 500.0
    found = [cause for cause in causes_of(facts) if cause.kind == "bias that does not fit"]
    assert len(found) == 1 and "bias of channel 4 (500)" in found[0].sentence


def test_a_degenerate_range_is_the_worst_cause() -> None:
    dead = TensorFacts("conv", seen(np.zeros((1, 4, 8, 8), np.float32)), 0.0, 1.0, repaired=True)
    facts = replace(healthy(), output=dead)
    assert kinds(facts) == ["degenerate range"] and "read as zeros" in explain(facts)


def test_facts_join_images_and_know_their_core() -> None:
    second = np.concatenate([np.full((1, 1, 4, 4), -2.0), np.full((1, 1, 4, 4), 5.0)], 1).astype(np.float32)
    activation = seen(np.full((1, 2, 4, 4), 1.0, np.float32), second)
    assert activation.seen == (-2.0, 5.0)
    assert activation.channel_low.tolist() == [-2, 1] and activation.channel_high.tolist() == [1, 5]
    facts = TensorFacts("a", activation, -2.0, 5.0)
    assert not facts.is_constant and facts.core == (-2, 5)
    assert facts.step == pytest.approx(7 / 255) and facts.core_levels == pytest.approx(256)
