"""Threads and precision are chosen by time, and a busy second core does not decide about the precision."""

from __future__ import annotations

import os
import time

import pytest
import torch
from torch import nn

from edgeseg.train import choices
from edgeseg.train.choices import choose


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def _timed(monkeypatch: pytest.MonkeyPatch, table: dict[tuple[int, str], float]) -> None:
    monkeypatch.setattr(choices, "_time_step", lambda _step, _model, threads, kind: table[(threads, kind)])


@pytest.mark.parametrize(
    ("table", "chosen"),
    [
        ({(1, "bfloat16"): 10.0, (1, "float32"): 30.0, (2, "bfloat16"): 6.0}, (2, "bfloat16")),
        ({(1, "bfloat16"): 10.0, (1, "float32"): 30.0, (2, "bfloat16"): 90.0}, (1, "bfloat16")),
        ({(1, "bfloat16"): 40.0, (1, "float32"): 30.0, (2, "float32"): 20.0}, (2, "float32")),
    ],
    ids=["idle", "second core busy", "no bfloat16 instructions"],
)
def test_the_fastest_measured_setting_wins(
    monkeypatch: pytest.MonkeyPatch, table: dict[tuple[int, str], float], chosen: tuple[int, str]
) -> None:
    _timed(monkeypatch, table)
    choice = choose(lambda: torch.zeros(1), nn.Identity())
    assert (choice.threads, choice.precision) == chosen
    assert len(choice.step_ms) == 3


def test_a_real_step_is_timed_and_leaves_no_gradient() -> None:
    threads = torch.get_num_threads()
    model = nn.Linear(4, 4)

    def step() -> torch.Tensor:
        time.sleep(0.005)  # alone it is shorter than what step_ms is rounded to
        return model(torch.ones(2, 4)).sum()

    choice = choose(step, model, threads=1, precision="float32")
    torch.set_num_threads(threads)
    assert choice.step_ms["1 threads, float32"] >= 5
    assert model.weight.grad is None
