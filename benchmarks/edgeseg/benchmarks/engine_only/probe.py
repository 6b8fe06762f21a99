"""What a foreign file takes, asked in a fresh process: it may crash its engine, and the parent stays without one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.engine_only.engines import open_file
from edgeseg.benchmarks.engine_only.tensors import Tensor
from edgeseg.benchmarks.process.events import failure
from edgeseg.benchmarks.process.launch import WorkerDied, run_worker

_COMMAND = (sys.executable, "-m", "edgeseg.benchmarks.engine_only.probe")


@dataclass(frozen=True)
class _Question:
    model: Path
    backend: str
    timeout_s: float

    def to_json(self) -> dict[str, Any]:
        return {"model": str(self.model), "backend": self.backend}


def ask_inputs(model: Path, backend: str, timeout_s: float) -> tuple[Tensor, ...] | None:
    """The inputs of a file, or None where its engine cannot open it: measuring it will say why.

    Args:
        model: The file.
        backend: Its engine.
        timeout_s: A process silent for longer is ended [s].
    """
    try:
        reply = run_worker(_Question(model, backend, timeout_s), lambda _name: None, _COMMAND)
    except WorkerDied:
        return None
    return tuple(Tensor.from_json(one) for one in reply["inputs"]) if "inputs" in reply else None


def main() -> int:
    """Read the question from stdin and write the answer to stdout."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # an engine's printf must not end up in the JSON
        question = json.load(sys.stdin)
        try:
            file = open_file(Path(question["model"]), question["backend"], threads=1)
            json.dump({"inputs": [tensor.to_json() for tensor in file.inputs()]}, answer)
            file.close()
        except Exception as error:  # any fault of a foreign file is an answer
            json.dump(failure(error), answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
