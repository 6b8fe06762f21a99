"""The files of a network that are scored, measured and packed: one table, from which steps and rows are made.

A new file of the network is an entry here. Where it is a file of another row, run by another engine, `same_as` names it
and the bundle holds the bytes once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from edgeseg.pipeline.recipe.sections.export import Also
from edgeseg.runtime.engines import Engine, engine_of_target
from edgeseg.runtime.spec.model_spec import Precision

# Steps that choose the student which goes on: a row whose parent is one of them hangs from what it chose.
CHOOSE_STUDENT, CHOOSE_FINAL = CHOICES = ("choose_student", "choose_final")
# Step of the network that costs are compared with.
REFERENCE = "reference"


@dataclass(frozen=True)
class VariantPlan:
    """One file.

    Attributes:
        step: Step that makes it, and its row.
        name: In the bundle.
        format: Of `export.formats.FORMATS`.
        precision: Of weights and activations.
        parent: Row it is compared with, and whose file it is made of where it is not FP32; or a choice.
        target: Where its latency is measured and gated.
        same_as: Step whose file it is, byte for byte.
        not_timed: Why it is not measured on the machine that runs the chain.
    """

    step: str
    name: str
    format: str
    precision: Precision
    parent: str
    target: str
    same_as: str | None = None
    not_timed: str | None = None

    @property
    def engine(self) -> Engine:
        """What runs it."""
        found = engine_of_target(self.target)
        assert found is not None
        return found

    @property
    def optional(self) -> bool:
        """Whether it is made only where a recipe names it in `export.also`."""
        return self.name in get_args(Also)

    @property
    def needs(self) -> tuple[str, ...]:
        """What the processor must have: x86 files are u8s8 in ONNX, the others are symmetric."""
        u8s8 = (self.format, self.precision) == ("onnx", "int8")
        return self.engine.u8s8_needs if u8s8 else ()


_DEVICE = "made for Arm and TensorRT, not timed on x86; its masks are ONNX Runtime's, unverified on TensorRT hardware"

_CAST = "made for TensorRT and Arm; ONNX Runtime on x86 has no FP16 kernels and casts around every operator"

VARIANTS = (
    VariantPlan("onnx_fp32", "onnx-fp32", "onnx", "fp32", CHOOSE_FINAL, "x86-ort"),
    VariantPlan("onnx_int8", "onnx-int8-x86", "onnx", "int8", "onnx_fp32", "x86-ort"),
    VariantPlan("onnx_s8", "onnx-int8", "onnx-s8", "int8", "onnx_fp32", "arm64-ort", not_timed=_DEVICE),
    VariantPlan("onnx_fp16", "onnx-fp16", "onnx", "fp16", "onnx_fp32", "arm64-ort", not_timed=_CAST),
    VariantPlan("tflite_fp32", "tflite-fp32", "tflite", "fp32", CHOOSE_FINAL, "x86-litert"),
    VariantPlan("tflite_int8", "tflite-int8", "tflite", "int8", "tflite_fp32", "x86-litert"),
    VariantPlan("tflite_fp16", "tflite-fp16", "tflite", "fp16", "tflite_fp32", "x86-litert"),
    VariantPlan("tflite_dynamic", "tflite-dynamic", "tflite", "dynamic", "tflite_fp32", "x86-litert"),
    VariantPlan("tflite_int16x8", "tflite-int16x8", "tflite", "int16x8", "tflite_fp32", "x86-litert"),
    VariantPlan("openvino_fp32", "openvino-fp32", "onnx", "fp32", CHOOSE_FINAL, "x86-openvino", same_as="onnx_fp32"),
    VariantPlan("openvino_int8", "openvino-int8", "onnx", "int8", "openvino_fp32", "x86-openvino", same_as="onnx_int8"),
)


def reference_step(step: str) -> str:
    """Step that makes the reference's file as `step` makes the student's in FP32: `reference_onnx` for `onnx_fp32`."""
    return f"{REFERENCE}_{step.removesuffix('_fp32')}"


# The reference's file in each engine, so that every speed-up is within one engine.
REFERENCE_FILES = {one.target: reference_step(one.step) for one in VARIANTS if one.precision == "fp32"}


def shipped_as(target: str, precision: str) -> VariantPlan:
    """The variant that a target is given in a precision.

    Raises:
        StopIteration: If there is none; `TARGETS` of the table of engines all have both precisions.
    """
    return next(one for one in VARIANTS if (one.target, one.precision) == (target, precision))
