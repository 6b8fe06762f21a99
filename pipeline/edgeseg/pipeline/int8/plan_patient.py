"""A network of our own as a patient: what a run has accepted, from its FP32 file and ranges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from edgeseg.compress.calibration.folder import ImageFolder, recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.int8.calibrate import MIN_WIDTH
from edgeseg.compress.int8.causes import LayerFacts
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.layers import int8_layers, kernel_of
from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.compress.int8.sensitivity import FloatLayers
from edgeseg.compress.int8.statistics import Statistics, collect_statistics
from edgeseg.compress.int8.tensor_facts import TensorFacts
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.formats import Origin, write_quantised
from edgeseg.export.onnx.qdq import operations_of
from edgeseg.pipeline.int8.patient import File, Repair
from edgeseg.pipeline.int8.run_files import RunFiles, read_run
from edgeseg.pipeline.plan.layout import QAT
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.spec.model_spec import ModelSpec

_LOOKED_AT = 12  # calibration images whose activations are looked at for the explanations


class PlanPatient:
    """See `patient.Patient`.

    Args:
        name: The recipe's name.
        files: What `read_run` found.
        data: The run's data set.
        folder: The recipe's own calibration images, or None where ranges were taken on training images.
    """

    def __init__(self, name: str, files: RunFiles, data: DataSet, folder: ImageFolder | None = None) -> None:
        self.name, self.data, self._folder = name, data, folder
        self._files = files
        self.float_model, self.float_spec = files.source, files.spec
        self._net = DeployGraph(files.model).net
        self._layers = {layer.name: layer for layer in int8_layers(self._net)}
        self._plan: Plan = make_plan(fold_batch_norm(files.model), files.ranges)
        self._stats: Statistics | None = None
        text = json.dumps([files.ranges.to_json(), files.spec.to_json(), onnxruntime.__version__], sort_keys=True)
        self.identity = hashlib.sha256(files.source.read_bytes() + text.encode()).hexdigest()

    @classmethod
    def open(cls, recipe: Recipe, root: Path, data: DataSet) -> PlanPatient:
        """Open the run of a recipe.

        Args:
            recipe: Checked settings.
            root: The run's folder.
            data: Its data set.

        Raises:
            ConfigError: If a step has not been run, or the recipe's calibration folder cannot be used.
        """
        folder = recipe_folder(data, recipe.quantize.folder)
        return cls(recipe.name, read_run(root, recipe.name, qat=recipe.quantize.qat is not None), data, folder)

    def layers(self) -> tuple[str, ...]:
        """Convolutions with their activations, additions, concatenations, resizes and poolings."""
        return tuple(self._layers)

    def write(self, float_layers: FloatLayers, path: Path) -> ModelSpec:
        """Write the x86 file: u8 activations, s8 weights."""
        files = self._files
        plan = Plan(self._plan.ranges, self._plan.shared, self._paths(float_layers))
        return write_quantised("onnx", Origin(files.model, plan, files.source, files.spec), path)[0]

    def facts(self, layer: str) -> LayerFacts:
        """Ranges from the plan, values from a few calibration images, weights with batch norm and scaling folded."""
        its = self._layers[layer]
        weight, bias = kernel_of(self._net, its)
        inputs = tuple(self._tensor(key) for key in its.reads if key in self._observed().activations)
        last = layer == self.layers()[-1]
        return LayerFacts(layer, its.kind, inputs, self._tensor(its.makes), weight, bias, last)

    def layer_names(self) -> Mapping[str, str]:
        """Layers by node and tensor names of the FP32 file, which the INT8 file keeps."""
        of_key = {key: layer.name for layer in self._layers.values() for key in layer.keys}
        operations = operations_of(self._files.model, self._files.source, self._files.spec)
        names: dict[str, str] = {}
        for node in onnx.load(self._files.source).graph.node:
            found = next((of_key[key] for key in operations.get(node.output[0], ()) if key in of_key), None)
            if found is not None:
                names |= {node.output[0]: found} | ({node.name: found} if node.name else {})
        return names

    def repairs(self) -> tuple[Repair, ...]:
        """Empty ranges, which `Plan.range_of` replaces."""
        found = []
        for layer in self._layers.values():
            if self._is_empty(layer.makes):
                low, high = self._files.ranges.of(layer.makes)
                put = self._plan.range_of(layer.makes)
                found.append(
                    Repair(
                        layer.name,
                        layer.makes,
                        f"{layer.makes} was {low:.3g} to {high:.3g} on every calibration image: the layer carries "
                        f"nothing. Its range was set to {put[0]:g} to {put[1]:g}, which reads it as zeros.",
                    )
                )
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        """How the ranges were taken."""
        ranges = self._files.ranges
        kind = "images of quantize.folder" if self._files.from_folder else "training images"
        taken = f"Ranges: {ranges.method}, {ranges.n_images} {kind}, from the step ranges."
        trained = f"The network is that of the step {QAT}, trained for INT8."
        return (taken, trained) if self._files.is_trained_for else (taken,)

    def advice(self, float_layers: tuple[str, ...]) -> dict[str, Any]:
        """Module paths for the recipe's `quantize.float_paths`."""
        return {"quantize": {"float_paths": list(self._paths(frozenset(float_layers)))}}

    def elsewhere(self, float_layers: FloatLayers, folder: Path) -> dict[str, tuple[File, File]]:
        """The TFLite pair from the same plan, where the run has its FP32 file."""
        files = self._files
        if files.tflite is None:
            return {}
        plan = Plan(self._plan.ranges, self._plan.shared, self._paths(float_layers))
        path = folder / "candidate.tflite"
        return {
            "litert": (
                files.tflite,
                (path, write_quantised("tflite", Origin(files.model, plan, *files.tflite), path)[0]),
            )
        }

    def deliver(self, float_layers: FloatLayers, folder: Path) -> Path | None:  # noqa: ARG002
        """Nothing: the run's own steps write its files once the recipe has the paths."""
        return None

    def _paths(self, float_layers: FloatLayers) -> tuple[str, ...]:
        return tuple(key for layer in self._layers.values() if layer.name in float_layers for key in layer.keys)

    def _is_empty(self, key: str) -> bool:
        low, high = self._files.ranges.of(key)
        return max(high, 0.0) - min(low, 0.0) < MIN_WIDTH

    def _tensor(self, key: str) -> TensorFacts:
        low, high = self._plan.range_of(key)
        return TensorFacts(key, self._observed().of(key), low, high, self._is_empty(key))

    def _images(self) -> Iterable[np.ndarray]:
        spec = self._files.spec.input
        return calibration_tensors(self.data, draw_images(self.data, self._folder, _LOOKED_AT, 0, spec).images, spec)

    def _observed(self) -> Statistics:
        if self._stats is None:
            self._stats = collect_statistics(self._net, self._images(), divisor=1)
        return self._stats
