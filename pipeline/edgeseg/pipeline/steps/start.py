"""The network that a training step begins with: fresh, or from the weights that the step is keyed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgeseg.compress.search.narrow import narrowed, started_arch
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.start import StartSection
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.pretrained.weights import take_weights


def started(context: StepContext, arch: dict[str, Any]) -> SegmentationNet:
    """A network of this architecture with the step's weights in its encoder, cut to its widths; all else is fresh.

    Args:
        context: Of a step with a setting `start`.
        arch: Of an EfficientUNet, or of a LiteUNet of the weights' own size.

    Raises:
        EdgesegError: If the weights are not to be had, or do not fit.
    """
    start = _start(context)
    if start is None:
        return build_model(arch)
    weights = start.open(_place(context))
    arch = started_arch(arch, weights)
    model = build_model(arch)
    take_weights(model, narrowed(weights, arch))
    return model


def start_of(context: StepContext) -> dict[str, Any]:
    """`start`: where the weights come from, for the step's result; nothing for a training from scratch."""
    start = _start(context)
    return {} if start is None else {"start": asdict(start.origin(_place(context)))}


def pretrained(records: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """What the trainings of a run started from, as a bundle and a report say it: `of`, and the fields of `Origin`."""
    origins = {name: records[name]["result"].get("start") for name in ("teacher", "student_alone", "student_distilled")}
    found: list[dict[str, Any]] = []
    for name, origin in origins.items():
        entry = None if origin is None else {"of": name.partition("_")[0], **origin}
        if entry is not None and entry not in found:  # both students start alike
            found.append(entry)
    return tuple(found)


def _start(context: StepContext) -> StartSection | None:
    """A training of a search has no such setting: it begins with a trained network."""
    found = context.settings.get("start")
    return None if found is None else context.section("start", StartSection)


def _place(context: StepContext) -> str | None:
    return context.step.places.get("start")
