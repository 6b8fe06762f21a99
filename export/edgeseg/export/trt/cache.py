"""TensorRT's text calibration cache: the scales of the precision plan for builders of TensorRT 8 to 10.

Given a float file, such a builder chooses INT8 layer by layer, and takes the scale of each tensor from a cache
(`trtexec --onnx=FP32.onnx --int8 --calib=CACHE`). TensorRT 11 has no calibrators; it is given the Q/DQ file.

    TRT-8502-EntropyCalibration2        TensorRT 8.5.2 and the algorithm that would have made it
    image: 40008102                     tensor name, scale = largest magnitude / 127 as big-endian float32 in hex

Names are those of the FP32 ONNX file. With this algorithm TensorRT calibrates before it fuses layers, and a tensor
without a scale keeps every layer that makes or reads it in floating point. So there is a line for the network's input
and for every result in the graph that the plan knows, those that will be fused away included, but none where the plan
keeps an operation in float. That makes the layers around it float as well: more than in the Q/DQ file, never less.
If TensorRT will fuse a convolution without a line with the addition or ReLU that follows, only the last result is left
of them; it has no line either, or the convolution would run in INT8 after all.

Unverified on TensorRT hardware.

Reference:
    Format: NVIDIA/TensorRT, samples/sampleINT8/README.md; NVIDIA ModelOpt 0.47, onnx/quantization/calib_utils.py.
    Order of calibration and fusion: TensorRT 8.2 to 10 Python API, `QuantizationFlag.CALIBRATE_BEFORE_FUSION`.
    Missing scales: the builder's warning "Missing scale and zero-point for tensor ..., expect fall back to non-int8
    implementation for any layer consuming or producing given tensor" (NVIDIA/TensorRT issue 3659).
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from edgeseg.compress.int8.plan import Affine, Plan
from edgeseg.export.onnx.placement import CLAMPS, CONVS, s8_tensorrt
from edgeseg.export.onnx.planned import PlannedOnnx, plan_onnx
from edgeseg.export.read_back import Numbers, ReadBack, hold_against
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_text
from edgeseg.runtime.spec.manifest import ModelSpec

Version = tuple[int, int, int]

CACHE, CACHE_SOURCE = "calibration.cache", "fp32.onnx"  # in a step's folder: a cache, and the float file it is for
JETPACK_5: Version = (8, 5, 2)  # of JetPack 5.1
ALGORITHMS = ("EntropyCalibration2", "MinMaxCalibration")  # both calibrate before fusion
# The file is FP32 as it was exported: nothing in it is scaled to a concatenation's range.
_OF_THE_FILE = replace(s8_tensorrt(), one_scale_concat=False)
_HEADER = re.compile(rf"TRT-([1-9]\d{{3}}|[1-9]\d{{5}})-({'|'.join(ALGORITHMS)})")
_VALUE = re.compile(r"[0-9a-fA-F]{1,8}")  # TensorRT prints no leading zeros


@dataclass(frozen=True)
class CalibrationCache:
    """Content of a cache.

    Attributes:
        scales: Symmetric int8 scale by tensor name.
        tensorrt: Version it is for. A builder of another one does not read it.
        algorithm: Of the calibrator it stands in for; likewise.
    """

    scales: Mapping[str, float]
    tensorrt: Version = JETPACK_5
    algorithm: str = ALGORITHMS[0]

    def to_text(self) -> str:
        """The file's text.

        Raises:
            ExportError: If the header or a line would not be read back: TensorRT 11, a name with a line break.
        """
        header = f"TRT-{_number(self.tensorrt)}-{self.algorithm}"
        lines = [f"{name}: {struct.pack('!f', scale).hex()}" for name, scale in self.scales.items()]
        text = "\n".join([header, *lines, ""])
        if self != self.from_text(text, "a calibration cache"):
            raise ExportError("a calibration cache cannot hold these tensors: a name has a line break in it.")
        return text

    @classmethod
    def from_text(cls, text: str, name: str) -> CalibrationCache:
        """Read a file's text.

        Args:
            text: Content.
            name: The file's, for messages.

        Raises:
            ExportError: If it is not a cache; names the line at fault.
        """
        header, *lines = text.rstrip().split("\n")
        found = _HEADER.fullmatch(header.strip())
        if found is None:
            raise ExportError(
                f"{name}: the first line is {header[:60]!r}, not TRT-VERSION-ALGORITHM with one of "
                f"{', '.join(ALGORITHMS)}. TensorRT would ignore the file; write it again."
            )
        scales: dict[str, float] = {}
        for number, line in enumerate(lines, start=2):
            tensor, scale = _parse(line, f"{name}, line {number}")
            if tensor in scales:
                raise ExportError(f"{name}, line {number}: tensor {tensor} has a scale already. Write it again.")
            scales[tensor] = scale
        if not scales:
            raise ExportError(f"{name} holds no scale. Write it again.")
        return cls(scales, _version(found[1]), found[2])


def write_trt_cache(
    model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path, tensorrt: Version = JETPACK_5
) -> CalibrationCache:
    """Write the cache for an exported file.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network and what stays in float.
        source: FP32 file of `export_onnx`: what TensorRT will be given.
        spec: What `export_onnx` returned for it.
        path: File to write, replaced in one step.
        tensorrt: Version of the builder, 8 to 10.

    Raises:
        ExportError: If the file is not that network's, the plan lacks one of its operations, or TensorRT of this
            version has no calibrators.
    """
    planned = plan_onnx(model, plan, source, spec, _OF_THE_FILE)
    cache = CalibrationCache({name: planned.affine_of(name).scale for name in _with_lines(planned)}, tensorrt)
    write_text(path, cache.to_text())
    return cache


def read_trt_cache(path: Path) -> CalibrationCache:
    """Read a cache, ours or TensorRT's.

    Raises:
        ExportError: If it is missing or no cache; names the line at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ExportError(f"cannot read the calibration cache {path.name}: {err}. Write it again.") from err
    return CalibrationCache.from_text(text, path.name)


