"""The loop: learning itself, resuming, damage on the way, early stopping, two processes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.errors import TrainingError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, LossConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.fit import FitResult, fit
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.looks import load_look
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic.dataset import write_dataset

SCRIPT = Path(__file__).with_name("fit_script.py")


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle of a training."""


def _stop_after(epoch: int):
    def progress(done: int, _: int, __: dict[str, float]) -> None:
        if done >= epoch:
            raise StoppedError

    return progress


def _weights(module: SegmentationModule) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.model.state_dict().items()}


def _assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_fit_reports_and_leaves_the_weights_of_the_look_that_is_kept(training: Any, tmp_path: Path) -> None:
    module, data = training()
    calls: list[tuple[int, int]] = []
    result = fit(module, data, tmp_path / "fit", lambda done, total, _: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert all(math.isfinite(row["train_loss"]) for row in result.history)
    assert result.kept in result.history
    assert result.highest_val_dice == max(row["val_dice"] for row in result.history)
    assert not module.model.training
    # The weights the module holds are those that were looked at: looking at val again gives the same Dice.
    assert _dice(module, data) == pytest.approx(result.kept["val_dice"], abs=1e-6)
    assert not list((tmp_path / "fit").glob("*.pt*"))
    assert list((tmp_path / "fit").rglob("events.out.tfevents*")), "a TensorBoard log"


def _dice(module: SegmentationModule, data: Any) -> float:
    counts = torch.zeros(3, len(data.data.classes))
    was_training = module.model.training
    module.model.eval()
    data.setup()
    with torch.no_grad():
        for batch in data.val_dataloader():
            x, target = module._inputs(batch)
            ids = module(x).argmax(1)
            for c in range(counts.shape[1]):
                both, ours, theirs = ((ids == c) & (target == c)).sum(), (ids == c).sum(), (target == c).sum()
                counts[:, c] += torch.stack([both, ours, theirs])
    module.model.train(was_training)
    return float((2 * counts[0] / (counts[1] + counts[2]).clamp(min=1))[1:].mean())


def test_a_network_in_evaluation_mode_is_trained_all_the_same(training: Any, tmp_path: Path) -> None:
    """Loaded and pruned networks come in evaluation mode, which Lightning would keep: batch norm must learn again."""
    results = []
    for evaluation in (False, True):
        module, data = training(epochs=1)
        module.model.train(not evaluation)
        fit(module, data, tmp_path / str(evaluation))
        results.append(_weights(module))
    _assert_equal(*results)


def test_two_equal_fits_are_equal_to_the_bit(training: Any, tmp_path: Path) -> None:
    results = []
    for name in ("a", "b"):
        module, data = training(epochs=2)
        fit(module, data, tmp_path / name)
        results.append(_weights(module))
    _assert_equal(*results)


@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.0}, {"schedule": "cosine", "workers": 1}, {"validate_every": 2, "precision": "bfloat16"}],
    ids=["plain", "without-average", "cosine-worker", "bfloat16"],
)
def test_resumed_equals_unbroken(training: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    module, data = training(**changes)
    unbroken = fit(module, data, tmp_path / "unbroken")
    expected = _weights(module)

    module, data = training(**changes)
    with pytest.raises(StoppedError):
        fit(module, data, tmp_path / "broken", _stop_after(3))
    torch.manual_seed(99)  # whatever the next process drew before
    module, data = training(**changes)
    resumed = fit(module, data, tmp_path / "broken")
    _assert_equal(expected, _weights(module))
    assert resumed == unbroken


def test_a_finished_fit_is_not_trained_again(training: Any, tmp_path: Path) -> None:
    module, data = training(epochs=2)
    first = fit(module, data, tmp_path)
    expected = _weights(module)
    module, data = training(epochs=2)
    calls: list[int] = []
    again = fit(module, data, tmp_path, lambda done, *_: calls.append(done))
    assert calls == []
    assert again == first
    _assert_equal(expected, _weights(module))


def test_what_is_kept_is_the_average_of_the_steps(training: Any, tmp_path: Path) -> None:
    """By the closed form, which the recursion that is trained with does not know: step s of t counts s^k - (s-1)^k."""
    module, data = training(epochs=3, ema=0.2)
    steps: list[dict[str, torch.Tensor]] = []
    add = module.on_train_batch_end

    def record(*_: Any) -> None:
        add()
        steps.append({name: tensor.clone().double() for name, tensor in module.model.state_dict().items()})

    module.on_train_batch_end = record
    fit(module, data, tmp_path)
    weights = torch.tensor([float(step**5 - (step - 1) ** 5) for step in range(1, len(steps) + 1)], dtype=torch.double)
    weights /= weights.sum()
    last = load_look(tmp_path, module.history[-1])
    for name, tensor in last.items():
        if tensor.is_floating_point():
            expected = sum(weight * step[name] for weight, step in zip(weights, steps, strict=True))
            torch.testing.assert_close(tensor, torch.as_tensor(expected).float(), rtol=1e-4, atol=1e-6)
            assert not name.endswith("weight") or not torch.equal(tensor, steps[-1][name].float())
    assert sum(name.endswith("running_var") for name in last) > 0, "of batch norm as well"


def test_without_an_average_the_last_step_is_looked_at(training: Any, tmp_path: Path) -> None:
    module, data = training(epochs=1, ema=0.0)
    fit(module, data, tmp_path)
    assert module.network is module.model


def test_one_lucky_look_is_not_kept(training: Any, tmp_path: Path) -> None:
    """Also across a resume, and only files that may still be kept stay."""
    lucky = [0.50, 0.86, 0.60, 0.61, 0.62, 0.40]
    for stops in (None, 3):
        folder = tmp_path / str(stops)
        if stops:
            module, data = training(epochs=6)
            _look_as(module, lucky)
            with pytest.raises(StoppedError):
                fit(module, data, folder, _stop_after(stops))
        module, data = training(epochs=6)
        _look_as(module, lucky)
        result = fit(module, data, folder)
        assert (result.kept["epoch"], result.kept["val_dice"], result.highest_val_dice) == (5, 0.62, 0.86)
        assert len(list(folder.glob("look-*.ckpt"))) <= 3


def _look_as(module: SegmentationModule, dice: list[float]) -> None:
    """Let val Dice be what it is told to be; all else is as it is."""
    end = module.on_validation_epoch_end

    def told() -> None:
        end()
        module.history[-1]["val_dice"] = dice[len(module.history) - 1]

    module.on_validation_epoch_end = told  # type: ignore[method-assign]


def test_a_damaged_resume_state_is_told(training: Any, tmp_path: Path) -> None:
    module, data = training(epochs=2)
    with pytest.raises(StoppedError):
        fit(module, data, tmp_path, _stop_after(2))
    state = tmp_path / "last.ckpt"
    state.write_bytes(state.read_bytes()[:2000])
    module, data = training(epochs=2)
    with pytest.raises(TrainingError, match=r"last\.ckpt is damaged.*delete it to train this step anew"):
        fit(module, data, tmp_path)


def test_nan_loss_stops_the_fit_and_keeps_the_state(training: Any, tmp_path: Path) -> None:
    module, data = training()

    def poison(done: int, *_: object) -> None:
        if done == 2:
            with torch.no_grad():
                module.model.head.bias.fill_(float("nan"))

    with pytest.raises(TrainingError, match="loss became nan in epoch"):
        fit(module, data, tmp_path, poison)
    assert (tmp_path / "last.ckpt").is_file()


@pytest.mark.parametrize(("epochs", "validate_every", "looks"), [(2, 5, [2]), (6, 4, [3, 6]), (5, 2, [1, 2, 3, 4, 5])])
def test_the_last_epoch_is_looked_at(
    training: Any, tmp_path: Path, epochs: int, validate_every: int, looks: list[int]
) -> None:
    module, data = training(epochs=epochs, validate_every=validate_every)
    assert [row["epoch"] for row in fit(module, data, tmp_path).history] == looks


def test_early_stopping(training: Any, tmp_path: Path) -> None:
    module, data = training(epochs=12, patience=2, learning_rate=1e-9)
    result = fit(module, data, tmp_path)
    assert 3 <= len(result.history) < 12


def test_an_early_stopped_fit_stays_stopped(training: Any, tmp_path: Path) -> None:
    """Killed after the last epoch and before the next step of the chain, it must not train on."""
    settings = {"epochs": 12, "patience": 2, "learning_rate": 1e-9}
    module, data = training(**settings)
    first = fit(module, data, tmp_path)
    module, data = training(**settings)
    assert fit(module, data, tmp_path) == first


# --- learning ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metal(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tmp_path_factory.mktemp("learning") / "metal"
    write_dataset(root, n=60, seed=2, size_px=128)
    return open_dataset(root)


@pytest.mark.slow
def test_a_trained_net_sees_and_an_untrained_one_does_not(metal: DataSet, tmp_path: Path) -> None:
    """Tiles of 64x64 that oversample defects, 360 steps of a small U-Net: about 30 s of one idle core."""
    augment = AugmentConfig(p_affine=0, p_elastic=0, p_grid=0, p_gamma=0.3, p_noise=0, p_blur=0)
    config = TrainConfig(
        epochs=30, batch_size=8, samples_per_epoch=96, validate_every=5, learning_rate=5e-3, workers=0, threads=1,
        seed=3, augment=augment, loss=LossConfig("ce+dice"),
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = build_model(unet_arch(1, 4, base=8, depth=4, upsampling="bilinear"))
    data = SegmentationData(metal, Geometry("tile", None, None, 64, 16), model.stride, config, p_defect=0.8)
    module = SegmentationModule(model, config, 4, data.steps_per_epoch() * config.epochs)
    untrained = _dice(module, data)
    result: FitResult = fit(module, data, tmp_path)
    assert untrained < 0.1
    assert result.kept["val_dice"] > 0.45, result.history
    assert result.history[-1]["train_loss"] < 0.6 * result.history[0]["train_loss"]


# --- other processes --------------------------------------------------------------------------------------------------


def _run(folder: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *arguments],
        capture_output=True, text=True, timeout=250, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads((folder / "result.json").read_text()))


@pytest.mark.slow
def test_killed_and_started_again_equals_unbroken(tmp_path: Path) -> None:
    unbroken = _run(tmp_path / "unbroken")
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)], env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    state, deadline = folder / "fit" / "last.ckpt", time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.is_file()
    assert not (folder / "result.json").exists(), "it was killed too late to test anything"
    assert _run(folder) == unbroken


@pytest.mark.slow
def test_two_gloo_processes(tmp_path: Path) -> None:
    result = _run(tmp_path, "2", CUDA_VISIBLE_DEVICES="")  # two processes of a CPU, wherever this runs
    assert result["world_size"] == 2
    assert len(set(result["weights_of_ranks"])) == 1, "the processes hold one network"
    assert len(result["history"]) == 6
    assert 0.0 <= result["val_dice"] <= 1.0
    assert result["steps"] == result["total_steps"], "the schedule runs to its end"
