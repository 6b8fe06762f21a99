"""What every part of a search works with: the recipe, the target, the journal, and what networks cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.compress.search.budget import Budget, Miss
from edgeseg.compress.search.predictor import Figures, Predictor, macs, weights
from edgeseg.compress.search.probe import Measurement, Probe
from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.journal import Journal
from edgeseg.runtime.errors import BackendError, ExportError, GateError
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.train.models import SegmentationNet

# A network and a name for its files -> its scores on val, through the file that would ship.
Scorer = Callable[[str, SegmentationNet], list[ImageScore]]


@dataclass
class Lab:
    """The place and the tools of one search.

    Attributes:
        recipe: Checked settings.
        data_root: Folder of the data set.
        split_file: Where a split made by us is written down.
        data_key: Identity of images and split.
        probe: The target.
        budget: On that target.
        ceilings: The budget as largest allowed values by name.
        journal: What is done.
        predictor: Of candidates' cost.
        score: Scores networks on val.
        progress: Told what is done, how far, in a few words.
        calibration_sha256: Identity of the images in `quantize.folder`, where the recipe names one.
        taught_from: What distillation depends on beside the recipe.
        yardstick_ms: What `yardstick.Yardstick` took beside the reference, where candidates are timed beside it.
        around_ms: Pre- and post-processing of a trained network [ms], or None to take each network's own. How long the
            mask takes depends on what is in it, and that of a network which is not yet trained again is noise.
        evidence: What the target's numbers are: `device`, `emulated` or `replayed`.
        sensor: What measures energy there, where the budget limits it.
    """

    recipe: Recipe
    data_root: Path
    split_file: Path
    data_key: str
    probe: Probe
    budget: Budget
    ceilings: dict[str, float]
    journal: Journal
    predictor: Predictor
    score: Scorer
    progress: ChainProgress
    calibration_sha256: str | None = None
    taught_from: Mapping[str, Any] = field(default_factory=dict)
    yardstick_ms: float | None = None
    around_ms: float | None = None
    evidence: str = "device"
    sensor: Mapping[str, Any] | None = None

    @property
    def aims(self) -> dict[str, float]:
        """The ceilings less the margin that keeps noise from breaking them; MACs are counted, and have none."""
        kept = 1.0 - self.recipe.fit.margin
        return {name: limit if name == "macs" else limit * kept for name, limit in self.ceilings.items()}

    def measure(self, model: SegmentationNet) -> Figures:
        """Cost of a whole network on the target; measured once per architecture, since weights change the mask alone.

        Raises:
            MeasureError: If the target has disappeared; everything measured before is kept.
        """
        name = digest(model.arch)[:16]
        layers = self.predictor.layers(model.arch)
        known = {"macs": macs(layers), "params": sum(p.numel() for p in model.parameters())}

        settings = {
            "arch": model.arch,
            "target": self.probe.identity,
            "geometry": self.recipe.to_json()["geometry"],
            "data": self.data_key,
            "yardstick_ms": self.yardstick_ms,
            "limits": sorted(self.ceilings),
            "version": 5,
        } | ({"sensor": self.sensor} if self.sensor else {})
        take = lambda: self._take(model)  # noqa: E731
        found: Figures = self.journal.find("measurements", name, settings, take, self.was_measured)
        total, infer = found["total_ms"], found["infer_ms"]
        latency = total if self.around_ms is None or infer is None else infer + self.around_ms
        return known | found | {"latency_ms": latency, "weights": weights(layers)}

    def _take(self, model: SegmentationNet) -> Figures:
        """What the budget asks for and no more: a limit in MACs alone measures nothing."""
        if self.budget.is_timed:
            self.progress("measure", 0.5, f"a whole network on {self.probe.target}")
            return asdict(self.probe.measure(model))
        figures = asdict(Measurement(None, None, None, None))
        if "bytes" not in self.ceilings:
            return figures
        self.progress("measure", 0.5, f"the size of a file for {self.probe.target}")
        try:
            return figures | {"bytes": self.probe.size(model)}
        except (ExportError, BackendError) as err:
            return figures | {"reason": str(err)}

    def was_measured(self, figures: Figures) -> bool:
        """Whether there is what was asked for.

        A process killed for want of memory, and a meter that was silent, are no facts about a network, to keep.
        """
        if "energy_mj" in self.ceilings:
            return figures.get("energy_mj") is not None
        return figures.get("total_ms") is not None or figures.get("reason") is None

    def learn(self, model_arch: dict[str, Any], figures: Figures) -> None:
        """Let the next prediction follow a measurement."""
        self.predictor.learn(model_arch, figures)


def missed_words(missed: Sequence[Miss], figures: Figures) -> list[str]:
    """Limits that do not hold, each with why it was not measured where it was not."""
    return [f"{one} ({figures.get('reason')})" if one.found is None else str(one) for one in missed]


class BudgetError(GateError):
    """No network of this search holds the budget; carries the best that was reached."""

    def __init__(self, message: str, best: Figures) -> None:
        super().__init__(message)
        self.best = best


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value, hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