def check_trt_cache(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path) -> ReadBack:
    """Read a cache back and hold it against the plan. Arguments as for `write_trt_cache`.

    Raises:
        ExportError: If it cannot be read or differs from the plan; names the tensor, found and expected.
    """
    planned = plan_onnx(model, plan, source, spec, _OF_THE_FILE)
    wanted = set(_with_lines(planned))
    scales = read_trt_cache(path).scales
    found = Numbers(
        {name: frozenset([Affine(scale, 0)]) for name, scale in scales.items()},
        {name: name in scales for name in planned.keys},
        {},
    )
    expected = Numbers(planned.numbers().affines, {name: name in wanted for name in planned.keys}, {})
    return hold_against(path.name, found, expected, planned.keys)


def _with_lines(planned: PlannedOnnx) -> list[str]:
    """Tensors that get a line, in the order of the graph; see the module's text."""
    nodes = list(planned.model.graph.node)
    makers = {node.output[0]: node.op_type for node in nodes}
    reads = Counter(name for node in nodes for name in node.input)
    silent = {name for name in planned.keys if planned.is_float(name)}
    for node in nodes:
        alone = {name for name in node.input if name in silent and reads[name] == 1}
        ends = {"Add": {*CONVS}} | {clamp: {*CONVS, "Add"} for clamp in CLAMPS}
        if any(makers.get(name) in ends.get(node.op_type, ()) for name in alone):
            silent.add(node.output[0])
    order = [planned.model.graph.input[0].name, *makers]
    return [name for name in order if name in planned.keys and name not in silent]


def _parse(line: str, where: str) -> tuple[str, float]:
    """Name and scale of a line; a name may hold colons and spaces itself."""
    name, colon, value = line.rpartition(": ")
    if not colon or not name or _VALUE.fullmatch(value.strip()) is None:
        raise ExportError(f"{where}: {line[:80]!r} is not NAME: HEX. Write the cache again.")
    scale: float = struct.unpack("!f", bytes.fromhex(value.strip().zfill(8)))[0]
    if not (math.isfinite(scale) and scale > 0):
        raise ExportError(f"{where}: the scale of {name} is {scale}, not a positive number. Write the cache again.")
    return name, scale


def _number(version: Version) -> int:
    """TensorRT's own number of a version: 8.5.2 is 8502, 10.3.0 is 100300."""
    major, minor, patch = version
    if not 8 <= major <= 10:
        raise ExportError(
            f"TensorRT {major}.{minor}.{patch} has no use for a calibration cache; 8 to 10 have. "
            "Give it the Q/DQ file (placement s8_tensorrt)."
        )
    return major * (1000 if major < 10 else 10_000) + minor * 100 + patch


def _version(digits: str) -> Version:
    major, rest = divmod(int(digits), 1000 if len(digits) == 4 else 10_000)
    return major, rest // 100, rest % 100
