"""Trying ways to quantise: each candidate's INT8 ONNX file is written and looked at on val, and one is taken."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.compress.int8.calibrate import METHODS
from edgeseg.compress.int8.candidate_choice import Choice, Evidence, choose
from edgeseg.compress.int8.candidates import Candidate, Preparation, plain_candidates, prepared_candidates
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.patch import patch_onnx
from edgeseg.pipeline.steps.int8_judge import Judge
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.model_spec import ModelSpec

N_CANDIDATES = len(METHODS) + len(prepared_candidates("minmax"))


@dataclass(frozen=True)
class Trial:
    """How one candidate fared.

    Attributes:
        name: Of the candidate.
        method: Of its ranges.
        network: Whose tensors it quantises.
        status: `ok`, `failed`, or `not applicable` where preparing changes nothing.
        reason: Why it is not `ok`, or was not taken.
        val_dice: Mean foreground Dice on the images scored.
        agreement_with_fp32: Mean foreground Dice between its masks and the FP32 file's, [0, 1].
        dice_drop_vs_best: How far below the best candidate's Dice it is, with its interval; None for the best itself.
        told_apart: Whether that interval excludes zero.
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
    agreement_with_fp32: float | None = None
    dice_drop_vs_best: dict[str, Any] | None = None
    told_apart: bool | None = None
    bytes: int | None = None
    sha256: str | None = None
    wall_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Origin:
    """What every candidate's file is written from.

    Attributes:
        model: The network of the checkpoint.
        source: Its FP32 ONNX file.
        spec: What describes that file.
        work: Folder for files on trial.
    """

    model: nn.Module
    source: Path
    spec: ModelSpec
    work: Path


@dataclass
class Trials:
    """Runs candidates and remembers them.

    Attributes:
        preparation: Makes each candidate's network and plan.
        origin: What files are written from.
        judge: What they are looked at with.
        progress: Called with the share done and a few words.
        done: Trials so far, the simplest first.
        evidence: Of those that could be scored, in the same order.
    """

    preparation: Preparation
    origin: Origin
    judge: Judge
    progress: Callable[[float, str], None]
    done: dict[Candidate, Trial] = field(default_factory=dict)
    evidence: dict[Candidate, Evidence] = field(default_factory=dict)

    def run(self) -> Candidate | None:
        """Try every range method on the plain network, then the chosen one on each prepared network.

        Both times it is `candidate_choice.choose` that chooses.

        Returns:
            The candidate to use, or None if every one failed.
        """
        for candidate in plain_candidates():
            self._try(candidate)
        if not self.evidence:
            return None
        for candidate in prepared_candidates(choose(self.evidence).taken.method):
            self._try(candidate)
        choice = choose(self.evidence)
        self._note(choice)
        return choice.taken

    def _note(self, choice: Choice[Candidate]) -> None:
        """Write into every trial how it was compared."""
        for candidate, drop in choice.drops.items():
            self.done[candidate] = dataclasses.replace(
                self.done[candidate],
                reason=choice.reasons.get(candidate),
                dice_drop_vs_best=None if drop is None else drop.to_json(),
                told_apart=choice.told_apart[candidate],
            )

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
        file, spec = self._write(candidate)
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        # Two methods may lead to the same file: it is scored once.
        equal = next((other for other in self.evidence if self.done[other].sha256 == sha256), None)
        seen = self.judge.look_at(file, spec) if equal is None else self.evidence[equal]
        self.evidence[candidate] = seen
        return {
            "val_dice": seen.dice,
            "agreement_with_fp32": seen.agreement,
            "bytes": len(content),
            "sha256": sha256,
        }

    def _write(self, candidate: Candidate) -> tuple[Path, ModelSpec]:
        origin = self.origin
        network, plan = self.preparation.make(candidate)
        source = origin.source
        if candidate.network != "plain":
            source = origin.work / "fp32.onnx"
            patch_onnx(origin.source, source, origin.model, network)
        file = origin.work / "int8.onnx"
        return file, write_int8_onnx(network, plan, source, origin.spec, file)
