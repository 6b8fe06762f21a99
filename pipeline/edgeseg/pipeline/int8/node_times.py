"""How long each layer takes inside ONNX Runtime, from its profile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort

from edgeseg.runtime.backends.ort import open_session

_WARM_UP = 5
_RUNS = 40
# What the optimiser appends to the name of a node, or of the tensor it makes.
_SUFFIX = re.compile(r"(_nchwc|_token_\d+|_quant)$")


@dataclass(frozen=True)
class NodeTimes:
    """Medians over runs of one file.

    Attributes:
        layers_ms: Time of a layer's own nodes; layers whose nodes the optimiser dropped or renamed are missing.
        others_ms: All other nodes: conversions between float and integer, changes of layout.
        threads: Threads of the engine.
    """

    layers_ms: dict[str, float]
    others_ms: float
    threads: int


def node_times(model: Path, tensor: np.ndarray, names: Mapping[str, str], threads: int) -> NodeTimes:
    """Profile a file.

    Args:
        model: ONNX file of one input.
        tensor: What it eats.
        names: Layer by the names of its nodes and tensors.
        threads: Threads of the engine.
    """
    with TemporaryDirectory(prefix="edgeseg-profile-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "ort")
        session = open_session(str(model), options)
        feed = {session.get_inputs()[0].name: tensor}
        for _ in range(_WARM_UP + _RUNS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    samples: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time"):
            samples.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] / 1e3)
    layers: dict[str, float] = {}
    others = 0.0
    for node, times in samples.items():
        median = float(np.median(times[_WARM_UP:] or times))
        layer = _layer(node, names)
        if layer is None:
            others += median
        else:
            layers[layer] = layers.get(layer, 0.0) + median
    return NodeTimes({layer: round(ms, 4) for layer, ms in layers.items()}, round(others, 4), threads)


def _layer(node: str, names: Mapping[str, str]) -> str | None:
    while node not in names:
        shorter = _SUFFIX.sub("", node)
        if shorter == node:
            return None
        node = shorter
    return names[node]
