"""Scores of a file are made once, and again where anything that its masks depend on is another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgeseg.pipeline.target.scored import ScoredFiles
from edgeseg.runtime.input_spec import Geometry, InputSpec
from edgeseg.runtime.model_spec import ModelSpec, OutputSpec
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.image_score import ImageScore, score_image

SPEC = ModelSpec(
    backend="onnxruntime",
    precision="fp32",
    input=InputSpec("gray", Geometry("resize", 64, 96), 16),
    output=OutputSpec("scores", 1, "NCHW", "float32", activation="softmax"),
    classes=("background", "pit"),
)


def scores(pixels: int) -> list[ImageScore]:
    mask = np.zeros((8, 8), np.uint8)
    mask.ravel()[:pixels] = 1
    return [score_image(mask, np.ones((8, 8), np.uint8), 2, stem="one", group="one")]


class Store:
    """Counts what is made: other scores every time."""

    def __init__(self, root: Path) -> None:
        self.root, self.n_made = root, 0

    def __call__(self, file: Path, spec: ModelSpec = SPEC, split: str = "val", made_by: str = "here") -> int:
        def make() -> list[ImageScore]:
            self.n_made += 1
            return scores(self.n_made)

        (found,) = ScoredFiles(self.root / "scored", [made_by]).find(file, spec, split, make)
        return int(found.tp.sum())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    return tmp_path / "model.onnx"


def test_a_file_is_scored_once_wherever_it_lies(tmp_path: Path, file: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "copy.onnx").write_bytes(file.read_bytes())
    wider = dataclasses.replace(SPEC, input=dataclasses.replace(SPEC.input, stride_px=32))  # 64 x 96 as before
    assert [store(file), store(file), store(tmp_path / "copy.onnx"), store(file, wider)] == [1] * 4


def test_what_masks_depend_on_is_told_apart(tmp_path: Path, file: Path) -> None:
    store = Store(tmp_path)
    padded = dataclasses.replace(SPEC, input=dataclasses.replace(SPEC.input, stride_px=64))  # 64 x 128
    decided = dataclasses.replace(SPEC, decision=dataclasses.replace(SPEC.decision, value=0.8))
    found = [store(file), store(file, padded), store(file, decided), store(file, split="test"), store(file, made_by="")]
    file.write_bytes(b"other weights")
    assert [*found, store(file)] == [1, 2, 3, 4, 5, 6]


def test_damaged_scores_are_made_again_and_others_are_taken_over(tmp_path: Path, file: Path) -> None:
    store = Store(tmp_path)
    store(file)
    (kept,) = (tmp_path / "scored").iterdir()
    kept.write_text(kept.read_text()[:40])
    assert store(file) == 2
    save_scores(tmp_path / "chain.json", scores(50))
    ScoredFiles(tmp_path / "scored", ["here"]).take_over(file, SPEC, "test", tmp_path / "chain.json")
    assert store(file, split="test") == 50 and store.n_made == 2
