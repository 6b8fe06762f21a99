"""What is tried for INT8: five range methods on the plain network, then one of them on prepared networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from edgeseg.compress.int8.bias_correction import Corrected, correct_bias
from edgeseg.compress.int8.calibrate import METHODS, Method, derive_ranges
from edgeseg.compress.int8.equalize import Equalized, equalize
from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.compress.int8.statistics import Statistics, collect_statistics

Network = Literal["plain", "corrected", "equalized", "equalized+corrected"]


@dataclass(frozen=True)
class Candidate:
    """One way to quantise.

    Attributes:
        method: How ranges are derived.
        network: Whose tensors are quantised.
    """

    method: Method
    network: Network = "plain"

    @property
    def name(self) -> str:
        """Such as `minmax` or `mse, equalized`."""
        return self.method if self.network == "plain" else f"{self.method}, {self.network}"

    @property
    def equalized(self) -> bool:
        """Whether channels were scaled between layers."""
        return self.network.startswith("equalized")

    @property
    def corrected(self) -> bool:
        """Whether biases were corrected."""
        return self.network.endswith("corrected")


def plain_candidates() -> list[Candidate]:
    """Every range method on the plain network, the simplest first."""
    return [Candidate(method) for method in METHODS]


def prepared_candidates(method: Method) -> list[Candidate]:
    """One range method on every prepared network, the simplest first."""
    return [Candidate(method, network) for network in ("corrected", "equalized", "equalized+corrected")]


class Preparation:
    """Makes the network and the plan of each candidate; what several need is made once.

    Args:
        plain: The folded network. Not modified.
        images: Calibration pixels, uint8 (N, H, W, C).
    """

    def __init__(self, plain: nn.Module, images: Sequence[np.ndarray]) -> None:
        self.plain = plain
        self._images = images
        self._statistics: dict[bool, Statistics] = {}
        self._equalized: Equalized | None = None
        self._corrected: dict[Candidate, Corrected] = {}

    def equalized(self) -> Equalized:
        """The equalized network and which channels were scaled."""
        if self._equalized is None:
            self._equalized = equalize(self.plain, self.statistics(equalized=False))
        return self._equalized

    def statistics(self, *, equalized: bool) -> Statistics:
        """What one pass over the calibration images saw of the network."""
        if equalized not in self._statistics:
            network = self.equalized().model if equalized else self.plain
            self._statistics[equalized] = collect_statistics(network, self._images)
        return self._statistics[equalized]

    def make(self, candidate: Candidate) -> tuple[nn.Module, Plan]:
        """The folded network that a candidate quantises, and with which plan.

        Raises:
            ConfigError: If there are fewer than 8 calibration images.
            ExportError: If a value is not finite.
        """
        network = self.equalized().model if candidate.equalized else self.plain
        ranges = derive_ranges(self.statistics(equalized=candidate.equalized), candidate.method)
        plan = make_plan(network, ranges)
        if candidate.corrected:
            # The ranges stay those of the float network: that is what the correction brings the means back to.
            if candidate not in self._corrected:
                self._corrected[candidate] = correct_bias(network, plan, self._images)
            network = self._corrected[candidate].model
        return network, plan

    def applies(self, candidate: Candidate) -> bool:
        """Whether a candidate differs from the same method on the plain network."""
        return not candidate.equalized or self.equalized().n_scaled > 0

    def facts(self) -> dict[str, Any]:
        """What equalization did, for the record; None where it was not asked for."""
        if self._equalized is None:
            return {"equalization": None}
        found = self._equalized
        total = sum(count for _, count in found.scaled.values())
        return {
            "equalization": {
                "channels_scaled": found.n_scaled,
                "channels_in_pairs": total,
                "pairs": {pair: list(counts) for pair, counts in found.scaled.items()},
                "left_out": found.left_out,
            }
        }
