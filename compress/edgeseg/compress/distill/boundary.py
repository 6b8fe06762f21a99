"""Pixels near a border count more in the soft loss: that is where a small student differs from its teacher.

Reference:
    Liu et al. 2023, arXiv:2306.08075 (boundary-privileged distillation: borders and bodies of regions apart). Here one
    soft loss with larger weights near borders stands for their two.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.runtime.data.ignored import IGNORED

RADIUS_PX = 2


def boundary_weights(target: Tensor, teacher_ids: Tensor, weight: float) -> Tensor:
    """How much each pixel counts: 1, and `weight` more near a border of the true or of the teacher's mask.

    Args:
        target: int64 (N, H, W) class ids, `IGNORED` where pixels do not count; these make no border.
        teacher_ids: int64 (N, H, W) class ids.
        weight: Above 0.

    Returns:
        float32 (N, H, W). Near means that another class is within 2 px, along rows, columns or both.
    """
    near = _near_border(target) | _near_border(teacher_ids)
    return torch.where(near, 1.0 + weight, 1.0)


def _near_border(ids: Tensor) -> Tensor:
    """Whether the pixels around each one that count are of several classes, bool (N, H, W)."""
    counted, values = ids != IGNORED, ids.float()
    highest = _largest_around(values.where(counted, -1.0))
    lowest = -_largest_around(-values.where(counted, float(IGNORED)))
    return highest > lowest


def _largest_around(values: Tensor) -> Tensor:
    return F.max_pool2d(values[:, None], 2 * RADIUS_PX + 1, stride=1, padding=RADIUS_PX)[:, 0]
