"""A Python function as teacher: imported from the current folder, asked in float32, refused where it cannot teach."""

from __future__ import annotations

import copy
import itertools
import sys
from pathlib import Path

import pytest
import torch

from edgeseg.compress.distill.answering import answering
from edgeseg.compress.distill.asked import Asking, ask, dice_on_val
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.ensemble import folded
from edgeseg.compress.distill.given.function_teacher import FunctionTeacher
from edgeseg.compress.distill.given.named_file import teacher_file, teacher_sha256
from edgeseg.compress.distill.given.named_function import TeacherFunction
from edgeseg.compress.distill.stored_views import ViewOrder, stored_views
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

# Dropout and batch norm that must be off, a helper beside it, a `view` that no other memory format allows.
NET = """
import torch
from {helper} import PLANES


class Net(torch.nn.Module):
    def __init__(self, planes=PLANES):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, planes, 3, stride=2, padding=1)
        torch.nn.init.constant_(self.conv.weight, 0.25)
        with torch.no_grad():
            self.conv.bias.copy_(torch.arange(float(planes)))
        self.norm, self.drop = torch.nn.BatchNorm2d(planes, eps=0.0), torch.nn.Dropout(0.9)

    def forward(self, x):
        assert x.dtype == torch.float32 and self.conv.weight.dtype == torch.float32
        logits = self.drop(self.norm(self.conv(x)))
        assert logits.dtype == torch.float32
        return logits.view(len(x), -1).view(logits.shape) - 5


def net():
    return Net()
"""
NUMBERS = itertools.count()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which Python does not look in by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(Path.cwd()))])
    return tmp_path


def _written(folder: Path, text: str) -> str:
    """A module of a new name with this text."""
    number = next(NUMBERS)
    (folder / f"planes_{number}.py").write_text("PLANES = 4\n")
    (folder / f"mine_{number}.py").write_text(text.replace("{helper}", f"planes_{number}"))
    return f"mine_{number}"


def _open(given: str, n_outputs: int = 4) -> FunctionTeacher:
    function = TeacherFunction.named(given)
    assert function is not None
    return FunctionTeacher(function, sha256_file(function.file()), n_outputs)


def _loaders(folder: Path) -> SegmentationData:
    config = TrainConfig(batch_size=4, workers=0, threads=1, augment=AugmentConfig(p_elastic=0, p_grid=0))
    made = SegmentationData(open_dataset(folder), Geometry("resize", height_px=64, width_px=64), 32, config, 0.5)
    made.setup()
    return made


def test_it_answers_as_it_does_by_itself(here: Path) -> None:
    module = _written(here, NET)
    before, x = list(sys.path), torch.rand(3, 1, 8, 6).to(memory_format=torch.channels_last)
    teacher = _open(f"{module}:net")
    with torch.autocast("cpu", torch.bfloat16):
        found = teacher(x)
    expected = torch.nn.functional.conv2d(x, torch.full((4, 1, 3, 3), 0.25), torch.arange(4.0), 2, 1) - 5
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad and sys.path == before
    assert folded(teacher) is teacher and copy.deepcopy(teacher) is teacher
    assert torch.equal(_open(f"{module}:Net")(x), found)  # a class is called as well


def test_a_package_is_found_without_running_it(here: Path, synthetic_dir: Path) -> None:
    (here / f"pack_{next(NUMBERS)}").mkdir()
    package = next(here.glob("pack_*"))
    (package / "__init__.py").write_text("raise RuntimeError('run while planning')\n")
    (package / "inner.py").write_text("x = 1\n")
    data = open_dataset(synthetic_dir)
    assert teacher_sha256(data, f"{package.name}.inner:net") == sha256_file(package / "inner.py")
    assert teacher_file(data, f"{package.name}.inner:net") is None
    with pytest.raises(ConfigError, match=r"cannot be imported.*RuntimeError: run while planning"):
        _open(f"{package.name}.inner:net")


