"""Which network it is: one hash over architecture and weights."""

from __future__ import annotations

import hashlib
import json

from edgeseg.train.models import SegmentationNet


def fingerprint(model: SegmentationNet) -> str:
    """SHA-256 of a network's architecture and weights, hex."""
    state = hashlib.sha256(json.dumps(model.arch, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
