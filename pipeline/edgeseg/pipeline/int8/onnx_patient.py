"""Anybody's ONNX file as a patient, quantised with ONNX Runtime's own tool, so that its user can do the same."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgeseg.compress.calibration.folder import ImageFolder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.int8.calibrate import MIN_WIDTH
from edgeseg.compress.int8.causes import LayerFacts
from edgeseg.compress.int8.sensitivity import FloatLayers
from edgeseg.compress.int8.statistics import Statistics
from edgeseg.compress.int8.tensor_facts import TensorFacts
from edgeseg.export.adopt.adopt import adopt
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.pixels import with_pixels
from edgeseg.export.foreign.cut import rejoin
from edgeseg.export.onnx.layers import LAYER_TYPES, kernel_of, onnx_layers, pixel_arithmetic
from edgeseg.pipeline.int8.delivered import MODEL, delivered_place
from edgeseg.pipeline.int8.patient import File, Repair
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import replacing, write_bytes, write_json
from edgeseg.runtime.opening.step_folder import SPEC
from edgeseg.runtime.spec.model_spec import ModelSpec

_CALIBRATED_ON = 32
# Where a range is empty, this one is given: the tensor is then read as (nearly) zero instead of by a made-up scale.
_PUT = (0.0, 1.0)


class OnnxPatient:
    """See `patient.Patient`.

    Args:
        path: A float ONNX file.
        data: Images and masks.
        feeding: What the file eats.
        work: Folder for files in between.
        folder: Images to calibrate on, or None for training images.
        output: The tensor that holds its answer; "" for its only output.

    Attributes:
        as_step: Deliver a step's folder: the file is one of ours, with pixels in and scores out.
    """

    def __init__(
        self,
        path: Path,
        data: DataSet,
        feeding: Feeding,
        work: Path,
        folder: ImageFolder | None = None,
        output: str = "",
    ) -> None:
        self.name, self.data = path.stem, data
        self.as_step = False
        self._adopted = adopt(path, data, feeding, output)
        self._work = work
        work.mkdir(parents=True, exist_ok=True)
        self._drawn = draw_images(data, folder, _CALIBRATED_ON, 0, self._adopted.spec.input)
        self.float_spec: ModelSpec = self._adopted.spec
        self.float_model = work / "float.onnx"
        write_bytes(self.float_model, with_pixels(self._adopted.model, self._adopted).SerializeToString())
        self._prepared = work / "prepared.onnx"
        self._graph = self._prepare()
        self._layers = {layer.name: layer for layer in onnx_layers(self._graph)}
        self._constants = {one.name: numpy_helper.to_array(one) for one in self._graph.graph.initializer}
        self._stats = self._observe()
        pixels: list[Any] = [data.color, data.classes, self._drawn.stems, self._drawn.contents]
        pixels += [data.window] if data.window else []
        text = json.dumps([repr(feeding), pixels, ort.__version__])
        self.identity = hashlib.sha256(self._prepared.read_bytes() + text.encode()).hexdigest()
        self._cache = work / f"calibration-{self.identity[:16]}.json"

    def layers(self) -> tuple[str, ...]:
        """Operators that ONNX Runtime computes in integers, each with the activation behind it."""
        return tuple(self._layers)

    def write(self, float_layers: FloatLayers, path: Path) -> ModelSpec:
        """Quantise, and put the pixels' arithmetic in front."""
        quantised = self._quantise(float_layers, self._work / "quantised.onnx")
        write_bytes(path, with_pixels(quantised, self._adopted).SerializeToString())
        return replace(self._adopted.spec, precision="int8")

    def facts(self, layer: str) -> LayerFacts:
        """Ranges and values from the calibration images, weights from the file."""
        its = self._layers[layer]
        weight, bias = kernel_of(its.head, self._constants)
        inputs = tuple(self._tensor(name) for name in its.reads if name in self._stats.activations)
        output = self._tensor(its.makes) if its.makes in self._stats.activations else None
        return LayerFacts(layer, its.kind, inputs, output, weight, bias, its.makes == self._graph.graph.output[0].name)

    def layer_names(self) -> Mapping[str, str]:
        """Layers by node and tensor names."""
        return {
            name: layer.name
            for layer in self._layers.values()
            for node in layer.nodes
            for name in (node.name, *node.output)
        }

    def repairs(self) -> tuple[Repair, ...]:
        """Empty ranges, which were given one."""
        makers = {name: layer.name for layer in self._layers.values() for node in layer.nodes for name in node.output}
        found = []
        for name in self._empty():
            low, high = self._stats.of(name).seen
            words = (
                f"{name} was {low:.3g} to {high:.3g} on every calibration image: it carries nothing, and its scale "
                f"would be made up. Its range was set to {_PUT[0]:g} to {_PUT[1]:g} by TensorQuantOverrides."
            )
            found.append(Repair(makers.get(name, name), name, words))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        """How it was quantised and fed."""
        feeding, geometry = self._adopted.feeding, self._adopted.spec.input.geometry
        return (
            f"Quantised by onnxruntime {ort.__version__}: quant_pre_process, then quantize_static (QDQ, u8 "
            f"activations, s8 weights per channel, min-max over {self._drawn.words}).",
            *self._adopted.notes,
            *(["What was cut stays in float, and is in the INT8 file again."] if self._adopted.ending.steps else []),
            f"Fed with {feeding.words} at "
            f"{geometry.height_px}x{geometry.width_px}, scaled linearly. Both files were timed with this arithmetic in "
            "front of them.",
        )

    def advice(self, float_layers: tuple[str, ...]) -> dict[str, Any]:
        """Arguments of `quantize_static` for the user's own script."""
        settings: dict[str, Any] = {
            "quant_format": "QDQ",
            "activation_type": "QUInt8",
            "weight_type": "QInt8",
            "per_channel": True,
            "op_types_to_quantize": sorted(LAYER_TYPES & {node.op_type for node in self._graph.graph.node}),
            "nodes_to_exclude": self._excluded(frozenset(float_layers))
            + [str(step.node.name) for step in self._adopted.ending.steps if step.kind in LAYER_TYPES],
        }
        if self._empty():
            settings["extra_options"] = {"TensorQuantOverrides": self._overrides(json_able=True)}
        return {"quantize_static": settings, "calibration_images": self._drawn.stems}

    def elsewhere(self, float_layers: FloatLayers, folder: Path) -> dict[str, tuple[File, File]]:  # noqa: ARG002
        """Nothing: an ONNX file is for ONNX Runtime."""
        return {}

    def deliver(self, float_layers: FloatLayers, folder: Path) -> Path:
        """The INT8 file with the inputs and the output of the file it came from, or a step's folder of it."""
        path = delivered_place(folder, self.name, as_step=self.as_step)
        if self.as_step:
            write_json(path / SPEC, self.write(float_layers, path / MODEL).to_json())
            return path
        quantised = self._quantise(float_layers, self._work / "quantised.onnx")
        adopted = self._adopted
        whole = rejoin(quantised, adopted.whole, adopted.whole.graph.output[0].name)
        write_bytes(path, whole.SerializeToString())
        return path

    def _prepare(self) -> onnx.ModelProto:
        """Constants and batch norm folded, shapes inferred: what ONNX Runtime asks for before quantising."""
        source = self._work / "named.onnx"
        write_bytes(source, self._adopted.model.SerializeToString())
        with replacing(self._prepared) as temporary:
            try:
                with _quiet():
                    quant_pre_process(source, temporary, skip_symbolic_shape=True)
            except Exception as err:
                raise ExportError(f"onnxruntime's quant_pre_process failed: {condensed(err)}") from err
            model = onnx.load(temporary)
            for index, node in enumerate(model.graph.node):
                node.name = node.name or f"{node.op_type}_{index}"
            onnx.save(model, temporary)
        return model

    def _quantise(self, float_layers: FloatLayers, path: Path) -> onnx.ModelProto:
        # Calibrating once is enough where this version can keep what it found.
        cached = "calibration_cache_path" in inspect.signature(quantize_static).parameters
        try:
            with _quiet():
                quantize_static(
                    self._prepared,
                    path,
                    _Reader(self._feeds()),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=sorted(LAYER_TYPES),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=self._excluded(float_layers),
                    extra_options={"TensorQuantOverrides": self._overrides()} if self._empty() else {},
                    **({"calibration_cache_path": self._cache} if cached else {}),
                )
            return onnx.load(path)
        except Exception as err:
            raise ExportError(f"onnxruntime's quantize_static failed: {condensed(err)}") from err

    def _excluded(self, float_layers: FloatLayers) -> list[str]:
        layers = [layer for layer in self._layers.values() if layer.name in float_layers]
        return [*sorted(pixel_arithmetic(self._graph)), *(node.name for layer in layers for node in layer.nodes)]

    def _overrides(self, *, json_able: bool = False) -> dict[str, list[dict[str, Any]]]:
        number = float if json_able else np.float32
        return {name: [{"rmin": number(_PUT[0]), "rmax": number(_PUT[1])}] for name in self._empty()}

    def _feeds(self) -> Iterator[dict[str, np.ndarray]]:
        adopted = self._adopted
        for pixels in calibration_tensors(self.data, self._drawn.images, adopted.spec.input):
            yield {adopted.input_name: adopted.feeding.apply(pixels, adopted.layout)}

    def _observe(self) -> Statistics:
        """Every activation of the float graph on the calibration images."""
        shown = onnx.ModelProto()
        shown.CopyFrom(self._graph)
        outputs = {value.name for value in shown.graph.output}
        wanted = dict.fromkeys(name for layer in self._layers.values() for name in (*layer.reads, layer.makes))
        made = {name for node in shown.graph.node for name in node.output}
        shown.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in wanted if name in made and name not in outputs
        )
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found = Statistics()
        for feed in self._feeds():
            found.n_images += 1
            for name, value in [*feed.items(), *zip(names, session.run(None, feed), strict=True)]:
                if value.dtype == np.float32 and value.size:
                    found.note(name, torch.from_numpy(value))
        return found

    def _tensor(self, name: str) -> TensorFacts:
        activation = self._stats.of(name)
        if name in self._empty():
            return TensorFacts(name, activation, *_PUT, repaired=True)
        low, high = activation.seen
        return TensorFacts(name, activation, min(low, 0.0), max(high, 0.0))

    def _empty(self) -> tuple[str, ...]:
        return tuple(
            layer.makes
            for layer in self._layers.values()
            if layer.makes in self._stats.activations and _width(self._stats.of(layer.makes).seen) < MIN_WIDTH
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands ONNX Runtime one calibration image after the other."""

    def __init__(self, feeds: Iterator[dict[str, np.ndarray]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image, or None after the last."""
        return next(self._feeds, None)


def _width(pair: tuple[float, float]) -> float:
    return max(pair[1], 0.0) - min(pair[0], 0.0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tool's remarks to its own programmers out of the user's terminal."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
