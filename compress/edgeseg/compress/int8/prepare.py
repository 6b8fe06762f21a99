"""The network that is quantised, plain or with changed tensors, and the plan that it is quantised by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from edgeseg.compress.int8.bias_correction import correct_bias
from edgeseg.compress.int8.calibrate import Method, derive_ranges
from edgeseg.compress.int8.equalize import Equalized, equalize
from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.compress.int8.statistics import collect_statistics

Network = Literal["plain", "corrected", "equalized", "equalized+corrected"]


@dataclass(frozen=True)
class Prepared:
    """What is quantised.

    Attributes:
        network: Folded; its tensors are changed where it was equalized or corrected.
        plan: Of this network.
        equalized: Which channels were scaled; None where that was not asked for.
    """

    network: nn.Module
    plan: Plan
    equalized: Equalized | None

    def facts(self) -> dict[str, Any]:
        """What equalization did, for the record; None where it was not asked for."""
        if self.equalized is None:
            return {"equalization": None}
        found = self.equalized
        return {
            "equalization": {
                "channels_scaled": found.n_scaled,
                "channels_in_pairs": sum(count for _, count in found.scaled.values()),
                "pairs": {pair: list(counts) for pair, counts in found.scaled.items()},
                "left_out": found.left_out,
            }
        }


def prepare(plain: nn.Module, images: Sequence[np.ndarray], method: Method, network: Network) -> Prepared:
    """Equalize and correct a network as asked, and plan its INT8 numbers.

    Args:
        plain: The folded network. Not modified.
        images: Calibration pixels, uint8 (N, H, W, C).
        method: How ranges are derived.
        network: Whose tensors are quantised.

    Raises:
        ConfigError: If there are fewer than 8 calibration images.
        ExportError: If a value is not finite.
    """
    seen, equalized, changed = collect_statistics(plain, images), None, plain
    if network.startswith("equalized"):
        equalized = equalize(plain, seen)
        changed = equalized.model
        seen = collect_statistics(changed, images)
    plan = make_plan(changed, derive_ranges(seen, method))
    if network.endswith("corrected"):
        # The ranges stay those of the float network: that is what the correction brings the means back to.
        changed = correct_bias(changed, plan, images).model
    return Prepared(changed, plan, equalized)
