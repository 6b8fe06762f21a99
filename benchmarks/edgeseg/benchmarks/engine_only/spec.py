"""How a foreign file is timed: engine, inputs of known size, and where their values come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.benchmarks.engine_only.tensors import Tensor, Values


@dataclass(frozen=True)
class EngineSpec:
    """Stands where a pipeline has its `ModelSpec`.

    Attributes:
        backend: Name of the engine.
        inputs: What the file takes, every size known; empty where the file could not be asked.
        values: `random` (seeded) or `zeros`.
        precision: None: a foreign file does not say.
    """

    backend: str
    inputs: tuple[Tensor, ...]
    values: Values = "random"
    precision: None = None

    @property
    def words(self) -> str:
        """Such as `x float32 1x3x224x224 (random)`."""
        return f"{', '.join(tensor.words for tensor in self.inputs) or 'nothing'} ({self.values})"

    @property
    def n_values(self) -> int:
        """Numbers that one inference eats."""
        return sum(math.prod(int(size) for size in tensor.shape) for tensor in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        inputs = [tensor.to_json() for tensor in self.inputs]
        return {"backend": self.backend, "inputs": inputs, "values": self.values}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> EngineSpec:
        """Read what `to_json` wrote."""
        return cls(str(obj["backend"]), tuple(Tensor.from_json(one) for one in obj["inputs"]), obj["values"])
