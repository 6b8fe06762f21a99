"""Networks on disk: round trip, what a kill leaves behind, foreign architectures, nothing pickled."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from edgeseg.runtime.errors import TrainingError
from edgeseg.train import checkpoint
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

META = {"classes": ["background", "pit"], "data_sha256": "00ff", "val": {"dice_mean": 0.5}}
ARCHS = [unet_arch(1, 2, base=4, depth=3), efficient_unet_arch(3, 1, width=0.25, depth=0.34, stages=5)]


def _model(arch: dict[str, Any] = ARCHS[0], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(arch)
    for module in model.modules():  # statistics of a trained network, not the fresh zeros and ones
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch["name"])
def test_round_trip_is_exact(tmp_path: Path, arch: dict[str, Any]) -> None:
    model = _model(arch).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "step", model, META)
    loaded, meta = load_checkpoint(tmp_path / "step")
    assert meta == META
    assert not loaded.training
    assert loaded.arch == arch
    for (name, ours), (other, theirs) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)
    image = torch.rand(1, arch["in_channels"], 32, 32)
    model.to(memory_format=torch.contiguous_format)  # another layout sums in another order
    with torch.no_grad():
        assert torch.equal(model.eval()(image), loaded(image))


def test_files_and_nothing_pickled(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(), META)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert load_file(tmp_path / "model.safetensors").keys() == _model().state_dict().keys()
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["schema_version"] == 1
    assert description["arch"] == ARCHS[0]
    assert description["scaling"] == "pixel / 255"


def test_loading_never_unpickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, _model(), META)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a checkpoint was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    load_checkpoint(tmp_path)


def test_a_pickle_in_place_of_the_weights_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(), META)
    torch.save(_model().state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(TrainingError, match="SHA-256 differs"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("missing", ["model.json", "model.safetensors"])
def test_half_a_checkpoint_is_refused(tmp_path: Path, missing: str) -> None:
    save_checkpoint(tmp_path, _model(), META)
    (tmp_path / missing).unlink()
    with pytest.raises(TrainingError, match=r"no whole checkpoint.*run the step again"):
        load_checkpoint(tmp_path)


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


def test_killed_before_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New weights beside the old description must not pass for either network."""
    save_checkpoint(tmp_path, _model(seed=0), META)
    monkeypatch.setattr(checkpoint, "write_json", _killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, _model(seed=1), META)
    with pytest.raises(TrainingError, match="does not match its description"):
        load_checkpoint(tmp_path)
    monkeypatch.undo()
    save_checkpoint(tmp_path, _model(seed=1), META)
    assert load_checkpoint(tmp_path)[1] == META


def test_killed_before_the_weights_keeps_the_old_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, _model(seed=0), META)
    monkeypatch.setattr(checkpoint, "write_bytes", _killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, _model(seed=1), META)
    loaded, _ = load_checkpoint(tmp_path)
    assert torch.equal(loaded.head.weight, _model(seed=0).head.weight)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_truncated_weights_and_json_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(), META)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(TrainingError, match="does not match its description"):
        load_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text[: len(text) // 2])
    with pytest.raises(TrainingError, match="is no JSON"):
        load_checkpoint(tmp_path)


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(), META)
    _edit(tmp_path, schema_version=99)
    with pytest.raises(TrainingError, match="schema version 99, this edgeseg reads 1"):
        load_checkpoint(tmp_path)


def test_another_architecture_is_refused_clearly(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(ARCHS[1]), META)
    with pytest.raises(TrainingError, match=r"holds a 'efficient_unet', but a 'unet' is needed"):
        load_checkpoint(tmp_path, expect_arch="unet")
    load_checkpoint(tmp_path, expect_arch="efficient_unet")


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _model(), META)
    _edit(tmp_path, arch=unet_arch(1, 2, base=8, depth=3))
    with pytest.raises(TrainingError, match=r"weights and architecture differ: size mismatch"):
        load_checkpoint(tmp_path)


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, _model(seed=0), META)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, _model(seed=1), META)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    load_checkpoint(tmp_path)


def test_a_foreign_checkpoint_is_named_and_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"w": Trap()}, tmp_path / "net.pt")
    with pytest.raises(TrainingError, match=r"net\.pt is a PyTorch file .a pickle in a zip., but the folder"):
        load_checkpoint(tmp_path / "net.pt")
    save_checkpoint(tmp_path / "own", _model(), META)
    (tmp_path / "own" / "model.safetensors").write_bytes((tmp_path / "net.pt").read_bytes())
    with pytest.raises(TrainingError, match=r"SHA-256 differs; it is a PyTorch file"):
        load_checkpoint(tmp_path / "own")
    assert not (tmp_path / "ran").exists()
