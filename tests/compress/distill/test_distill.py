"""Logit distillation: zero where student and teacher agree, hand-computed values, class balance, a frozen teacher."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from edgeseg.compress.distill.channels import channel_loss
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig, soft_loss
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import TrainConfig
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

PLAIN = DistillConfig(temperature=1.0, class_balanced=False)


def _logits(*probabilities: tuple[float, ...]) -> torch.Tensor:
    """Logits (1, K, 1, n) of n pixels with the given class probabilities."""
    return torch.log(torch.tensor(probabilities).T).reshape(1, -1, 1, len(probabilities))


def _kl(teacher: tuple[float, ...], student: tuple[float, ...]) -> float:
    return sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("config", [PLAIN, DistillConfig(temperature=3.0, class_balanced=True)])
def test_the_teacher_itself_has_no_soft_loss(outputs: int, config: DistillConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, outputs, 5, 6), generator=generator) * 5
    target = torch.randint(0, max(2, outputs), (2, 5, 6), generator=generator)
    student = logits.clone().requires_grad_()
    loss = soft_loss(student, logits, target, config)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6
    assert soft_loss(logits + torch.randn(logits.shape, generator=generator), logits, target, config) > 1e-3


def test_by_hand() -> None:
    teacher, student = _logits((0.7, 0.2, 0.1), (0.1, 0.8, 0.1)), _logits((0.5, 0.25, 0.25), (0.2, 0.2, 0.6))
    target = torch.tensor([[[0, 1]]])
    first, second = _kl((0.7, 0.2, 0.1), (0.5, 0.25, 0.25)), _kl((0.1, 0.8, 0.1), (0.2, 0.2, 0.6))
    assert soft_loss(student, teacher, target, PLAIN).item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_temperature_softens_and_scales() -> None:
    teacher, student = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    p = 1 / (1 + math.exp(-2.0))  # 4 / T with T = 2
    expected = 4 * (p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5))
    config = DistillConfig(temperature=2.0, class_balanced=False)
    assert soft_loss(student, teacher, torch.zeros(1, 1, 1, dtype=torch.long), config).item() == pytest.approx(expected)


def test_one_sigmoid_output_equals_two_softmax_outputs() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, student = torch.randn((2, 2, 1, 4, 4), generator=generator) * 3
    target = torch.randint(0, 2, (2, 4, 4), generator=generator)
    for config in (PLAIN, DistillConfig(temperature=2.5, class_balanced=True)):
        two = [torch.cat([torch.zeros_like(logits), logits], dim=1) for logits in (student, teacher)]
        assert soft_loss(student, teacher, target, config).item() == pytest.approx(
            soft_loss(*two, target, config).item(), rel=1e-4
        )


def test_a_rare_class_weighs_as_much_as_the_background() -> None:
    common, rare = ((0.9, 0.1), (0.8, 0.2)), ((0.3, 0.7), (0.6, 0.4))
    teacher = _logits(*[common[0]] * 99, rare[0])
    student = _logits(*[common[1]] * 99, rare[1])
    target = torch.tensor([0] * 99 + [1]).reshape(1, 1, 100)
    a, b = _kl(*common), _kl(*rare)
    balanced = soft_loss(student, teacher, target, DistillConfig(temperature=1.0, class_balanced=True))
    assert balanced.item() == pytest.approx((a + b) / 2, rel=1e-4)
    assert soft_loss(student, teacher, target, PLAIN).item() == pytest.approx((99 * a + b) / 100, rel=1e-4)


def test_classes_that_are_absent_do_not_count() -> None:
    generator = torch.Generator().manual_seed(2)
    teacher, student = torch.randn((2, 1, 4, 3, 3), generator=generator)
    target = torch.full((1, 3, 3), 2)
    balanced = soft_loss(student, teacher, target, DistillConfig(temperature=1.0, class_balanced=True))
    assert balanced.item() == pytest.approx(soft_loss(student, teacher, target, PLAIN).item(), rel=1e-5)


def test_extreme_logits_stay_finite() -> None:
    for outputs in (1, 3):
        teacher = torch.full((1, outputs, 2, 2), -1e4)
        teacher[:, -1] = 1e4
        student = (-teacher).requires_grad_()
        loss = soft_loss(student, teacher, torch.zeros(1, 2, 2, dtype=torch.long), DistillConfig())
        loss.backward()
        assert torch.isfinite(loss)
        assert student.grad is not None
        assert torch.isfinite(student.grad).all()


# --- the module -------------------------------------------------------------------------------------------------------


def _module(alpha: float = 0.7, teacher_outputs: int = 3) -> DistillationModule:
    torch.manual_seed(0)
    student = build_model(efficient_unet_arch(1, 3, width=0.25, depth=0.34, stages=5))
    teacher = build_model(unet_arch(1, teacher_outputs, base=4, depth=3))
    return DistillationModule(student, teacher, TrainConfig(), DistillConfig(alpha=alpha), n_classes=3, total_steps=4)


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand((2, 1, 32, 32), generator=generator), torch.randint(0, 3, (2, 32, 32), generator=generator)


def test_alpha_mixes_the_two_losses() -> None:
    x, target = _pair()
    losses = {}
    for alpha in (0.0, 0.25, 1.0):
        module = _module(alpha).eval()
        with torch.no_grad():
            losses[alpha] = module.compute_loss(x, target).item()
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-4)
    module = _module(0.0).eval()
    assert losses[0.0] == pytest.approx(module.loss(module(x), target).item(), rel=1e-5)


def test_the_teacher_is_frozen_and_stays_out_of_the_state() -> None:
    module = _module()
    module.train()
    teacher = module._teacher[0]
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    module.compute_loss(*_pair()).backward()
    assert not teacher.training, "its batch norms would learn from the student's batches"
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert module.average is not None
    assert all(name.startswith(("model.", "average.")) for name in module.state_dict())
    students = {id(p) for network in (module.model, module.average) for p in network.parameters()}
    assert {id(p) for p in module.parameters()} == students
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.model.parameters())


def test_different_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher.* 4 .*3.*train both on one data"):
        _module(teacher_outputs=4)


@pytest.mark.parametrize(("key", "value"), [("temperature", 0.0), ("alpha", 1.1), ("alpha", -0.1)])
def test_config_refuses(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.{key} is {value}"):
        DistillConfig(**{key: value})


# Pixels that do not count


@pytest.mark.parametrize("config", [DistillConfig(class_balanced=True), PLAIN], ids=["balanced", "plain"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_teacher_is_not_heard_on_ignored_pixels(outputs: int, config: DistillConfig) -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 2, outputs, 8, 9, generator=generator)
    target = torch.randint(0, max(2, outputs), (2, 8, 9), generator=generator)
    counted = torch.rand(2, 8, 9, generator=generator) < 0.6
    values, gradients = [], []
    for noise in (0.0, 50.0):  # what either says there does not matter
        there = noise * ~counted[:, None]
        leaf = (student + there).requires_grad_()
        loss = soft_loss(leaf, teacher - there, target.where(counted, IGNORED), config, ignores=True)
        gradients.append(torch.autograd.grad(loss, leaf)[0])
        values.append(loss.detach())
    assert torch.equal(*values) and torch.equal(*gradients)
    assert not gradients[0].movedim(1, -1)[~counted].any()
    kept = [one.movedim(1, -1)[counted].T[None, :, None] for one in (student, teacher)]
    alone = soft_loss(*kept, target[counted][None, None], config)
    assert values[0].item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.parametrize("config", [DistillConfig(class_balanced=True), PLAIN], ids=["balanced", "plain"])
def test_a_batch_of_which_nothing_counts_has_no_soft_loss(config: DistillConfig) -> None:
    student = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), IGNORED)
    loss = soft_loss(student, torch.randn(1, 3, 4, 4), target, config, ignores=True)
    loss.backward()
    assert loss.item() == 0.0 and student.grad is not None and not student.grad.any()


def test_the_module_hands_on_that_pixels_do_not_count() -> None:
    """Of both losses together: what is ignored is no part of a training step."""
    module = _module(alpha=0.5).eval()
    module.distill = dataclasses.replace(module.distill, class_balanced=False)
    module.loss.ignores = True
    x, target = _pair()
    target[:, :4] = IGNORED
    before = module.compute_loss(x, target).item()
    answer = module._teacher[0](x)
    answer[:, :, :4] = 99.0
    assert module.compute_loss(x, target, answer).item() == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("stored", [True, False])
def test_the_channel_wise_term_is_added(stored: bool) -> None:
    x, target = _pair()
    target[:, :4] = IGNORED
    losses = []
    for config in (DistillConfig(alpha=0.0), DistillConfig(alpha=0.0, channel_weight=3e5, temperature=4.0)):
        module = _module().eval()
        module.distill, module.loss.ignores = config, True
        answer = module._teacher[0](x) if stored else None
        losses.append(module.compute_loss(x, target, answer).item())
    module = _module().eval()
    asked = module.upsample(module._teacher[0](x), x)
    term = channel_loss(module(x), asked, 4.0, target != IGNORED)
    assert losses[1] - losses[0] == pytest.approx(3e5 * term.item(), rel=1e-3)
    assert losses[1] - losses[0] > 1.0


def test_the_module_weighs_borders() -> None:
    x, target = _pair()
    module = _module(alpha=1.0).eval()
    module.distill = dataclasses.replace(module.distill, boundary_weight=5.0)
    asked = module.upsample(module._teacher[0](x), x)
    expected = soft_loss(module(x), asked, target, module.distill)
    assert module.compute_loss(x, target).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("key", ["boundary_weight", "channel_weight", "hint_weight"])
def test_a_weight_below_zero_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.{key} is -1"):
        DistillConfig(**{key: -1.0})
