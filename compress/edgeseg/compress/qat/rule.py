"""What one kind of INT8 file rounds: what a network that is trained for it has to round as well.

The writers in `export` say it operator by operator; a test holds both against each other, answer for answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """The rounding of one target's file.

    Attributes:
        symmetric: Integers are signed with zero point 0; else there is a zero point.
        results: What layers return is rounded, the scores among it. Else only what they read is: of an addition the
            skip alone, and all parts of a concatenation by one scale (see `concat`).
        min_channels: Convolutions with fewer input or output channels stay in float.
        min_pixel_channels: Convolutions of an image with fewer channels stay in float.
    """

    symmetric: bool
    results: bool
    min_channels: int = 1
    min_pixel_channels: int = 1


RULES: dict[str, Rule] = {
    "x86-ort": Rule(symmetric=False, results=True),
    "x86-litert": Rule(symmetric=False, results=True, min_pixel_channels=4),
    "arm64-ort": Rule(symmetric=True, results=False, min_channels=16),
}
