"""Anybody's TensorFlow Lite file made one that our runtime runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeseg.export.adopt.entry import Entry, entries, first_that_runs
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.scores import Foreign, find_scores, masks_of_images, spec_of
from edgeseg.export.adopt.step import StepModel
from edgeseg.export.adopt.tflite.network import TfliteNetwork, strange_operators
from edgeseg.export.adopt.tflite.pixels import check_range, with_pixels
from edgeseg.export.foreign.outputs import with_output
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.backends.litert import import_interpreter
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.errors import ConfigError


def adopt_tflite(path: Path, data: DataSet, feeding: Feeding, output: str = "") -> StepModel:
    """Read a foreign file and find out how to run it.

    Args:
        path: The file.
        data: Images and masks.
        feeding: What it eats.
        output: The tensor that holds its answer; "" for its only output.

    Raises:
        ConfigError: If it is no segmentation network of one image input, or does not fit the data.
        BackendError: If no interpreter is installed.
    """
    _, engine = import_interpreter()
    network = TfliteNetwork(path)
    whole = with_output(network.graph, output, path.name)
    choices = entries(whole, feeding, data.color, path.name)
    if choices[0].batch not in (None, 1):
        raise ConfigError(f"{path.name} is made for a batch of {choices[0].batch}. Convert it with a batch of 1.")

    def attempt(entry: Entry, image: np.ndarray) -> None:
        network.run({entry.name: image}, [str(whole.graph.output[0].name)])

    entry = first_that_runs(choices, attempt, feeding, f"{engine} cannot run {path.name}")
    feeding = replace(feeding, size_px=(entry.height_px, entry.width_px), dtype=entry.dtype)
    check_range(network, entry.name, feeding, path.name)
    foreign = Foreign(path, whole, network.run, entry, feeding, data)
    scores = find_scores(foreign)
    spec = spec_of(foreign, scores)
    masks = masks_of_images(foreign, scores, spec)
    content, spec = with_pixels(network, foreign, scores, spec)
    return StepModel(content, spec, foreign, scores, tuple(masks), strange_operators(flatbuffer.read(content)))
