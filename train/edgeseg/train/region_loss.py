"""A loss in which every region counts once, however small it is: missed small regions cost as much as large ones."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from edgeseg.train.true_class import of_true_class


def regions(
    logits: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
    counted: Tensor | None = None,
) -> Tensor:
    """One minus the mean, over the true regions of a batch, of how much of each region is found.

    A region is 8-connected, of one foreground class; found is the mean probability of its class over its pixels. False
    regions cost nothing here: join this with terms that count every pixel, such as `bce+dice+regions`.

    Args:
        logits: float32 (N, K, H, W); K = 1 means one sigmoid output.
        target: int64 (N, H, W) class ids.
        weights: float32 (n_classes,) or None; a region has its class's weight.
        counted: Which pixels count, bool (N, H, W); None if all do. Regions end where pixels do not count.

    Returns:
        A scalar in [0, 1]; 0 where the batch has no region.

    Reference:
        After Kofler et al. 2022, arXiv:2205.08209 (blob loss: instances averaged, not pixels), with sensitivity in
        place of a Dice of each instance.
    """
    if counted is not None:
        target = target.where(counted, 0)
    labels, classes = _label(target.cpu().numpy().astype(np.uint8))
    if not classes:
        return logits.sum() * 0.0  # keeps the graph, for a loss of this term alone
    inside = torch.from_numpy(labels.ravel().nonzero()[0]).to(logits.device)
    region = torch.from_numpy(labels.ravel()).to(logits.device)[inside] - 1  # (P,), of the foreground pixels
    found = _true_class(logits, target).flatten()[inside]
    sums = torch.zeros(len(classes), dtype=found.dtype, device=found.device).index_add(0, region, found)
    share = sums / torch.bincount(region, minlength=len(classes))
    if weights is None:
        return 1.0 - share.mean()
    own = weights[torch.tensor(classes, device=weights.device)]
    return 1.0 - (share * own).sum() / own.sum()


def _true_class(logits: Tensor, target: Tensor) -> Tensor:
    """Probability of each pixel's own class where it is foreground, (N, H, W)."""
    if logits.shape[1] == 1:
        return logits[:, 0].sigmoid()
    return of_true_class(logits.softmax(dim=1), target)


def _label(masks: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Regions of uint8 masks (N, H, W), numbered from 1 over the batch, int64 (N, H, W); and the class of each."""
    labels, classes = np.zeros(masks.shape, np.int64), list[int]()
    for image, mask in enumerate(masks):
        for one in np.unique(mask[mask > 0]):
            count, found = cv2.connectedComponents((mask == one).astype(np.uint8), connectivity=8)
            labels[image][found > 0] = found[found > 0] + len(classes)
            classes += [int(one)] * (count - 1)
    return labels, classes
