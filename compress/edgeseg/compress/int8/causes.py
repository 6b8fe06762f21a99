"""Why a layer loses in INT8: a sentence with figures for every cause there is evidence for.

Activations have one scale per tensor, so one wide channel or a few large values take the levels of all others. Weights
have one scale per output channel, so there the unlike *input* channels do the harm.

Reference:
    Krishnamoorthi 2018, arXiv:1806.08342, section 3; Nagel et al. 2019, arXiv:1906.04721, section 3 (unlike channels).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.compress.int8.plan import MAX_BIAS
from edgeseg.compress.int8.tensor_facts import TensorFacts

# Fewer levels than these (4 bits) for what most values or channels need is named as a cause.
FEW_LEVELS = 16.0
UNLIKE_CHANNELS = 8.0  # widest channel over the median one
UNLIKE_PARTS = 4.0  # widest part of a concatenation over the narrowest
_FEW_PART_LEVELS = 64.0
_STEPS = 127.0  # of a symmetric int8 weight
_MATTERS = 0.02  # share of a layer's result that must not be lost


@dataclass(frozen=True)
class LayerFacts:
    """What is known of a layer.

    Attributes:
        name: Its name.
        kind: conv, depthwise, transposed, concat, add, resize, pool, or an ONNX operator.
        inputs: Activations it reads.
        output: Its result; None where it was not observed.
        weight: Kernel, float32 (out, in, taps), or None.
        bias: float32 (out,), or None.
        is_score: Whether its result is what the network returns.
    """

    name: str
    kind: str
    inputs: tuple[TensorFacts, ...]
    output: TensorFacts | None
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    is_score: bool = False


@dataclass(frozen=True)
class Cause:
    """One cause: its kind, one sentence with the figures, and the levels that are left (fewer is worse)."""

    kind: str
    sentence: str
    levels: float


def causes_of(facts: LayerFacts) -> tuple[Cause, ...]:
    """Every cause there is evidence for, the worst first."""
    found: list[Cause] = []
    if facts.output is not None:
        found += _of_tensor(facts.output, "its result")
    for tensor in facts.inputs:
        found += _of_tensor(tensor, f"its input {tensor.name}")
    for check in _LAYER_CHECKS:
        cause = check(facts)
        if cause is not None:
            found.append(cause)
    return tuple(sorted(found, key=lambda cause: cause.levels))


def explain(facts: LayerFacts) -> str:
    """One sentence on a bad layer: the worst cause, or what can be said where none stands out."""
    causes = causes_of(facts)
    if causes:
        return causes[0].sentence
    out = facts.output
    if out is None:
        return "Nothing is known of its values, so no cause can be named."
    low, high = out.core
    share = out.step / max(high - low, 1e-30)
    words = (
        f"No single cause stands out: 99 % of its values use {out.core_levels:.0f} of 256 levels, "
        f"so each is rounded by up to {share / 2:.1%} of their span"
    )
    if facts.is_score:
        return f"{words}; these are the scores themselves, and classes closer than {out.step:.2g} become equal."
    return f"{words}; what follows is sensitive to that."


def _of_tensor(tensor: TensorFacts, what: str) -> list[Cause]:
    degenerate = _degenerate(tensor, what)
    if degenerate is not None:
        return [degenerate]
    cause = _outlier_channel(tensor, what) or _wide_range(tensor, what)
    return [cause] if cause is not None else []


def _degenerate(tensor: TensorFacts, what: str) -> Cause | None:
    if tensor.repaired:
        low, high = tensor.activation.seen
        return Cause(
            "degenerate range",
            f"The range of {what} is empty ({low:.3g} to {high:.3g} on every calibration image); "
            f"{tensor.low:g} to {tensor.high:g} was used instead, so it is read as zeros.",
            0.0,
        )
    return None


def _outlier_channel(tensor: TensorFacts, what: str) -> Cause | None:
    # From 0, since a range always holds 0 and a constant channel needs its levels too.
    reach = np.maximum(tensor.activation.channel_high, 0) - np.minimum(tensor.activation.channel_low, 0)
    alive = reach > 1e-6 * max(float(reach.max(initial=0)), 1e-30)
    if int(alive.sum()) < 3:
        return None
    worst = int(reach.argmax())
    typical = float(np.median(reach[alive & (np.arange(len(reach)) != worst)]))
    levels = typical / tensor.step
    if reach[worst] < UNLIKE_CHANNELS * typical or levels >= FEW_LEVELS:
        return None
    return Cause(
        "outlier channel",
        f"Channel {worst} of {what} spans {reach[worst]:.4g}, {reach[worst] / typical:.0f} times the median channel "
        f"({typical:.3g}): with one scale for all, the median channel has {levels:.1f} of 256 levels.",
        levels,
    )


def _wide_range(tensor: TensorFacts, what: str) -> Cause | None:
    if tensor.core_levels >= FEW_LEVELS or tensor.is_constant:
        return None
    low, high = tensor.core
    return Cause(
        "wide range",
        f"The range of {what} is {tensor.low:.4g} to {tensor.high:.4g}, but 99 % of the values lie between "
        f"{low:.3g} and {high:.3g}: they share {tensor.core_levels:.0f} of 256 levels.",
        tensor.core_levels,
    )


def _unlike_parts(facts: LayerFacts) -> Cause | None:
    parts = [part for part in facts.inputs if not part.repaired]
    if facts.kind != "concat" or facts.output is None or len(parts) < 2:
        return None
    spans = [max(high, 0.0) - min(low, 0.0) for low, high in (part.activation.seen for part in parts)]
    narrow, wide = int(np.argmin(spans)), int(np.argmax(spans))
    levels = spans[narrow] / facts.output.step
    if spans[wide] < UNLIKE_PARTS * spans[narrow] or levels >= _FEW_PART_LEVELS:
        return None
    return Cause(
        "concat of unlike ranges",
        f"It joins {parts[wide].name}, which spans {spans[wide]:.4g}, and {parts[narrow].name}, which "
        f"spans {spans[narrow]:.3g}, under one scale: the narrow part has {levels:.1f} of 256 levels.",
        levels,
    )


def _outlier_weights(facts: LayerFacts) -> Cause | None:
    """One input channel whose weights set the scale of most output channels."""
    if facts.weight is None or facts.weight.shape[1] < 3:
        return None
    size = np.abs(facts.weight).max(axis=2)  # (out, in)
    size = size[size.any(axis=1)]
    if not len(size):
        return None
    worst = np.bincount(size.argmax(axis=1), minlength=size.shape[1]).argmax()
    led = size[:, worst] >= size.max(axis=1)
    others = np.median(np.delete(size, worst, axis=1), axis=1)
    steps = float(np.median(_STEPS * others[led] / np.maximum(size[led, worst], 1e-30)))
    if led.mean() < 0.5 or steps >= FEW_LEVELS:
        return None
    ratio = _STEPS / max(steps, 1e-9)
    return Cause(
        "outlier channel in the weights",
        f"The weights of input channel {worst} are {ratio:.0f} times those of the median channel in "
        f"{led.mean():.0%} of the output channels and set their scales: the others are left {steps:.1f} of 127 steps.",
        steps,
    )


def _vanishing_weights(facts: LayerFacts) -> Cause | None:
    """An input channel of large values whose small weights all become zero."""
    if facts.weight is None or facts.weight.shape[1] < 3 or len(facts.inputs) != 1:
        return None
    size = np.abs(facts.weight).max(axis=2)  # (out, in)
    activation = facts.inputs[0].activation
    reach = np.maximum(np.abs(activation.channel_low), np.abs(activation.channel_high))
    if len(reach) != size.shape[1]:
        return None
    steps = _STEPS * size / np.maximum(size.max(axis=1, keepdims=True), 1e-30)
    effect = (size * reach).mean(axis=0)
    share = np.where(steps.max(axis=0) < 0.5, effect / max(float(effect.sum()), 1e-30), 0.0)
    worst = int(share.argmax())
    if share[worst] < _MATTERS:
        return None
    return Cause(
        "weights that vanish",
        f"All weights for input channel {worst} are below half a step of their scales and become zero, although that "
        f"channel (up to {reach[worst]:.4g}) makes up about {share[worst]:.0%} of what the layer adds up.",
        float(steps[:, worst].max()),
    )


def _bias(facts: LayerFacts) -> Cause | None:
    """A bias so large that its channel's weight scale had to grow for int32 to hold it."""
    if facts.weight is None or facts.bias is None or len(facts.inputs) != 1:
        return None
    widest = np.abs(facts.weight).reshape(len(facts.weight), -1).max(axis=1)
    needed = np.abs(facts.bias) / (facts.inputs[0].step * MAX_BIAS)
    steps = np.where(needed > widest / _STEPS, widest / np.maximum(needed, 1e-30), _STEPS)
    # A channel of hardly any weight loses nothing by it.
    steps = np.where(widest > 1e-4 * widest.max(), steps, _STEPS)
    worst = int(steps.argmin())
    if steps[worst] >= FEW_LEVELS:
        return None
    return Cause(
        "bias that does not fit",
        f"The bias of channel {worst} ({facts.bias[worst]:.4g}) does not fit into int32 at the scale its weights "
        f"(up to {widest[worst]:.3g}) want: to hold it, the weights are left {steps[worst]:.1f} of 127 steps.",
        float(steps[worst]),
    )


_LAYER_CHECKS: tuple[Callable[[LayerFacts], Cause | None], ...] = (
    _unlike_parts,
    _outlier_weights,
    _vanishing_weights,
    _bias,
)
