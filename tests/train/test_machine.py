"""Threads and precision follow from the machine, whatever its pace is at the moment."""

from __future__ import annotations

import os

import pytest
import torch

from edgeseg.train import machine
from edgeseg.train.machine import training_precision, training_threads


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx2", "avx512_vnni"}, "float32"),
        ({"avx512_bf16"}, "bfloat16"),
        ({"amx_bf16"}, "bfloat16"),
        ({"asimd", "bf16"}, "bfloat16"),
    ],
    ids=["no bfloat16 instructions", "avx512", "amx", "arm"],
)
def test_a_cpu_takes_bfloat16_where_it_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    assert training_precision() == precision


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_a_gpu_decides_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert training_precision() == precision


def test_threads_are_the_cores_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 5})
    assert training_threads() == 3
