"""Trying ways to quantise: each candidate's INT8 ONNX file is written and scored on val, and the best is kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.compress.calibrate import METHODS
from edgeseg.compress.candidates import Candidate, Preparation, plain_candidates, prepared_candidates
from edgeseg.export.patch import patch_onnx
from edgeseg.export.qdq import write_int8_onnx
from edgeseg.runtime.dataset import DataSet, Sample
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.evaluate import evaluate
from edgeseg.runtime.metrics import summarize
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.segmenter import Segmenter

# Dice that differs by less than this (0.01 point) counts as equal: the simpler candidate is taken.
TIE = 1e-4
N_CANDIDATES = len(METHODS) + len(prepared_candidates("minmax"))


@dataclass(frozen=True)
class Trial:
    """How one candidate fared.

    Attributes:
        name: Of the candidate.
        method: Of its ranges.
        network: Whose tensors it quantises.
        status: `ok`, `failed`, or `not applicable` where preparing changes nothing.
        reason: Why it is not `ok`.
        val_dice: Mean foreground Dice on the images scored.
        bytes: Of the file.
        sha256: Of the file.
        wall_s: Preparing, writing and scoring [s].
    """

    name: str
    method: str
    network: str
    status: str = "ok"
    reason: str | None = None
    val_dice: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    wall_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Judge:
    """What every candidate is written from and scored on.

    Attributes:
        model: The network of the checkpoint.
        source: Its FP32 ONNX file.
        spec: What describes that file.
        data: For its classes.
        samples: Of the val split.
        work: Folder for files on trial.
        threads: Of the engine.
    """

    model: nn.Module
    source: Path
    spec: ModelSpec
    data: DataSet
    samples: Sequence[Sample]
    work: Path
    threads: int

    def dice(self, file: Path, spec: ModelSpec) -> float:
        """Mean foreground Dice of a file on the samples, through the Segmenter; -1 if no class is there."""
        with Segmenter.from_file(file, spec, self.threads) as segmenter:
            scores = evaluate(segmenter, self.samples, self.data.classes, color=self.data.color)
        mean: Any = summarize(scores, self.data.classes)["dice_mean"]
        return -1.0 if mean is None else float(mean)


@dataclass
class Trials:
    """Runs candidates and remembers them.

    Attributes:
        preparation: Makes each candidate's network and plan.
        judge: What they are scored on.
        progress: Called with the share done and a few words.
        done: Trials so far, the simplest first.
    """

    preparation: Preparation
    judge: Judge
    progress: Callable[[float, str], None]
    done: dict[Candidate, Trial] = field(default_factory=dict)

    def run(self) -> Candidate | None:
        """Try every range method on the plain network, then the best one on each prepared network.

        Returns:
            The best candidate, or None if every one failed.
        """
        for candidate in plain_candidates():
            self._try(candidate)
        best = self.best()
        if best is None:
            return None
        for candidate in prepared_candidates(best.method):
            self._try(candidate)
        return self.best()

    def best(self) -> Candidate | None:
        """The candidate of highest Dice; of those within `TIE` of it, the simplest."""
        scored = {candidate: trial.val_dice for candidate, trial in self.done.items() if trial.val_dice is not None}
        if not scored:
            return None
        least = max(scored.values()) - TIE
        return next(candidate for candidate, dice in scored.items() if dice >= least)

    def _try(self, candidate: Candidate) -> None:
        self.progress(len(self.done) / N_CANDIDATES, f"INT8: {candidate.name}")
        start = time.monotonic()
        blank = Trial(candidate.name, candidate.method, candidate.network)
        try:
            if not self.preparation.applies(candidate):
                why = "no channel can be scaled without changing the function"
                found = {"status": "not applicable", "reason": why}
            else:
                found = self._score(candidate)
        except EdgesegError as err:
            found = {"status": "failed", "reason": str(err)}
        self.done[candidate] = Trial(**(asdict(blank) | found | {"wall_s": round(time.monotonic() - start, 2)}))

    def _score(self, candidate: Candidate) -> dict[str, Any]:
        judge = self.judge
        network, plan = self.preparation.make(candidate)
        source = judge.source
        if candidate.network != "plain":
            source = judge.work / "fp32.onnx"
            patch_onnx(judge.source, source, judge.model, network)
        file = judge.work / "int8.onnx"
        spec = write_int8_onnx(network, plan, source, judge.spec, file)
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        # Two methods may lead to the same file: it is scored once.
        known = next((trial.val_dice for trial in self.done.values() if trial.sha256 == sha256), None)
        dice = judge.dice(file, spec) if known is None else known
        return {"val_dice": dice, "bytes": len(content), "sha256": sha256}
