"""What the doctor needs of a network, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeseg.compress.int8.causes import LayerFacts
from edgeseg.compress.int8.sensitivity import FloatLayers
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.spec.model_spec import ModelSpec

# A model file and what it eats and returns.
File = tuple[Path, ModelSpec]


@dataclass(frozen=True)
class Repair:
    """An activation whose calibrated range was empty, and what was done about it."""

    layer: str
    tensor: str
    sentence: str


class Patient(Protocol):
    """A network with its float file and a way to write it with any layers in float.

    Attributes:
        name: Short, for titles and file names.
        data: The images; only train and val are looked at.
        float_model: The float file that INT8 is held against.
        float_spec: Its description.
        identity: What determines every score: a hash of the weights, the ranges and the engine.
    """

    name: str
    data: DataSet
    float_model: Path
    float_spec: ModelSpec
    identity: str

    def layers(self) -> tuple[str, ...]:
        """Layers that can be quantised, in the order of execution."""

    def write(self, float_layers: FloatLayers, path: Path) -> ModelSpec:
        """Write the INT8 file with these layers in float, as the runtime can run it."""

    def facts(self, layer: str) -> LayerFacts:
        """Ranges and weights of a layer, for the explanation."""

    def layer_names(self) -> Mapping[str, str]:
        """Layer by every name that ONNX Runtime's profile may call it."""

    def repairs(self) -> tuple[Repair, ...]:
        """Empty ranges that were mended."""

    def notes(self) -> tuple[str, ...]:
        """What else a reader should know about how it was quantised, one sentence each."""

    def advice(self, float_layers: tuple[str, ...]) -> dict[str, Any]:
        """How to keep these layers in float where the network comes from: settings, as JSON."""

    def elsewhere(self, float_layers: FloatLayers, folder: Path) -> Mapping[str, tuple[File, File]]:
        """Float and INT8 files of the same network for engines other than ONNX Runtime, by backend.

        Raises:
            ExportError: If one cannot be written.
        """

    def deliver(self, float_layers: FloatLayers, folder: Path) -> Path | None:
        """Write the INT8 file for the user, where the patient came as a file; else None."""
