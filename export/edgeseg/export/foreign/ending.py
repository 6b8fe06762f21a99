"""How a network ends: from what it returns (probabilities, class ids, truths) back to the scores in front of them.

A mask is the class of the highest score, or, of one plane, where it lies above a threshold. What stands behind the
scores and keeps their order (Sigmoid, Softmax, ArgMax, a comparison, ...) does not change the mask, so it is cut; of
one plane the threshold is carried back through it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

# They hand values on, or move them about.
_CARRIERS = {"Identity", "Dropout", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose"}
# They squash scores into probabilities, or choose from them.
_SQUASHERS = {"Sigmoid", "HardSigmoid", "Softmax", "LogSoftmax", "Hardmax", "ArgMax"}
_COMPARISONS = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_MEANINGS = _SQUASHERS | _COMPARISONS | {"Round", "Clip", "Log"}
_AFFINE = {"Mul", "Div", "Add", "Sub", "Neg"}
# Between these an unsaid threshold is in the middle: a hard sigmoid written out, a ReLU6 of one, a gray value.
_USUAL_BOUNDS = {(0.0, 1.0), (0.0, 6.0), (0.0, 255.0)}
# Behind them probabilities are still probabilities.
_KEEPERS = _CARRIERS | {"Resize", "Upsample", "Slice", "Gather", "Split", "Pad", "Concat"}


@dataclass(frozen=True)
class Step:
    """One node behind the scores, with the constants it needs.

    Attributes:
        node: The node.
        scale: Of an affine step: made = scale * read + shift; 1 for all others.
        shift: See `scale`.
        limit: What a comparison compares with.
        bounds: Of a Clip.
    """

    node: onnx.NodeProto
    scale: float = 1.0
    shift: float = 0.0
    limit: float | None = None
    bounds: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        """The operator."""
        return str(self.node.op_type)


@dataclass(frozen=True)
class Ending:
    """What stands behind the scores.

    Attributes:
        scores: The tensor of scores.
        steps: Nodes behind it, the last one first.
        squashed: Operators further up that made probabilities of the scores, which a Resize or a Slice keeps from
            being cut.
        background: Whether the first class was chosen of them.
    """

    scores: str
    steps: tuple[Step, ...]
    squashed: tuple[str, ...]
    background: bool = False

    @property
    def words(self) -> str:
        """Such as `Resize, Sigmoid, Cast`, in the order of the graph."""
        return ", ".join(step.kind for step in reversed(self.steps))


class EndingError(ValueError):
    """The end of a network says that its answers are no masks; the reason."""


def find_ending(model: onnx.ModelProto, flat: frozenset[str] = frozenset()) -> Ending:
    """Walk back from the only output.

    Args:
        model: A graph of one output.
        flat: Tensors that are known to have lost their image axes; reshaping into them is undone.

    Raises:
        EndingError: A comparison or a change of sign turns the scores round.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = _scalars(model)
    seen: list[Step] = []
    name, meaningful = str(model.graph.output[0].name), 0
    while (node := makers.get(name)) is not None:
        step = _step(node, constants)
        if step is None:
            break
        seen.append(step)
        name = _data_input(node, constants)
        if step.kind in _SQUASHERS | _COMPARISONS | {"Round", "Log"} or step.bounds is not None:
            meaningful = len(seen)
    steps = seen[:meaningful]
    while len(steps) < len(seen) and _made(seen, len(steps), model) in flat:
        steps = seen[: len(steps) + 1]
    if any(step.scale < 0 for step in steps):
        turned = next(step.node.name for step in steps if step.scale < 0)
        raise EndingError(f"the node {turned} turns its scores round (1 - x, or -x): they say where the class is not")
    scores = _made(seen, len(steps), model)
    return Ending(scores, tuple(steps), *_squashed(scores, makers, constants))


