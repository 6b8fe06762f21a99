"""The ranges on disk and the network that they were taken on, and the one way to read them back: for that network.

Networks of one family share the names of their operations, and prepared kernels are told by name and shape alone. The
ranges of another student would be taken without a word, written, and read back as equal to the plan.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.prepared import FILE as PREPARED
from edgeseg.compress.int8.prepared import load_prepared
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet

RANGES = "ranges.json"
_NETWORK = "network_sha256"


@dataclass(frozen=True)
class StoredRanges:
    """What INT8 is made of.

    Attributes:
        model: The network of the checkpoint, which the FP32 files hold.
        network: What is quantised, folded: the same, or with the tensors that equalization or correction changed.
        ranges: Of its activations.
        is_prepared: Whether tensors were changed.
    """

    model: SegmentationNet
    network: nn.Module
    ranges: Ranges
    is_prepared: bool


def save_ranges(folder: Path, model: SegmentationNet, ranges: Ranges) -> None:
    """Write ranges with the fingerprint of their network; what was changed of it is for `prepared.save_prepared`.

    Args:
        folder: Gets `ranges.json`.
        model: The network of the checkpoint that they were taken on, whatever was prepared of it.
        ranges: As collected.
    """
    write_json(folder / RANGES, {_NETWORK: fingerprint(model)} | ranges.to_json())


def load_ranges(folder: Path, checkpoint: Path, remedy: str) -> StoredRanges:
    """Read ranges, and what was changed of the network, for the checkpoint that they were made for.

    Args:
        folder: As `save_ranges` and `prepared.save_prepared` wrote it.
        checkpoint: Folder of the network that is to be quantised.
        remedy: What the user has to do where the two do not belong together; ends the message.

    Raises:
        ConfigError: If they were made for another network, or do not say for which.
        TrainingError: If there is no whole checkpoint.
    """
    model, _ = load_checkpoint(checkpoint)
    stored = json.loads((folder / RANGES).read_text(encoding="utf-8"))
    made_for, own = stored.pop(_NETWORK, None), fingerprint(model)
    if made_for is None:
        raise ConfigError(f"{folder / RANGES} does not say which network it is for (an older version). {remedy}")
    if made_for != own:
        raise ConfigError(
            f"{folder / RANGES} holds the ranges of network {made_for[:12]}, but that in {checkpoint} is {own[:12]}: "
            f"its architecture or weights are others. {remedy}"
        )
    prepared = folder / PREPARED
    return StoredRanges(model, load_prepared(prepared, model), Ranges.from_json(stored), prepared.is_file())