def test_a_student_follows_it_as_every_teacher(here: Path, synthetic_dir: Path) -> None:
    given = f"{_written(here, NET)}:net"
    loaders, data = _loaders(synthetic_dir), open_dataset(synthetic_dir)
    torch.manual_seed(0)
    student = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.34, stages=4))
    teacher = answering(here, data, student, given, teacher_sha256(data, given))
    assert isinstance(teacher, FunctionTeacher)
    views = stored_views(here / "views", loaders, teacher, ViewOrder(1, "float32"))
    live = DistillationModule(student, teacher, loaders.config, DistillConfig(), n_classes=4, total_steps=1).eval()
    row = views[0, 2]
    x, target = row["image"][None].float() / 255.0, row["mask"][None].long()
    assert row["answer"].shape == (4, 32, 32) and torch.equal(row["answer"], live._ask(x)[0].half())
    live.compute_loss(x, target).backward()
    assert not list(live._teacher[0].parameters())
    _, known = ask(here / "asked", loaders, teacher, Asking())
    assert known is not None and known.val_dice == dice_on_val(loaders, teacher)
    assert (known.function, known.file_sha256) == (given, teacher.sha256)


def test_views_are_of_the_weights_it_returns_wherever_these_come_from(here: Path) -> None:
    text = NET.replace(
        "return Net()", "net = Net()\n    net.conv.bias.data[0] = float(open('bias').read())\n    return net"
    )
    module, found = _written(here, text), []
    for bias in ("1", "2", "1"):
        (here / "bias").write_text(bias)
        found.append(fingerprint(_open(f"{module}:net")))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("net = 3", r"mine_\d+\.py\), but net is of type int; name a function that returns a network"),
        ("", "but net is not there"),
        ("def net(:", r"cannot be imported: SyntaxError: .*line 1"),
        ("import nowhere_to_be_found", r"cannot be imported, line 1: ModuleNotFoundError: No module named 'nowhere"),
        ("import sys; sys.exit(3)", "cannot be imported, line 1: SystemExit: 3"),
        ("def net(path): ...", r"fails in net\(\).*TypeError: .*missing 1 required positional argument"),
        ("def net():\n    raise OSError('no such file: big.pt')", r"fails in net\(\), line 2: OSError: no such file"),
        ("def net(): return lambda x: x", r"returns function; it must return a torch\.nn\.Module"),
    ],
)
def test_what_is_no_network_is_refused(here: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.teacher is mine_\d+:net .*{says}"):
        _open(f"{_written(here, text)}:net")


@pytest.mark.parametrize(
    ("returns", "says"),
    [
        ("return {'out': x}", "answers dict; it must answer a tensor of logits"),
        (
            "return x",
            r"answers \(2, 1, 8, 8\); the student has 4 planes: it must answer logits \(2, 4, height, width\)",
        ),
        ("return x.expand(-1, 4, -1, -1).mean(0)", r"answers \(4, 8, 8\)"),
        ("return x.expand(-1, 4, -1, -1) / 0", "answers values that are not finite"),
        ("return x.expand(-1, 4, -1, -1).softmax(1)", "answers probabilities; cut off its last step"),
        ("return x @ torch.ones(3)", r"fails on images of shape \(2, 1, 8, 8\), line \d+: RuntimeError: .*size"),
    ],
)
def test_what_answers_no_logits_is_refused(here: Path, returns: str, says: str) -> None:
    text = f"import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        {returns}\n"
    with pytest.raises(ConfigError, match=rf"distill\.teacher is .*mine_\d+\.py\), which {says}"):
        _open(f"{_written(here, text)}:Net")(torch.rand(2, 1, 8, 8))


def test_a_file_that_changed_is_refused(here: Path) -> None:
    module = _written(here, NET)
    function = TeacherFunction(module, "net")
    with pytest.raises(ConfigError, match="has changed since this run began"):
        FunctionTeacher(function, "0" * 64, 4)
    _open(str(function))
    function.file().write_text(function.file().read_text() + "\nx = 1\n")
    with pytest.raises(ConfigError, match="imported it as it was before; start a new one"):
        _open(str(function))


def test_what_is_no_module_is_told(here: Path, synthetic_dir: Path) -> None:
    data = open_dataset(synthetic_dir)
    (here / "mine.py").write_text("")
    for given in ("nowhere:net", "mine.py:net", "mine.inner:net"):
        with pytest.raises(ConfigError, match=r"there is no module .* in .* or PYTHONPATH; name it .* without \.py"):
            teacher_sha256(data, given)
    with pytest.raises(ConfigError, match=r"distill\.teacher is sys:exit, but sys is no Python file"):
        teacher_sha256(data, "sys:exit")
    with pytest.raises(ConfigError, match=r"there is no file .*mine:net\(\).*named as module:function"):
        teacher_sha256(data, "mine:net()")
