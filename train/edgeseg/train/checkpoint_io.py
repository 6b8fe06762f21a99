"""Lightning's resume state as safetensors and JSON instead of a pickle.

The nested state (weights, optimiser moments, loop counters) is split: every tensor goes into one safetensors file, the
rest into JSON that refers to the tensors by number. Dictionaries keep keys of any plain type as lists of pairs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors.torch import load_file, save_file

from edgeseg.runtime.errors import TrainingError
from edgeseg.runtime.files.atomic import replacing

# One file holds both: the JSON travels in the safetensors header, so a state is whole or absent.
_HEADER_KEY = "edgeseg_state"


class SafeCheckpointIO(CheckpointIO):
    """Reads and writes resume states without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write to a temporary name in the same folder, then rename."""
        del storage_options
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, torch.Tensor] = {}
        tree = _encode(checkpoint, tensors)
        with replacing(target) as temporary:
            save_file(tensors, temporary, metadata={_HEADER_KEY: json.dumps(tree)})

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a state back.

        Raises:
            TrainingError: If the file is damaged or not one of ours.
        """
        del map_location, weights_only  # tensors are read to the CPU, Lightning moves them
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                tree = json.loads((file.metadata() or {})[_HEADER_KEY])
            state: dict[str, Any] = _decode(tree, load_file(path))
        except (SafetensorError, KeyError, ValueError, OSError) as err:
            raise TrainingError(f"resume state {path} is damaged ({err}); delete it to train this step anew") from err
        return state

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a state that a better one replaced."""
        target = Path(path)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"t": name}
    if isinstance(value, dict):
        return {"d": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"l" if isinstance(value, list) else "u": [_encode(item, tensors) for item in value]}
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TrainingError(
        f"resume state holds a {type(value).__name__}, which has no JSON form; keep it out of the state"
    )


def _decode(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind, content = next(iter(tree.items()))
    if kind == "t":
        return tensors[content]
    if kind == "d":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return items if kind == "l" else tuple(items)