def threshold(ending: Ending, planes: int) -> float:
    """What the scores of one plane must exceed to be foreground; 0 where there are several, whose order decides.

    Raises:
        EndingError: No score can exceed it, or all do; or the end does not fit the number of planes.
    """
    if planes > 1:
        wrong = [step.kind for step in ending.steps if step.kind in _COMPARISONS]
        if wrong:
            raise EndingError(
                f"it ends in {ending.words}: {planes} planes of truths, where one class a pixel is needed"
            )
        return 0.0
    if ending.background and ending.squashed:
        raise EndingError("it returns the probability of the first class alone, the background's; export all classes")
    limit: float | None = None
    for place, step in enumerate(ending.steps):
        if step.bounds is not None and limit is None and any(one.kind in _SQUASHERS for one in ending.steps[place:]):
            continue  # probabilities kept off 0 and 1
        if step.kind == "Round" and limit is None and any(one.scale != 1 for one in ending.steps[place:]):
            continue  # of percent or gray values, whose middle is not 0.5
        limit = _back(step, limit)
        if limit is not None and not math.isfinite(limit):
            raise EndingError(_never(ending, step))
    if limit is None:
        return 0.5 if ending.squashed else 0.0
    return limit


def _back(step: Step, limit: float | None) -> float | None:  # noqa: PLR0911 - one return a kind of node
    """The threshold in front of a node from the one behind it."""
    if step.kind in _COMPARISONS:
        return step.limit
    if step.kind == "Round":
        return 0.5 if limit is None or 0 <= limit < 1 else math.nan
    if step.kind in _AFFINE:
        return None if limit is None else (limit - step.shift) / step.scale
    if step.bounds is not None:
        low, high = step.bounds
        if limit is None:
            limit = (low + high) / 2 if low == -high or (low, high) in _USUAL_BOUNDS else math.nan
        return limit if low <= limit < high else math.nan
    if step.kind == "Log":
        return None if limit is None else math.exp(limit)
    if step.kind == "Sigmoid":
        share = 0.5 if limit is None else limit
        return math.log(share / (1 - share)) if 0 < share < 1 else math.nan
    if step.kind == "HardSigmoid":
        attributes = _attributes(step.node)
        share = 0.5 if limit is None else limit
        slope, middle = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
        return (share - middle) / slope if 0 <= share < 1 and slope > 0 else math.nan
    return math.nan if step.kind in _SQUASHERS else limit


def _never(ending: Ending, step: Step) -> str:
    kinds = [one.kind for one in ending.steps]
    if step.kind in ("Softmax", "LogSoftmax", "Hardmax", "ArgMax"):
        return f"it ends in {step.kind} over one plane, which says the same of every pixel; export its logits"
    if kinds.count("Sigmoid") > 1:
        return (
            f"it ends in Sigmoid {kinds.count('Sigmoid')} times ({ending.words}): the last one makes every probability "
            "more than 0.5, so every pixel would be foreground; export it with one, or with none"
        )
    return f"it ends in {ending.words}: at {step.node.name} no score, or every score, would be foreground"


