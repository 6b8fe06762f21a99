"""What a chain depends on beside its recipe and its data set: who measures, and files that the recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class There:
    """Where the command wants a budget to be held.

    Attributes:
        machine: What a machine elsewhere has said of itself; None for this one.
        place: How that one is reached; "" for this one.
        meter: What measures energy, as `--meter` names it.
    """

    machine: Mapping[str, Any] | None = None
    place: str = ""
    meter: str | None = None


@dataclass(frozen=True)
class Here:
    """The machine, as a search for a budget in time sees it.

    Attributes:
        machine: What times are measured on; None for a budget that is counted.
        layer_times: File of the latency table, which runs share.
        place: How it is reached where it is another one.
    """

    machine: Mapping[str, Any] | None = None
    layer_times: str = ""
    place: str = ""

    @property
    def measures_ships(self) -> bool:
        """Whether what ships is measured otherwise than by this machine's clock alone."""
        return bool(self.place or (self.machine or {}).get("meter"))


@dataclass(frozen=True)
class OwnFiles:
    """What a recipe reads beside the data set: by content, wherever it lies; None where it names nothing.

    Attributes:
        calibration_sha256: Of the images in `quantize.folder`.
        unlabelled_sha256: Of the images in `distill.unlabelled`.
        teacher_sha256: Of the file `distill.teacher`, or of the one that holds the function of this name.
    """

    calibration_sha256: str | None = None
    unlabelled_sha256: str | None = None
    teacher_sha256: str | None = None

    @property
    def taught_from(self) -> dict[str, Any]:
        """What distillation depends on, as a setting of a step."""
        return {"taught_from": {"unlabelled_sha256": self.unlabelled_sha256, "teacher_sha256": self.teacher_sha256}}
