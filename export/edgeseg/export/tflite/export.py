"""The deploy graph as a TFLite file for LiteRT, computed in NHWC."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import nn

from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.fits import activation, check_fits, fixed_size
from edgeseg.export.muted import muted
from edgeseg.export.tflite.flatbuffer import read, shorten, write
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.manifest import InputSpec, ModelSpec, OutputSpec


def export_tflite(model: nn.Module, path: Path, input_spec: InputSpec, classes: tuple[str, ...]) -> ModelSpec:
    """Write a network as FP32 TFLite of fixed size.

    Args:
        model: A trained network of `train.models`.
        path: File to write, replaced in one step.
        input_spec: Colour and geometry; the size is taken from there.
        classes: Class names by id.

    Returns:
        What the file eats and returns.

    Raises:
        ExportError: If the network cannot be converted, does not fit the spec, or the geometry leaves the size open.
    """
    graph = DeployGraph(model, layout="NHWC")
    check_fits(graph, input_spec, classes)
    height, width = fixed_size(input_spec)
    converted = read(_convert(graph, (1, height, width, graph.channels)))
    shorten(converted)
    write_bytes(path, write(converted))
    return ModelSpec(
        backend="litert",
        precision="fp32",
        input=input_spec,
        output=OutputSpec("scores", graph.output_stride, "NHWC", "float32", activation=activation(graph)),
        classes=classes,
    )


def _convert(graph: DeployGraph, shape: tuple[int, ...]) -> bytes:
    # Its own progress lines and the C++ part's remarks are not ours to show; a caller's progress bar must go on.
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with muted():
            import litert_torch
    except ImportError as err:
        raise ExportError(f"TFLite needs litert-torch ({err}). Run: pip install 'edgeseg[export]'") from err
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bytes(litert_torch.convert(graph, (torch.zeros(shape, dtype=torch.uint8),)).model_content())
    except Exception as err:
        reason = str(err).strip().splitlines()
        raise ExportError(f"TFLite conversion failed: {reason[0] if reason else type(err).__name__}") from err
