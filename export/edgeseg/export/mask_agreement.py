"""How far the masks of two files of one network lie apart."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.data.ignored import IGNORED, leave_out
from edgeseg.runtime.png import UInt8, read_mask_png


def counted(mask: UInt8, sample: Sample, data: DataSet) -> UInt8:
    """A predicted mask, uint8 (H, W), with `IGNORED` where the sample's truth has it; else the very array given."""
    return mask if data.ignore is None else leave_out(mask, sample.read_truth(len(data.classes)))


def agreement(a: Path, b: Path) -> float:
    """Share of equal pixels in [0, 1], of those that count, between two folders of masks of the same stems."""
    equal = total = 0
    for path in sorted(a.glob("*.png")):
        first, second = read_mask_png(path), read_mask_png(b / path.name)
        n_ignored = int((first == IGNORED).sum())  # the same pixels in both
        equal += int((first == second).sum()) - n_ignored
        total += first.size - n_ignored
    return equal / max(1, total)
