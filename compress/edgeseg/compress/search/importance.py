"""How much a group of channels that must shrink together matters; the least important go first.

To add one, add a line to `IMPORTANCE`: a function that returns a torch-pruning importance. Recipes can name it once it
is in `IMPORTANCES` of `edgeseg.pipeline.recipe.sections.fit` too, which is apart so that recipes are checked without
torch; a test compares the two. What it reads beside the weights (`Gates`, for `taylor`) lies in the gradients of the
copy that is traced and cut, where torch-pruning looks for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet

Importance = Callable[[], Any]

# From the name of a parameter to what `taylor` reads of it, of its shape.
Gates = Mapping[str, Tensor]


def group_l2() -> Any:
    """L2 norm of all weights of a group, averaged over its layers (Fang et al. 2023, arXiv:2301.12900, eq. 4)."""
    import torch_pruning as tp

    return tp.importance.GroupMagnitudeImportance(p=2, group_reduction="mean")


def taylor() -> Any:
    """First-order estimate of the loss a channel is worth (Molchanov et al. 2019, arXiv:1906.10771, eq. 8).

    Summed over the batch norms a channel passes. Reads what `find_gates` returns. Not normalised: the
    scores are in units of the loss in every group.
    """
    import torch_pruning as tp

    # torch-pruning's own Taylor importance passes over batch norms (1.6.0), so the gates are read here.
    return _WhereAny(_Gates(), tp.importance.TaylorImportance(group_reduction="sum", normalizer=None))


def random() -> Any:
    """A draw from torch's generator: the baseline that any other importance has to beat."""
    import torch_pruning as tp

    return tp.importance.RandomImportance()


IMPORTANCE: dict[str, Importance] = {"group_l2": group_l2, "taylor": taylor, "random": random}

# Their scores have one unit in all groups; of the others only the order within a group means something.
COMPARABLE = frozenset({"taylor"})


def find_gates(model: SegmentationNet, losses: Iterable[Callable[[SegmentationNet], Tensor]]) -> Gates:
    """What `taylor` reads: gradients' root mean squares over batches, of batch norms those of a gate.

    A gate multiplies a channel behind its batch norm: dL/dgate = scale * dL/dscale + shift * dL/dshift. It is stored so
    that scale * grad gives it back. Near the end of a training gradients of opposite sign cancel in a sum over
    batches; squares do not.

    Args:
        model: Set to evaluation mode, so that batch-norm statistics stay, and without gradients in the end; its weights
            are not changed.
        losses: One a batch: from the network to the scalar loss of that batch.
    """
    model.eval()
    squares = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    norms = {f"{name}.weight": layer for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    count = 0
    for loss in losses:
        model.zero_grad(set_to_none=True)
        loss(model).backward()
        count += 1
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                squares[name] += (_gate(norms[name]) if name in norms else parameter.grad).detach().square()
    model.zero_grad(set_to_none=True)
    found = {name: (square / max(count, 1)).sqrt() for name, square in squares.items()}
    scales = {name: parameter.detach().abs().clamp_min(1e-12) for name, parameter in model.named_parameters()}
    return {name: value / scales[name] if name in norms else value for name, value in found.items()}


def _gate(layer: nn.BatchNorm2d) -> Tensor:
    assert layer.weight.grad is not None and layer.bias.grad is not None
    return layer.weight * layer.weight.grad + layer.bias * layer.bias.grad


def copy_to_cut(name: str, model: SegmentationNet, gates: Gates | None) -> SegmentationNet:
    """A copy of a network, in evaluation mode, with what the importance reads.

    Args:
        name: Of `IMPORTANCE`.
        model: Not changed.
        gates: Of this network; None for an importance that reads none.

    Raises:
        ConfigError: For `taylor` without gates, or with those of a network of other shapes.
    """
    twin = copy.deepcopy(model).eval()
    if name != "taylor":
        return twin
    parameters = dict(twin.named_parameters())
    shapes = {path: parameter.shape for path, parameter in parameters.items()}
    if gates is None or {path: gate.shape for path, gate in gates.items()} != shapes:
        found = "there are none" if gates is None else "these are another network's"
        raise ConfigError(f"importance 'taylor' needs gates of the network that is cut, but {found}; see find_gates")
    for path, parameter in parameters.items():
        parameter.grad = gates[path]
    return twin


class _Gates:
    """|scale * grad| of every batch norm that passes a channel on, summed; None for a group without any."""

    def __call__(self, group: Any) -> Tensor | None:
        total: dict[int, float] = {}
        for item in group:
            layer = item.dep.target.module
            if isinstance(layer, nn.BatchNorm2d) and layer.weight.grad is not None:
                gates = (layer.weight * layer.weight.grad).detach().abs()[list(item.idxs)].tolist()
                for root, gate in zip(item.root_idxs, gates, strict=True):
                    total[int(root)] = total.get(int(root), 0.0) + gate
        return torch.tensor([total[root] for root in sorted(total)]) if total else None


class _WhereAny:
    """One importance, or another for groups that the first finds nothing in (such as a layer without batch norm)."""

    def __init__(self, first: Any, other: Any) -> None:
        self.first, self.other = first, other

    def __call__(self, group: Any) -> Any:
        found = self.first(group)
        return self.other(group) if found is None else found