def _step(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> Step | None:
    """A node that the walk may pass, or None."""
    kind = str(node.op_type)
    if node.domain not in ("", "ai.onnx") or (kind not in _CARRIERS | _MEANINGS | _AFFINE):
        return None
    others = [constants.get(name) for name in node.input if name and name != _data_input(node, constants)]
    if kind in _AFFINE:
        return _affine(node, constants)
    if kind in _COMPARISONS:
        if others[0] is None or others[0].size != 1:
            return None
        above = kind.startswith("Greater") == (node.input[0] not in constants)
        if not above:
            raise EndingError(f"the node {node.name} ({kind}) is true where the scores are low; export its scores")
        return Step(node, limit=float(others[0].reshape(-1)[0]))
    if kind == "Clip":
        low, high = _clip_bounds(node, constants)
        return Step(node, bounds=(low, high) if math.isfinite(low) and math.isfinite(high) else None)
    return Step(node)


def _affine(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> Step | None:
    """`Mul` and the like by one constant."""
    if node.op_type == "Neg":
        return Step(node, scale=-1.0)
    first, second = (constants.get(name) for name in node.input)
    constant = second if first is None else first
    if constant is None or (first is not None and second is not None) or constant.size != 1:
        return None
    value, kind = float(constant.reshape(-1)[0]), str(node.op_type)
    if kind == "Add":
        return Step(node, shift=value)
    if kind == "Sub":
        return Step(node, shift=-value) if first is None else Step(node, scale=-1.0, shift=value)
    if value == 0 or (kind == "Div" and first is not None):
        return None
    return Step(node, scale=value if kind == "Mul" else 1 / value)


def _clip_bounds(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> tuple[float, float]:
    attributes = _attributes(node)
    found = []
    for place, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        given = constants.get(node.input[place]) if len(node.input) > place and node.input[place] else None
        found.append(attributes.get(name, default) if given is None else float(given.reshape(-1)[0]))
    return found[0], found[1]


def _squashed(
    scores: str, makers: Mapping[str, onnx.NodeProto], constants: Mapping[str, np.ndarray]
) -> tuple[tuple[str, ...], bool]:
    """Operators that made probabilities of what the scores come from by keepers alone; and whether of class 0."""
    found, names, visited, background = [], [scores], set(), False
    while names:
        name = names.pop()
        node = makers.get(name)
        if node is None or node.name in visited:
            continue
        visited.add(node.name)
        if node.op_type in _SQUASHERS:
            found.append(str(node.op_type))
        elif node.op_type in _KEEPERS:
            names += list(node.input) if node.op_type == "Concat" else [node.input[0]]
            background |= _takes_the_first(node, name, constants)
        elif node.op_type in ("Div", "Reciprocal") and _is_logistic(node, makers):
            found.append("Sigmoid written out")
    return tuple(found), background


def _takes_the_first(node: onnx.NodeProto, made: str, constants: Mapping[str, np.ndarray]) -> bool:
    """Whether a node picks class 0 of the axis that classes are on (the second, or the last)."""
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    axes, place = given.get("axis", 0), constants.get(node.input[1]) if len(node.input) > 1 else None
    if node.op_type == "Split":
        return axes in (1, 3, -1, -3) and made == node.output[0]
    if node.op_type == "Slice" and len(node.input) > 3 and (named := constants.get(node.input[3])) is not None:
        axes = int(named.reshape(-1)[0]) if named.size == 1 else 0
    elif node.op_type not in ("Gather", "Slice"):
        return False
    return axes in (1, 3, -1, -3) and place is not None and place.size == 1 and int(place.reshape(-1)[0]) == 0


def _is_logistic(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether this is 1 / (1 + exp(-x)), or exp(x) / (... exp ...)."""
    below = makers.get(node.input[-1])
    inputs = list(below.input) if below is not None and below.op_type in ("Add", "ReduceSum") else []
    return any((one := makers.get(name)) is not None and one.op_type == "Exp" for name in inputs)


def _made(seen: list[Step], count: int, model: onnx.ModelProto) -> str:
    """The tensor in front of the last `count` nodes."""
    if count == 0:
        return str(model.graph.output[0].name)
    return _data_input(seen[count - 1].node, _scalars(model))


def _data_input(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> str:
    """The input that carries the values: the first, or of two the one that is no constant."""
    moving = [name for name in node.input if name and name not in constants]
    return str(moving[0] if moving else node.input[0])


def _scalars(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Small constants by name."""
    found = {one.name: one for one in model.graph.initializer}
    found |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return {
        name: numpy_helper.to_array(one) if np.prod(one.dims) <= 64 else np.zeros(65) for name, one in found.items()
    }


def _attributes(node: onnx.NodeProto) -> dict[str, float]:
    return {one.name: float(helper.get_attribute_value(one)) for one in node.attribute if one.type == one.FLOAT}
