"""Whether a network and the spec it is exported with agree, and the size of a fixed-size file."""

from __future__ import annotations

from typing import Literal

from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import InputSpec


def fixed_size(input_spec: InputSpec) -> tuple[int, int]:
    """Height and width [px] of the tensor a fixed-size file takes, padded up to the stride.

    Raises:
        ExportError: If the geometry leaves the size open.
    """
    geometry = input_spec.geometry
    height, width = (geometry.tile_px,) * 2 if geometry.mode == "tile" else (geometry.height_px, geometry.width_px)
    if height is None or width is None:
        raise ExportError(
            "a fixed-size export needs a size, but geometry.mode is 'native' without one. "
            "Give height_px and width_px, use geometry resize or tile, or export with dynamic=True."
        )
    up = input_spec.stride_px
    return -(-height // up) * up, -(-width // up) * up


def activation(graph: DeployGraph) -> Literal["softmax", "sigmoid"]:
    """`sigmoid` for one score plane, else `softmax`."""
    return "sigmoid" if graph.n_outputs == 1 else "softmax"


def check_fits(graph: DeployGraph, input_spec: InputSpec, classes: tuple[str, ...]) -> None:
    """Refuse a spec that contradicts the network.

    Raises:
        ExportError: Saying which number differs.
    """
    planes = 1 if len(classes) == 2 and graph.n_outputs == 1 else len(classes)
    for name, has, wants in (
        ("input channels", graph.channels, input_spec.channels),
        ("score planes", graph.n_outputs, planes),
    ):
        if has != wants:
            raise ExportError(f"the network has {has} {name}, the spec asks for {wants}. Correct color or classes.")
    if input_spec.stride_px % graph.stride:
        raise ExportError(f"stride_px {input_spec.stride_px} is no multiple of the network's stride {graph.stride}.")
