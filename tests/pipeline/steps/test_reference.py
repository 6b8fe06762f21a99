"""The reference: never trained, and in all that costs depend on equal to a trained plain U-Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.reference import ReferenceSection
from edgeseg.pipeline.steps.reference import build_reference
from edgeseg.train.checkpoint import load_checkpoint

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 24, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
train: {batch_size: 4, workers: 0, threads: 1, precision: float32}
teacher: {base: 4, depth: 3, epochs: 1}
reference: {base: 4, depth: 3}
"""


def _graph(file: Path) -> tuple[list[str], list[tuple[str, tuple[int, ...]]]]:
    """Operators in their order, and the type and shape of every constant."""
    graph = onnx.load(str(file)).graph
    constants = [(onnx.TensorProto.DataType.Name(one.data_type), tuple(one.dims)) for one in graph.initializer]
    return [node.op_type for node in graph.node], sorted(constants)


@pytest.mark.slow
def test_its_file_costs_what_the_file_of_a_trained_u_net_does(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    chain = make_chain(load_recipe(tmp_path / "recipe.yaml"), None, tmp_path)
    names, records = ("reference", "teacher"), {}
    for name in names:
        records |= run_chain(chain, no_progress, only=f"{name}_onnx").chain.records
    costs = [{key: records[name]["result"][key] for key in ("params", "macs", "macs_at")} for name in names]
    assert costs[0] == costs[1] and costs[0]["macs_at"] == [64, 64]
    files = [chain.folder(f"{name}_onnx").files / "model.onnx" for name in names]
    assert _graph(files[0]) == _graph(files[1])
    assert files[0].stat().st_size == files[1].stat().st_size and files[0].read_bytes() != files[1].read_bytes()
    built, meta = load_checkpoint(chain.folder("reference").files)
    trained, _ = load_checkpoint(chain.folder("teacher").files)
    assert built.arch == trained.arch and meta["trained"] is False


@pytest.mark.parametrize("outputs", [1, 4])
def test_its_mask_is_background_and_its_weights_are_the_same_in_every_run(outputs: int) -> None:
    """Of all masks the one that takes the least time to make, and nothing that differs from run to run."""
    section = ReferenceSection(base=8, depth=5)
    torch.manual_seed(outputs)
    first, second = (build_reference(section, 1, outputs).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    images = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
    with torch.no_grad():
        for x in (torch.from_numpy(images), torch.ones(1, 1, 64, 64)):
            logits = build_reference(section, 1, outputs)(x)
            seen = logits > 0 if outputs == 1 else logits.argmax(1) > 0
            assert not seen.any()
