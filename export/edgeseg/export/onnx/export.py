"""The deploy graph as an ONNX file for ONNX Runtime and TensorRT."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.fits import activation, check_fits, fixed_size
from edgeseg.export.onnx.strip import strip
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.manifest import InputSpec, ModelSpec, OutputSpec

OPSET = 20
INPUT = "image"
OUTPUT = "scores"
# Two runs of one network in torch and ONNX Runtime differ by rounding only; relative to the largest score.
SIZE_TOLERANCE = 1e-3


def export_onnx(
    model: nn.Module, path: Path, input_spec: InputSpec, classes: tuple[str, ...], *, dynamic: bool = False
) -> ModelSpec:
    """Write a network as FP32 ONNX.

    Args:
        model: A trained network of `train.models`.
        path: File to write, replaced in one step.
        input_spec: Colour and geometry; a fixed export takes its size from there.
        classes: Class names by id.
        dynamic: Leave N, H and W free. The file is then checked at a second size.

    Returns:
        What the file eats and returns.

    Raises:
        ExportError: If the network cannot be exported, does not fit the spec, or is not free in its size.
    """
    graph = DeployGraph(model)
    check_fits(graph, input_spec, classes)
    height, width = (2 * graph.stride, 3 * graph.stride) if dynamic else fixed_size(input_spec)
    exported = _export(graph, (1, height, width, graph.channels), symbolic=False)
    if dynamic and not _runs_at_any_size(exported, graph):
        # Rare: a network with sizes baked in. Tracing symbolic sizes costs 20 s more, so it is not the first choice.
        exported = _export(graph, (2, height, width, graph.channels), symbolic=True)
        if not _runs_at_any_size(exported, graph):
            raise ExportError(
                f"{type(model).__name__} exports with a fixed size although dynamic=True. "
                "Use scale_factor instead of size in interpolate, or export with dynamic=False."
            )
    write_bytes(path, exported.SerializeToString(deterministic=True))
    return ModelSpec(
        backend="onnxruntime",
        precision="fp32",
        input=input_spec,
        output=OutputSpec("scores", graph.output_stride, "NCHW", "float32", activation=activation(graph)),
        classes=classes,
        dynamic=dynamic,
    )


def _export(graph: DeployGraph, shape: tuple[int, ...], *, symbolic: bool) -> onnx.ModelProto:
    image = torch.zeros(shape, dtype=torch.uint8)
    dims = None
    if symbolic:
        height, width = (torch.export.Dim(f"{side}_cells", min=1) * graph.stride for side in "hw")
        dims = {"image": {0: torch.export.Dim("n", min=1), 1: height, 2: width}}
    try:
        with _quiet():
            program = torch.onnx.export(
                graph,
                (image,),
                dynamo=True,
                dynamic_shapes=dims,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        model = program.model_proto  # type: ignore[union-attr]
    except Exception as err:
        reason = str(err).strip().splitlines()
        raise ExportError(f"ONNX export failed: {reason[0] if reason else type(err).__name__}") from err
    strip(model)
    model.producer_name, model.producer_version = "edgeseg", ""
    del model.functions[:]
    return model


def quiet_session(model: onnx.ModelProto, *, optimise: bool = True) -> onnxruntime.InferenceSession:
    """Open a model in ONNX Runtime on one thread (checks must not take cores from others), without its warnings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _runs_at_any_size(model: onnx.ModelProto, graph: DeployGraph) -> bool:
    """Free N, H and W in the file's signature, and see whether it then answers like torch at another size."""
    _name_sizes(model)
    shape = (2, 3 * graph.stride, 4 * graph.stride, graph.channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        with torch.no_grad():
            expected = graph(torch.from_numpy(image)).numpy()
        session = quiet_session(model)
        (found,) = session.run(None, {INPUT: image})
    except Exception:  # a network or file that knows one size only fails in many ways
        return False
    largest = max(float(np.abs(expected).max()), 1e-6)
    return found.shape == expected.shape and float(np.abs(found - expected).max()) <= SIZE_TOLERANCE * largest


def _name_sizes(model: onnx.ModelProto) -> None:
    for value, names in ((model.graph.input[0], ("n", "h", "w", None)), (model.graph.output[0], ("n", None, "p", "q"))):
        for dim, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if name is not None:
                dim.dim_param = name


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress lines off stdout and its remarks on torchvision off stderr."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
