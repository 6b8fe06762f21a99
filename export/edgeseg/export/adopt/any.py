"""A foreign file of any kind that can be adopted."""

from __future__ import annotations

from pathlib import Path

from edgeseg.export.adopt.adopt import adopt
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.pixels import with_pixels
from edgeseg.export.adopt.step import StepModel
from edgeseg.export.onnx.strip import strip
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of, refusal


def adopt_any(path: Path, data: DataSet, feeding: Feeding, output: str = "") -> StepModel:
    """Read a foreign ONNX or TensorFlow Lite file and make it one that our runtime runs.

    Args:
        path: The file; its content says what it is.
        data: Images and masks.
        feeding: What it eats.
        output: The tensor that holds its answer; "" for its only output.

    Raises:
        ConfigError: If it is no segmentation network of one image input, or does not fit the data.
        BackendError: If no engine for it is installed.
    """
    kind = kind_of(path)
    if kind.key == "tflite":
        from edgeseg.export.adopt.tflite.adopt import adopt_tflite

        return adopt_tflite(path, data, feeding, output)
    if kind.key != "onnx":
        raise ConfigError(refusal(path, "an ONNX or TensorFlow Lite file", kind))
    adopted = adopt(path, data, feeding, output, float_only=False)
    model = with_pixels(adopted.model, adopted)
    strip(model)
    return StepModel(model.SerializeToString(), adopted.spec, adopted.foreign, adopted.scores, adopted.masks)
