"""A made-up report in the shape of a run's report.json. Every number is invented: it tests the page, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.pipeline.report.image_rank import faults_of
from edgeseg.pipeline.report.panels import Panel
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.data.imagefile import read_image, read_mask
from edgeseg.runtime.score.metrics import image_dice, score_image

WARNINGS = [
    {"check": "busy", "subject": None, "message": "the machine was busy (load 1.9)", "remedy": "end other programs"},
    {"check": "spread", "subject": "onnx_int8", "message": "processes differ by 6 %", "remedy": "--processes 10"},
]
CLASSES = ["background", "nerve", "vessel"]


def summary(dice: float, n: int = 37) -> dict[str, Any]:
    return {
        "dice_mean": dice,
        "dice": {"nerve": dice - 0.08, "vessel": dice + 0.08},
        "iou_mean": dice - 0.12,
        "iou": {"nerve": dice - 0.2, "vessel": dice - 0.04},
        "per_image": {"median": dice + 0.02, "p5": dice - 0.4, "share_below_0.5": 0.11, "n": n - 1},
        "hd95": {"nerve": {"value_px": 31.4, "n": n - 6}, "vessel": {"value_px": 18.25, "n": n - 4}},
        "region_recall": 0.83,
        "n_regions": 71,
        "small_region_recall": 0.61,
        "small_region_px": 820.0,
        "n_small_regions": 18,
        "false_regions_per_negative_frame": "not estimable (0 negatives)",
        "n_negative_frames": 0,
        "n_images": n,
        "n_groups": n,
    }


def drop(mean: float, half: float, budget: float = 0.02) -> dict[str, Any]:
    low, high = mean - half, mean + half
    verdict = "not worse" if high <= budget else "worse" if low > budget else "not shown"
    return {"mean": mean, "lo95": low, "hi95": high, "n_images": 37, "n_groups": 37, "verdict": verdict}


def latency(total: float) -> dict[str, Any]:
    parts = {"pre": 0.09, "infer": total - 0.21, "post": 0.12, "total": total}
    return {stage: {"p50": ms, "p90": ms * 1.07, "n": 2600} for stage, ms in parts.items()}


def ratio(value: float) -> dict[str, Any]:
    return {"ratio": value, "lo95": value * 0.94, "hi95": value * 1.05, "n_processes": 5, "n_blocks": 20}


def row(name: str, parent: str | None, dice: float, ms: float, size: int, **others: Any) -> dict[str, Any]:
    teacher = {"val": 0.741, "test": 0.727}
    gap = teacher["test"] - dice
    fields: dict[str, Any] = {
        "name": name,
        "parent": parent,
        "kind": "model",
        "status": "ok",
        "reason": None,
        "engine": "onnxruntime",
        "precision": "fp32",
        "params": size // 4,
        "macs": int(ms * 1.1e8),
        "bytes": size,
        "sha256": "5e" * 32,
        "accuracy": {"val": summary(dice + 0.014, 36), "test": summary(dice)},
        "dice_drop_vs_teacher": {"val": drop(gap, 0.02), "test": drop(gap, 0.022)} if parent else None,
        "dice_drop_vs_parent": {"val": drop(gap / 2, 0.012), "test": drop(gap / 2, 0.014)} if parent else None,
        "latency_ms": latency(ms),
        "speedup_vs_reference": ratio(112.4 / ms) if parent else None,
        "speedup_vs_parent": ratio(1.0 + 10 / ms) if parent else None,
        "agreement_vs_parent": 0.9812 if parent else None,
        "peak_memory_mib": 143.2,
        "refused_for": {},
        "skill": {"value": 0.7, "dice": dice + 0.014, "trivial_dice": 0.06, "trivial": "vessel"},
        "parity": {"max_logit_error": 2e-5, "mask_agreement": 0.99997, "n_frames": 4},
    }
    return fields | others


def fake_report() -> dict[str, Any]:
    """A whole run in which one variant ships and two rows are refused."""
    lite = {"engine": "litert"}
    tail = {"kind": "variant", "precision": "int8"}
    steps = [
        row("teacher", None, 0.727, 112.4, 31_140_000),
        row("student_alone", "teacher", 0.684, 12.9, 3_420_000),
        row("student_distilled", "teacher", 0.722, 12.8, 3_420_000),
        row("student_pruned", "student_distilled", 0.719, 8.4, 1_960_000),
        row("onnx_fp32", "student_pruned", 0.719, 8.4, 1_968_000, kind="variant"),
        row("onnx_int8", "onnx_fp32", 0.7195, 3.29, 640_000, **tail),
        row("tflite_fp32", "student_pruned", 0.719, 6.6, 1_953_000, kind="variant", **lite)
        | {"refused_for": {"x86-litert": "speed-up 17.0 (15.9 to 17.9) is below min_speedup 20"}},
        row("tflite_int8", "tflite_fp32", 0.672, 2.9, 655_000, **tail, **lite)
        | {"status": "refused", "reason": "val Dice fell 4.7 points below tflite_fp32; max_dice_drop allows 1.5"},
    ]
    return {
        "schema_version": 2,
        "edgeseg_version": "0.1.0",
        "git_commit": "f5624d6c0ffee0000000000000000000000000ab",
        "command": "edgeseg run recipes/ultrasound.yaml",
        "created": "2026-11-21",
        "recipe": {"name": "ultrasound", "sha256": "ab" * 32, "settings": settings()},
        "data": {
            "name": "usgra_nerve_vessel",
            "content_sha256": "cd" * 32,
            "split_sha256": "ef" * 32,
            "classes": CLASSES,
            "color": "gray",
            "licence": "CC BY 4.0",
            "may_redistribute": True,
            "counts": {split: {"images": n, "groups": n} for split, n in (("train", 171), ("val", 36), ("test", 37))},
        },
        "machine": {"arch": "x86_64", "cpu_model": "Example CPU @ 2.6 GHz", "usable_cpus": 2, "memory_mib": 7800}
        | {"cpu_flags": ["avx2", "avx512_vnni"], "governor": None, "clocks_locked": None},
        "software": {"python": "3.11.7", "numpy": "2.3.4", "onnxruntime": "1.23.2", "ai-edge-litert": "2.0.3"},
        "chosen": {
            "choose_student": {"student": "student_distilled", "reason": "distillation holds its budget on val"},
            "choose_final": {"student": "student_pruned", "reason": "pruning holds its budget on val"},
        },
        "quantization": quantization(),
        "bench": {"frame": "0004", "threads": 2, "created": "2026-11-21T10:12:00+00:00", "warnings": WARNINGS},
        "warnings": [],
        "steps": steps,
        "shipped": {
            "step": "onnx_int8",
            "variant": "onnx-int8-x86",
            "target": "x86-ort",
            "reason": "the fastest of the variants that passed their gates on val",
        },
        "histories": histories(),
        "wall_s": {"teacher": 4210.0, "student_alone": 1650.2, "student_distilled": 2412.9, "student_pruned": 1301.0}
        | {
            "onnx_fp32": 24.1,
            "onnx_int8": 8.8,
            "tflite_fp32": 31.0,
            "tflite_int8": 12.5,
            "score": 64.0,
            "bench": 118.0,
        },
        "total_wall_s": 9834.1,
        "bundle": {"file": "ultrasound.edgeseg", "bytes": 5_230_112, "sha256": "09" * 32},
    }


def quantization() -> dict[str, Any]:
    return {
        "method": "percentile",
        "network": "plain",
        "n_images": 64,
        "source": "train",
        "images": [f"{index:04}" for index in range(64)],
        "of": 171,
        "images_by_class": {"nerve": 60, "vessel": 40, "no foreground": 2},
        "equalization": None,
    }


def settings() -> dict[str, Any]:
    return {
        "name": "ultrasound",
        "intended_use": "research on point-of-care ultrasound; no clinical claim",
        "geometry": {"mode": "resize", "height_px": 256, "width_px": 256},
        "bench": {"threads": 2, "processes": 5},
        "gates": {
            "max_dice_drop": 0.015,
            "max_total_dice_drop": 0.02,
            "min_speedup": {"x86-ort": 20, "x86-litert": 20},
        },
    }


def histories() -> dict[str, list[dict[str, Any]]]:
    rng = np.random.default_rng(0)
    found = {}
    for name, epochs, best in (("teacher", 50, 0.75), ("student_alone", 80, 0.7), ("student_distilled", 80, 0.74)):
        rise = 1 - np.exp(-np.arange(epochs) / epochs * 5)
        dice = best * rise + rng.normal(0, 0.01, epochs)
        loss = 1.6 * np.exp(-np.arange(epochs) / epochs * 3) + 0.2 + rng.normal(0, 0.015, epochs)
        found[name] = [
            {"epoch": i, "train_loss": float(loss[i]), "val_dice": float(dice[i]) if i % 2 else None}
            for i in range(epochs)
        ]
    return found


def worsened(truth: np.ndarray, seed: int, strength: float) -> np.ndarray:
    """A mask like the truth but bent and with pieces lost or invented, as a network's would be."""
    rng = np.random.default_rng(seed)
    height, width = truth.shape
    small = rng.normal(0, 1, (2, 6, 6)).astype(np.float32) * strength * width / 12
    shift = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in small]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    mask = cv2.remap(truth, x + shift[0], y + shift[1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    if rng.random() < strength:
        centre = (int(rng.integers(width // 5, width * 4 // 5)), int(rng.integers(height // 5, height * 4 // 5)))
        cv2.ellipse(mask, centre, (width // 14, height // 20), 20, 0, 360, int(rng.integers(1, truth.max() + 1)), -1)
    if rng.random() < strength / 2:
        mask[mask == truth.max()] = 0
    return mask


def panel(stem: str, frame: np.ndarray, truth: np.ndarray, index: int) -> Panel:
    strength = 0.9 if index < 4 else 0.3
    teacher = worsened(truth, index, strength * 0.6)
    shipped = worsened(truth, 100 + index, strength)
    score = score_image(shipped, truth, 1 + max(int(shipped.max()), int(truth.max()), 1))
    dice = None if score.is_negative else image_dice(score)
    return Panel(stem, frame, truth, teacher, shipped, dice, faults_of(score), index < 4)


def real_panels(folder: Path, n: int = 10) -> list[Panel]:
    """Real frames and truth with invented predictions."""
    data = open_dataset(folder)
    samples = data.split("test")
    chosen = [sample for sample in samples if read_mask(sample.mask, len(data.classes)).any()][:n]
    return [
        panel(one.stem, read_image(one.image, data.color), read_mask(one.mask, len(data.classes)), i)
        for i, one in enumerate(chosen)
    ]


def drawn_panels(n: int = 8, size: tuple[int, int] = (96, 128), color: bool = False) -> list[Panel]:
    """Noise with an ellipse of each class."""
    rng = np.random.default_rng(7)
    found = []
    for i in range(n):
        truth = np.zeros(size, np.uint8)
        for class_id in (1, 2):
            centre = (int(rng.integers(20, size[1] - 20)), int(rng.integers(20, size[0] - 20)))
            cv2.ellipse(truth, centre, (14, 9), 30 * i, 0, 360, class_id, -1)
        frame = rng.integers(0, 256, (*size, 3) if color else size, dtype=np.uint8)
        found.append(panel(f"part_{i}", frame, truth, i))
    return found
