"""The temperature that fits a teacher to val: recovers the one that truth was drawn with, leaves out ignored pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from edgeseg.compress.distill.temperature import HIGHEST, LOWEST, fit_temperature
from edgeseg.runtime.data.ignored import IGNORED


def _drawn(outputs: int, temperature: float, size: int = 200) -> tuple[Tensor, Tensor]:
    """Logits, and a truth drawn with the probabilities that they have at this temperature."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn((2, outputs, size, size), generator=generator) * 4
    if outputs == 1:
        return logits, torch.bernoulli((logits[:, 0] / temperature).sigmoid(), generator=generator).long()
    probabilities = (logits / temperature).softmax(dim=1).movedim(1, -1).reshape(-1, outputs)
    return logits, torch.multinomial(probabilities, 1, generator=generator).reshape(2, size, size)


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_found(outputs: int, temperature: float) -> None:
    assert fit_temperature([_drawn(outputs, temperature)]) == pytest.approx(temperature, rel=0.03)


def test_by_hand() -> None:
    """Three of four pixels right at a logit of 4: the best probability is 3 / 4."""
    logits = torch.full((1, 1, 1, 4), 4.0)
    assert fit_temperature([(logits, torch.tensor([[[1, 1, 1, 0]]]))]) == pytest.approx(4 / math.log(3), rel=1e-3)


def test_it_is_the_lowest_likelihood_of_all_batches() -> None:
    batches = [_drawn(3, 1.7, 60), tuple(one[:1] for one in _drawn(3, 0.8, 50))]

    def cost(temperature: float) -> float:
        return sum(
            torch.nn.functional.cross_entropy(logits / temperature, target, reduction="sum").item()
            for logits, target in batches
        )

    found = fit_temperature(batches)  # type: ignore[arg-type]
    assert cost(found) < min(cost(found * 1.02), cost(found / 1.02))


@pytest.mark.parametrize("outputs", [1, 3])
def test_ignored_pixels_say_nothing(outputs: int) -> None:
    logits, target = _drawn(outputs, 2.0, 80)
    found = fit_temperature([(logits, target)])
    wrong = torch.cat([logits, -30 * logits], dim=2)
    assert fit_temperature([(wrong, torch.cat([target, torch.full_like(target, IGNORED)], dim=1))]) == found
    assert fit_temperature([(logits, torch.full_like(target, IGNORED))]) == 1.0


def test_a_network_that_is_never_wrong_or_never_right_stays_within_bounds() -> None:
    logits = torch.tensor([3.0, -3.0]).reshape(1, 1, 1, 2)
    assert fit_temperature([(logits, torch.tensor([[[1, 0]]]))]) == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature([(logits, torch.tensor([[[0, 1]]]))]) == pytest.approx(HIGHEST, rel=1e-3)
