"""What an activation looks like inside its quantisation range: how many of the integers its values share."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.compress.int8.statistics import Activation
from edgeseg.compress.int8.thresholds import LEVELS

# Share of the values between the two ends of `core`.
CORE = 0.99


@dataclass(frozen=True)
class TensorFacts:
    """One activation and the range it is quantised with.

    Attributes:
        name: The operation that makes it, as ranges name it, or the ONNX tensor.
        activation: What was seen of it, with a histogram.
        low: Lower end of its quantisation range, 0 at most.
        high: Upper end, 0 at least.
        repaired: Whether the calibrated range was empty, so that `low` and `high` had to be made up.
    """

    name: str
    activation: Activation
    low: float
    high: float
    repaired: bool = False

    @property
    def step(self) -> float:
        """Difference between two neighbouring integers."""
        return max(self.high - self.low, 1e-30) / (LEVELS - 1)

    @property
    def core(self) -> tuple[float, float]:
        """99 % of the values seen lie between these."""
        low, high = self.activation.histogram.middle(CORE)
        least, largest = self.activation.seen
        return max(low, least), min(high, largest)

    @property
    def core_levels(self) -> float:
        """How many of the 256 integers 99 % of the values share."""
        low, high = self.core
        return min((high - low) / self.step + 1, float(LEVELS))

    @property
    def is_constant(self) -> bool:
        """Whether each channel had one single value in all images."""
        return bool((self.activation.channel_low == self.activation.channel_high).all())
