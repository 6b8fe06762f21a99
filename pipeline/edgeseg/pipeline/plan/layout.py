"""The rows of a report and the steps behind each: which parent, which exported file, which engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowLayout:
    """One row of the report.

    Attributes:
        name: Of the row.
        parent: Row it is made of and compared with; None for the teacher; one of `CHOICES` where that step names it.
        file: Step that holds its model file.
        target: Where its latency is measured and gated.
        variant: Name in the bundle, or None for a row that is never packed.
        feeds: Whether later rows may build on it; a baseline does not.
        needs: What the processor must have; see `Variant`.
        baseline: Row that it has to beat on val to be used: the same network without the method.
    """

    name: str
    parent: str | None
    file: str
    target: str
    variant: str | None = None
    feeds: bool = True
    baseline: str | None = None
    needs: tuple[str, ...] = ()


# Steps that choose the student which goes on: a row whose parent is one of them hangs from what it chose.
CHOOSE_STUDENT, CHOOSE_FINAL = CHOICES = ("choose_student", "choose_final")

ROWS = (
    RowLayout("teacher", None, "teacher_onnx", "x86-ort"),
    RowLayout("student_alone", "teacher", "student_alone_onnx", "x86-ort", feeds=False),
    RowLayout("student_distilled", "teacher", "student_distilled_onnx", "x86-ort", baseline="student_alone"),
    RowLayout("student_pruned", CHOOSE_STUDENT, "student_pruned_onnx", "x86-ort"),
    RowLayout("onnx_fp32", CHOOSE_FINAL, "onnx_fp32", "x86-ort", "onnx-fp32"),
    RowLayout("onnx_int8", "onnx_fp32", "onnx_int8", "x86-ort", "onnx-int8-x86", needs=("vnni",)),
    RowLayout("tflite_fp32", CHOOSE_FINAL, "tflite_fp32", "x86-litert", "tflite-fp32"),
    RowLayout("tflite_int8", "tflite_fp32", "tflite_int8", "x86-litert", "tflite-int8"),
)

# The teacher's file in each engine, so that every speed-up is within one engine.
TEACHER_FILES = {"x86-ort": "teacher_onnx", "x86-litert": "teacher_tflite"}

MODEL_ROWS = tuple(row for row in ROWS if row.variant is None)
VARIANT_ROWS = tuple(row for row in ROWS if row.variant is not None)


def score_step(row: RowLayout, split: str) -> str:
    """Name of the step that scores a row's file on a split."""
    return f"{split}_{row.name}"
