"""How a foreign network takes an image: layout, channels, size and batch, from its input and by running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto

from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.foreign.outputs import type_words
from edgeseg.runtime.backends.ort import open_session
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ConfigError

_COLORS = {1: "gray", 3: "rgb"}
_DTYPES = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}

Dims = list[int | None]


@dataclass(frozen=True)
class Entry:
    """An input and one way to read its axes.

    Attributes:
        name: Of the input.
        dtype: `float32` or `uint8`.
        layout: `NCHW` or `NHWC`.
        channels: 1 or 3.
        height_px: Height of the image.
        width_px: Its width.
        batch: Images it was made for, or None for any number.
    """

    name: str
    dtype: str
    layout: str
    channels: int
    height_px: int
    width_px: int
    batch: int | None

    def image(self, feeding: Feeding, seed: int = 0) -> np.ndarray:
        """A made-up image as the network eats it, (1, ...)."""
        shape = (1, self.height_px, self.width_px, self.channels)
        return feeding.apply(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), self.layout)


def entries(model: onnx.ModelProto, feeding: Feeding, color: str, file: str) -> list[Entry]:
    """Every way to read the input's axes that fits its sizes, the likelier first.

    Raises:
        ConfigError: If it is no image input of one known size.
    """
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initial]
    listed = ", ".join(f"{one.name} ({type_words(one)})" for one in inputs)
    needed = "one image of float32 or uint8, (N,C,H,W) or (N,H,W,C), is needed"
    if not inputs:
        raise ConfigError(f"{file} has no input that its output is made from; {needed}.")
    if len(inputs) != 1:
        raise ConfigError(f"{file} has {len(inputs)} inputs, {listed}; {needed}.")
    (value,) = inputs
    tensor = value.type.tensor_type
    dtype = _DTYPES.get(tensor.elem_type)
    if dtype is None:
        raise ConfigError(f"{file} takes {listed}; {needed}. Export it with such an input.")
    if dtype == "uint8" and feeding.said:
        raise ConfigError(f"{file} takes uint8 pixels as they are; leave --scale, --mean and --std out.")
    dims: Dims = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim
    ]
    dims = dims if tensor.HasField("shape") else [None] * 4
    layouts = _layouts(dims, 1 if color == "gray" else 3)
    counts = sorted({1, *(channels for _layout, channels in layouts)})
    if layouts and any(len(values) not in counts for values in (feeding.mean, feeding.std)):
        needs = " or ".join(map(str, counts))
        found_values = f"--mean has {len(feeding.mean)}, --std {len(feeding.std)}"
        raise ConfigError(f"{found_values} values, but {file} has channels for {needs}.")
    found = [
        Entry(value.name, dtype, layout, channels, *_size(dims, layout, feeding, file), dims[0])
        for layout, channels in layouts
        if all(len(values) in (1, channels) for values in (feeding.mean, feeding.std))
    ]
    if not found:
        own = f"the data are {color} ({1 if color == 'gray' else 3})"
        raise ConfigError(
            f"{file} takes {listed}; an image of 1 or 3 channels, (N,C,H,W) or (N,H,W,C), is needed; {own}."
        )
    return found


def _layouts(dims: Dims, likely: int) -> list[tuple[str, int]]:
    """Layouts and channels that the sizes allow; those whose channels are written down come first."""
    if len(dims) != 4:
        return []
    written = [(name, int(dims[axis] or 0)) for name, axis in (("NCHW", 1), ("NHWC", 3)) if dims[axis] in _COLORS]
    if written:
        return written
    orders = [(name, axis) for name, axis in (("NCHW", 1), ("NHWC", 3)) if dims[axis] is None]
    return [(name, channels) for channels in (likely, 4 - likely) for name, _axis in orders]


def _size(dims: Dims, layout: str, feeding: Feeding, file: str) -> tuple[int, int]:
    own = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    given = feeding.size_px or (None, None)
    if any(None not in (mine, one) and mine != one for mine, one in zip(own, given, strict=True)):
        shown = "x".join("any" if one is None else str(one) for one in own)
        raise ConfigError(f"{file} takes {shown} px, --size says {feeding.size_px}; leave --size out, or give that.")
    height, width = (mine or one for mine, one in zip(own, given, strict=True))
    if height is None or width is None:
        raise ConfigError(f"{file} takes images of any size; give the one it runs at: --size HxW")
    return height, width


def for_one_image(model: onnx.ModelProto, entry: Entry, feeding: Feeding, file: str) -> onnx.ModelProto:
    """The graph for a batch of one, where it was made for a fixed batch; checked on one batch.

    Raises:
        ConfigError: If it does not run for one image, or answers otherwise.
    """
    if entry.batch in (None, 1):
        return model
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    value = next(one for one in alone.graph.input if one.name == entry.name)
    value.type.tensor_type.shape.dim[0].dim_value = 1
    alone.graph.ClearField("value_info")
    output = alone.graph.output[0]
    if output.type.tensor_type.shape.dim:
        output.type.tensor_type.shape.dim[0].ClearField("dim_value")
    images = np.concatenate([entry.image(feeding, seed) for seed in range(int(entry.batch or 1))])
    name = output.name
    try:
        whole = run(model, {entry.name: images}, [name])[name]
        parts = [run(alone, {entry.name: image[None]}, [name])[name] for image in images]
        joined = np.concatenate(parts)
        same = joined.shape == whole.shape and np.allclose(joined, whole, rtol=1e-3, atol=1e-4)
    except Exception as err:
        raise ConfigError(
            f"{file} is made for a batch of {entry.batch}, which is written into its graph ({condensed(err)}). Export "
            "it with a batch of 1, or a free one."
        ) from err
    if not same:
        raise ConfigError(
            f"{file} is made for a batch of {entry.batch} and answers otherwise for one image. Export it with a batch "
            "of 1, or a free one."
        )
    return alone


def first_that_runs(
    choices: list[Entry], attempt: Callable[[Entry, np.ndarray], object], feeding: Feeding, failure: str
) -> Entry:
    """The first way to read the input that the engine takes.

    Args:
        choices: From `entries`.
        attempt: Runs the network on a made-up image as it eats it.
        feeding: What it eats.
        failure: Such as `onnxruntime 1.23 cannot run x.onnx`.

    Raises:
        ConfigError: With the engine's message, if it takes none.
    """
    failed: Exception | None = None
    for entry in choices:
        try:
            attempt(entry, entry.image(replace(feeding, dtype=entry.dtype)))
        except Exception as err:  # the engines' exceptions share no base class
            failed = failed or err
            continue
        return entry
    entry = choices[0]
    remedy = "Try another --size, such as multiples of 32." if feeding.size_px is not None else "Export it again."
    raise ConfigError(
        f"{failure} at {entry.height_px}x{entry.width_px} ({entry.layout}, {entry.channels} channels): "
        f"{condensed(failed or '')}. {remedy}"
    ) from failed


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Run a graph once; the tensors asked for by name, those in its middle as well."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {output.name for output in shown.graph.output}
    made = {name for node in shown.graph.node for name in node.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name in made - known)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = open_session(shown.SerializeToString(), options)
    values = dict(zip(names, session.run(names, feed), strict=True))
    odd = [name for name, value in values.items() if not isinstance(value, np.ndarray)]
    if odd:
        raise TypeError(f"{odd[0]} is a sequence or a map, no tensor")
    return values
