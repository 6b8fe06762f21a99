"""Whether the mask made of a network's scores is the one that its own output says."""

from __future__ import annotations

import itertools

import numpy as np
from onnx import helper

from edgeseg.export.foreign.ending import Ending, EndingError

_CLOSE = 1e-5


def check_axes(ending: Ending, made: dict[str, np.ndarray], layout: str, planes: int) -> None:
    """Softmax and the like go over the classes.

    Args:
        ending: What stands behind the scores.
        made: Tensors by name, for one image.
        layout: Of the scores.
        planes: How many there are.

    Raises:
        EndingError: One goes along another axis.
    """
    for step in ending.steps:
        if step.kind not in ("Softmax", "LogSoftmax", "Hardmax", "ArgMax") or planes == 1:
            continue
        values = made[step.node.input[0]]
        given = {one.name: helper.get_attribute_value(one) for one in step.node.attribute}
        axis = int(given.get("axis", 0 if step.kind == "ArgMax" else -1)) % values.ndim
        if values.ndim == 4 and step.node.input[0] == ending.scores:
            right = axis == (1 if layout == "NCHW" else 3)
        else:
            right = values.shape[axis] % planes == 0 and values.shape[axis] in (planes, values.size)
        if not right:
            raise EndingError(
                f"its {step.kind} ({step.node.name}) goes along axis {axis} of {values.shape}, not over the {planes} "
                "classes, so it returns no probabilities of classes; export it again with the right axis"
            )


def check_agreement(scores: np.ndarray, limit: float, output: np.ndarray, ending: Ending) -> None:
    """Hold a mask against the output it stands for.

    Args:
        scores: (H, W, K) of one image.
        limit: Threshold of one plane.
        output: What the network returns for it.
        ending: What stands between the two.

    Raises:
        EndingError: They differ, so what stands between them does more than keep an order.
    """
    if not ending.steps:
        return
    planes = scores.shape[2]
    mask = (scores[..., 0] > limit).astype(np.int64) if planes == 1 else scores.argmax(axis=2)
    values = np.squeeze(np.asarray(output, np.float64))
    agrees = _orders(mask, values) if planes == 1 or values.size == mask.size else _highest(mask, values, planes)
    if not agrees:
        raise EndingError(
            f"what it returns {output.shape} is another mask than its scores {ending.scores} say; {ending.words} behind"
            " them do more than turn scores into probabilities or ids"
        )


def _orders(mask: np.ndarray, values: np.ndarray) -> bool:
    """Whether the output rises with the class and lies where the mask does.

    Two classes that all have the same value are none: probabilities cast to integers are all 0.
    """
    if values.size != mask.size or (values.ndim == 2 and values.shape != mask.shape):
        return False
    flat, classes = values.reshape(-1), mask.reshape(-1)
    parts = [flat[classes == one] for one in np.unique(classes)]
    return all(low.max() <= high.min() + _CLOSE and low.min() < high.max() for low, high in itertools.pairwise(parts))


def _highest(mask: np.ndarray, values: np.ndarray, planes: int) -> bool:
    """Whether the class of the mask has the highest output everywhere; ties are none of the mask's making."""
    if values.size != mask.size * planes:
        return False
    first, last = values.shape[0] == planes, values.shape[-1] == planes
    for fits, table in ((first, values.reshape(planes, -1).T), (last, values.reshape(-1, planes))):
        if fits:
            chosen = np.take_along_axis(table, mask.reshape(-1, 1), axis=1)[:, 0]
            if (chosen >= table.max(axis=1) - _CLOSE).all():
                return True
    return False
