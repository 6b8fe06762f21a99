"""The network that is quantised, where it is not the plain one: the tensors that equalization or correction changed.

The prepared network has the plain one's operations and module paths. Its file holds the changed kernels and biases of
the folded network only, so it is of use together with the checkpoint it was made from.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_bytes

FILE = "network.safetensors"


def changed_tensors(plain: nn.Module, prepared: nn.Module) -> dict[str, Tensor]:
    """Parameters of a prepared network that differ from the folded plain one's, by name.

    Raises:
        ConfigError: If the two do not have the same parameters.
    """
    before, after = plain.state_dict(), prepared.state_dict()
    if {name: value.shape for name, value in before.items()} != {name: value.shape for name, value in after.items()}:
        raise ConfigError("the prepared network has other parameters than the plain one; prepare a folded copy of it.")
    return {name: value for name, value in after.items() if not torch.equal(value, before[name])}


def save_prepared(path: Path, plain: nn.Module, prepared: nn.Module) -> None:
    """Write what differs.

    Args:
        path: A safetensors file, replaced in one step.
        plain: The folded network.
        prepared: Made from it.
    """
    changed = changed_tensors(plain, prepared)
    write_bytes(path, save({name: value.detach().contiguous() for name, value in changed.items()}))


def load_prepared(path: Path, model: nn.Module) -> nn.Module:
    """The prepared network.

    Args:
        path: As written by `save_prepared`; where it is missing the plain network is what is quantised.
        model: The network of the checkpoint. Not modified.

    Returns:
        A folded copy.

    Raises:
        ConfigError: If the file does not belong to this network.
    """
    folded = fold_batch_norm(model)
    if not path.is_file():
        return folded
    changed = load(path.read_bytes())
    own = folded.state_dict()
    foreign = [name for name, value in changed.items() if name not in own or own[name].shape != value.shape]
    if foreign:
        raise ConfigError(f"{path.name} changes {foreign[0]}, which this network lacks; prepare it again.")
    folded.load_state_dict(changed, strict=False)
    return folded
