"""Lightning's resume state as safetensors + JSON: any plain state comes back equal, damage is told, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.errors import TrainingError
from edgeseg.train.checkpoint_io import SafeCheckpointIO

IO = SafeCheckpointIO()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = st.integers() | st.text(max_size=8)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | st.tuples(inner, inner) | st.just(())
    ),
    max_leaves=12,
)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_plain_states_come_back_equal(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = tmp_path_factory.mktemp("io") / "state.ckpt"
    state = {"tree": tree, "weights": torch.arange(3.0)}
    IO.save_checkpoint(state, path)
    assert _same(IO.load_checkpoint(path), state)


def test_tensors_of_every_kind(tmp_path: Path) -> None:
    shared = torch.randn(4, 3)
    state = {
        "scalar": torch.tensor(3), "bf16": torch.randn(5).bfloat16(), "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4), "strided": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "view": shared[1], "tied": [shared, shared.t()], "parameter": torch.nn.Parameter(torch.ones(2)).data,
        0: {"exp_avg": torch.randn(3, dtype=torch.float64)},
    }  # fmt: skip
    IO.save_checkpoint(state, tmp_path / "a.ckpt")
    assert _same(IO.load_checkpoint(tmp_path / "a.ckpt"), state)


def test_dictionaries_that_look_like_our_own_marks(tmp_path: Path) -> None:
    state = {"t": {"t": "0"}, "d": [["d", {"u": 1}]], "l": {"l": []}}
    IO.save_checkpoint(state, tmp_path / "a.ckpt")
    assert _same(IO.load_checkpoint(tmp_path / "a.ckpt"), state)


def test_an_optimizer_state_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def steps(state: dict[str, Any] | None) -> tuple[torch.Tensor, dict[str, Any]]:
        weight = torch.nn.Parameter(state["weight"] if state else torch.ones(7))
        optimizer = torch.optim.AdamW([weight], lr=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
        if state:
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        for _ in range(5):
            (weight.square().sum() * torch.linspace(1, 2, 7)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return weight.detach().clone(), {
            "weight": weight.detach().clone(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()
        }  # fmt: skip

    _, state = steps(None)
    IO.save_checkpoint({k: v for k, v in state.items() if k != "schedule"} | {"schedule": _plain(state["schedule"])},
                       tmp_path / "a.ckpt")  # fmt: skip
    assert torch.equal(steps(state)[0], steps(IO.load_checkpoint(tmp_path / "a.ckpt"))[0])


def _plain(schedule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schedule.items() if not callable(value)}


def test_objects_without_a_json_form_are_refused_and_leave_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({"epoch": 1, "w": torch.ones(1)}, path)
    with pytest.raises(TrainingError, match="holds a object, which has no JSON form"):
        IO.save_checkpoint({"epoch": 2, "w": torch.ones(1), "thing": object()}, path)
    assert IO.load_checkpoint(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "pickle", "foreign"])
def test_damaged_states_are_told_with_the_remedy(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.ckpt"
    IO.save_checkpoint({"w": torch.ones(100)}, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "pickle":
        torch.save({"w": torch.ones(1)}, path)
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"w": torch.ones(1)}, path)
    else:
        path.write_text("no state" if damage == "text" else "")
    with pytest.raises(TrainingError, match=r"resume state .*last\.ckpt is damaged.*delete it"):
        IO.load_checkpoint(path)


def test_removing_is_quiet_where_nothing_is(tmp_path: Path) -> None:
    IO.remove_checkpoint(tmp_path / "gone.ckpt")
    IO.save_checkpoint({"w": torch.ones(1)}, tmp_path / "sub" / "a.ckpt")
    IO.remove_checkpoint(tmp_path / "sub" / "a.ckpt")
    assert not (tmp_path / "sub" / "a.ckpt").exists()
