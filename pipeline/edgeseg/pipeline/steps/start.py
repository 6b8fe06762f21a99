"""The network that a training step begins with: fresh, or from the weights that the step is keyed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgeseg.compress.search.narrow import started_network
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.start import StartSection
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.pretrained.weights import Weights


def started(context: StepContext, arch: dict[str, Any]) -> SegmentationNet:
    """A network of this architecture with the step's weights in its encoder, cut to its widths; all else is fresh.

    Args:
        context: Of a step with a setting `start`.
        arch: Of an EfficientUNet, or of a LiteUNet of the weights' own size.

    Raises:
        EdgesegError: If the weights are not to be had, or do not fit.
    """
    weights = weights_of(context)
    return build_model(arch) if weights is None else started_network(arch, weights)


def weights_of(context: StepContext) -> Weights | None:
    """The weights that the step is keyed by; None for a training from scratch.

    Raises:
        EdgesegError: If they are not to be had.
    """
    start = _start(context)
    return None if start is None else start.open(_place(context))


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
    """Most trainings of a search have no such setting: they begin with a trained network."""
    found = context.settings.get("start")
    return None if found is None else context.section("start", StartSection)


def _place(context: StepContext) -> str | None:
    return context.step.places.get("start")
