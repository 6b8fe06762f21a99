"""What TensorRT 8 to 10 take in the place of Q/DQ pairs, and TensorRT 8 in the place of our file as it is."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, version_converter

from edgeseg.export.onnx.strip import strip
from edgeseg.export.trt.modules import TensorRt
from edgeseg.runtime.errors import ConfigError, ExportError

OPSET = 17  # the newest that TensorRT 8.5's parser knows


def calibrator_base(trt: TensorRt) -> Any:
    """The class that calibrators are made of.

    Raises:
        ConfigError: If the module has none.
    """
    if trt.calibrator is None:
        raise ConfigError(f"{trt.describe()} has no calibrators. Leave out --calibration: the Q/DQ file is for it")
    return trt.calibrator


def cached_calibrator(trt: TensorRt, cache: str) -> Any:
    """A calibrator that answers from a written cache and has no images: ranges are the plan's, not measured again.

    Args:
        trt: The module.
        cache: Its text, for this version.

    Raises:
        ConfigError: If the module has no calibrators.
    """
    base: Any = calibrator_base(trt)

    class Cached(base):  # type: ignore[misc]
        """The names are TensorRT's."""

        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:  # noqa: ARG002
            return None

        def read_calibration_cache(self) -> bytes:
            return cache.encode()

        def write_calibration_cache(self, cache: bytes) -> None:
            """Nothing: it is what was read."""

    return Cached()


def for_tensorrt_8(content: bytes) -> bytes:
    """A file of ours as TensorRT 8 reads it: of an older operator set, its pixels float32, since uint8 is refused.

    Raises:
        ExportError: If it is no such file, or its operators have no older form.
    """
    try:
        model = version_converter.convert_version(onnx.load_from_string(content), OPSET)
    except Exception as err:  # of several kinds, the converter's own among them
        raise ExportError(f"the file cannot be written for TensorRT 8, in operator set {OPSET}: {err}") from err
    image, cast = model.graph.input[0], model.graph.node[0]
    if cast.op_type != "Cast" or list(cast.input) != [image.name]:
        raise ExportError(f"the file begins with {cast.op_type}, not with a cast of its pixels. Export it again.")
    image.type.tensor_type.elem_type = TensorProto.FLOAT
    if cast.attribute[0].i == TensorProto.FLOAT:  # a cast to FP16 stays
        for node in model.graph.node:
            node.input[:] = [image.name if name == cast.output[0] else name for name in node.input]
        model.graph.node.remove(cast)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    strip(model)
    return bytes(model.SerializeToString(deterministic=True))
