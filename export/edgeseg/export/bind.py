"""Which tensor of an exported file is the result of which operation of the network: found by comparing values.

Exporters rename, fuse and reorder; values cannot lie. One image is run through torch and through the file, and tensors
that hold the same numbers are the same operation. An operation that a file has fused away simply has no tensor there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from edgeseg.compress.graph.trace import node_keys, record, trace
from edgeseg.export.deploy_graph import DeployGraph

# Root mean square of the difference, relative to that of the values. Engines differ by 1e-6 at the first operation and
# up to 1e-3 at the end of a deep untrained network; unrelated tensors differ by about 1.
TOLERANCE = 0.02
TIE = 1e-5


def binding_image(height: int, width: int, channels: int) -> np.ndarray:
    """A fixed image with structure at every scale, uint8 (1, H, W, C)."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.linspace(0, 9, height))[:, None] * np.cos(np.linspace(0, 7, width))[None]
    pixels = 128 + 60 * waves[..., None] + rng.normal(0, 30, (height, width, channels))
    return np.clip(pixels, 0, 255).astype(np.uint8)[None]


def torch_values(graph: DeployGraph, image: np.ndarray) -> dict[str, np.ndarray]:
    """Every operation's result for one image, NCHW, by the names that ranges have."""
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float()
    return {key: value.numpy() for key, value in record(trace(graph.net), pixels).items()}


def bind(values: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Match a file's tensors with the network's operations.

    Args:
        values: Results by operation, NCHW, in the order of execution.
        tensors: Results by tensor name, NCHW.

    Returns:
        Operations by tensor name; tensors that equal no operation are left out. Where two gave equal values, as a ReLU
        that had nothing to cut, the later one is taken: the earlier is what an exporter fuses into it. Only for zeros
        throughout, which say nothing, all candidates are named.
    """
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for key, value in values.items():
        by_shape.setdefault(value.shape, []).append(key)
    found: dict[str, tuple[str, ...]] = {}
    for name, tensor in tensors.items():
        errors = {key: _error(values[key], tensor) for key in by_shape.get(tensor.shape, [])}
        best = min(errors.values(), default=np.inf)
        if best <= TOLERANCE:
            near = tuple(key for key, error in errors.items() if error <= max(2 * best, TIE))
            found[name] = near[-1:] if tensor.any() else near
    return found


def with_fused(graph: DeployGraph, keys: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Add to each tensor's operations those that the file has no tensor for, because it fused them into these.

    A convolution fused with its ReLU is computed as the two of them are: if either has to stay in float, both do.

    Args:
        graph: The network.
        keys: What `bind` returned for a file of it.
    """
    traced = trace(graph.net)
    names = node_keys(traced)
    readers: dict[str, set[str]] = {name: set() for name in names.values()}
    for node, name in names.items():
        for source in node.all_input_nodes:
            if names[source] != name:
                readers[names[source]].add(name)
    bound = {key for its in keys.values() for key in its}
    fused: dict[str, list[str]] = {}
    for name in readers:
        home = name
        while home not in bound and len(readers[home]) == 1:
            (home,) = readers[home]
        if home != name:
            fused.setdefault(home, []).append(name)
    return {tensor: (*its, *(name for key in its for name in fused.get(key, ()))) for tensor, its in keys.items()}


def _error(expected: np.ndarray, found: np.ndarray) -> float:
    size = max(float(np.sqrt(np.mean(np.square(expected)))), 1e-6)
    return float(np.sqrt(np.mean(np.square(expected - found)))) / size
