"""Whether an exported file answers like its network, and which runtimes take it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgeseg.export.muted import muted
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import ModelSpec, OutputSpec


@dataclass(frozen=True)
class Tolerance:
    """How far a file may stray from its network.

    Attributes:
        max_logit_error: Largest difference of a logit, relative to the largest logit of the frame; None for any.
        mask_agreement: Least share of equal mask pixels over all frames, in [0, 1].
    """

    max_logit_error: float | None
    mask_agreement: float

    @classmethod
    def of(cls, spec: ModelSpec) -> Tolerance:
        """The default of a precision: rounding alone for floats; for integers a gross fault (Dice is the judge)."""
        coarse = cls(max_logit_error=None, mask_agreement=0.9)
        return {
            "fp32": cls(max_logit_error=0.01, mask_agreement=0.999),
            "fp16": cls(max_logit_error=0.1, mask_agreement=0.99),
            "int16x8": coarse,
            "dynamic": coarse,
            "int8": coarse,
        }[spec.precision]


@dataclass(frozen=True)
class Parity:
    """What was found.

    Attributes:
        max_logit_error: Largest difference of a logit over all frames; None where the file returns class ids.
        largest_logit: Largest magnitude of a logit of the network, to judge the error by; None likewise.
        mask_agreement: Share of equal mask pixels over all frames, in [0, 1].
        worst_frame_agreement: The lowest share of a single frame.
        n_frames: Frames compared.
        runtimes_loaded: Name and version of every runtime that loaded and ran the file; the first gave the figures.
        runtimes_refused: Reason by name of every installed runtime that did not.
    """

    max_logit_error: float | None
    largest_logit: float | None
    mask_agreement: float
    worst_frame_agreement: float
    n_frames: int
    runtimes_loaded: tuple[str, ...]
    runtimes_refused: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {**asdict(self), "runtimes_loaded": list(self.runtimes_loaded)}


def parity(
    model: nn.Module, file: Path, spec: ModelSpec, frames: Iterable[np.ndarray], tolerance: Tolerance | None = None
) -> Parity:
    """Compare a file with the network it came from, on real frames, through the runtime that ships.

    Args:
        model: The network, before folding.
        file: The exported file.
        spec: Its description.
        frames: uint8 (H, W) gray or (H, W, 3) RGB, at least one.
        tolerance: Default `Tolerance.of(spec)`.

    Raises:
        ExportError: If no runtime takes the file, there is no frame, or a figure is beyond its tolerance; the message
            holds the figures.
    """
    tolerance = tolerance or Tolerance.of(spec)
    network = model.cpu().eval()
    errors, largest, shares, sizes = [], [], [], []
    try:
        with Segmenter.from_file(file, spec, threads=1) as segmenter:
            engine = segmenter.engine
            for frame in frames:
                error, top, share = _compare(network, segmenter, frame)
                errors.append(error)
                largest.append(top)
                shares.append(share)
                sizes.append(frame.shape[0] * frame.shape[1])
    except BackendError as err:
        raise ExportError(f"{file.name}: {err}") from err
    if not shares:
        raise ExportError(f"{file.name}: parity needs at least one frame, found none.")
    loaded, refused = _runtimes(file, spec)
    scores = spec.output.kind == "scores"
    found = Parity(  # numpy's max, in which NaN stays NaN wherever it stands
        max_logit_error=float(np.max(errors)) if scores else None,
        largest_logit=float(np.max(largest)) if scores else None,
        mask_agreement=float(np.average(shares, weights=sizes)),
        worst_frame_agreement=min(shares),
        n_frames=len(shares),
        runtimes_loaded=(engine, *loaded),
        runtimes_refused=refused,
    )
    _judge(file, found, tolerance)
    return found


def _judge(file: Path, found: Parity, tolerance: Tolerance) -> None:
    faults = []
    if not found.mask_agreement >= tolerance.mask_agreement:
        faults.append(f"masks agree on {found.mask_agreement:.4%} of pixels, {tolerance.mask_agreement:.4%} are asked")
    if found.max_logit_error is not None and found.largest_logit is not None and tolerance.max_logit_error is not None:
        allowed = tolerance.max_logit_error * max(found.largest_logit, 1.0)
        if not found.max_logit_error <= allowed:  # so that NaN is a fault
            faults.append(f"the largest logit error is {found.max_logit_error:.4g}, {allowed:.4g} is allowed")
    if faults:
        raise ExportError(
            f"{file.name} does not answer like its network over {found.n_frames} frames: {'; '.join(faults)}. "
            "For INT8 calibrate on more varied images or keep sensitive layers in float; else export it again."
        )


def _compare(network: nn.Module, segmenter: Segmenter, frame: np.ndarray) -> tuple[float, float, float]:
    """Largest logit error, largest logit and share of equal mask pixels for one frame."""
    spec = segmenter.spec
    prepared = segmenter.prepare(frame)
    pixels = np.ascontiguousarray(prepared.tensor.transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels).float() / 255).numpy()
    scores = segmenter.infer(prepared)
    stride = int(prepared.tensor.shape[1] // expected.shape[2])
    as_floats = OutputSpec("scores", stride, "NCHW", "float32", activation=spec.output.activation)
    truth = to_mask(expected, replace(spec, output=as_floats), prepared)
    share = float(np.mean(truth == segmenter.finish(scores, prepared)))
    if spec.output.kind != "scores":
        return 0.0, 0.0, share
    logits = (scores.astype(np.float32) - spec.output.zero_point) * np.float32(spec.output.scale)
    logits = logits.transpose(0, 3, 1, 2) if spec.output.layout == "NHWC" else logits
    return float(np.abs(logits - expected).max()), float(np.abs(expected).max()), share


def _runtimes(file: Path, spec: ModelSpec) -> tuple[list[str], dict[str, str]]:
    """Every further installed runtime that should take the file: those that ran it, and why the others did not."""
    loaded: list[str] = []
    refused: dict[str, str] = {}
    content = file.read_bytes()
    for name, run in _FURTHER.get(spec.backend, {}).items():
        distribution, _, _ = name.partition(" ")
        if find_spec(distribution.replace("-", "_")) is None:
            continue
        full = name.replace(distribution, f"{distribution} {version(distribution)}", 1)
        try:
            with muted():
                run(content)
            loaded.append(full)
        except Exception as err:  # whatever a foreign runtime raises is its reason for refusing
            refused[full] = condensed(err)
    return loaded, refused


def _run_builtin(content: bytes) -> None:
    """LiteRT without XNNPACK: what it falls back to, and another set of kernels with rules of its own."""
    module = importlib.import_module("ai_edge_litert.interpreter")
    without = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(model_content=content, experimental_op_resolver_type=without)
    interpreter.allocate_tensors()
    interpreter.invoke()


def _run_tflite_runtime(content: bytes) -> None:
    interpreter = importlib.import_module("tflite_runtime.interpreter").Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.invoke()


_FURTHER: dict[str, dict[str, Callable[[bytes], None]]] = {
    "litert": {"ai-edge-litert (built-in kernels)": _run_builtin, "tflite-runtime": _run_tflite_runtime},
}
