"""Anybody's ONNX file made one that our runtime runs: end, input and answers are looked at, none assumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from edgeseg.export.adopt.adopted import Adopted
from edgeseg.export.adopt.agreement import check_agreement, check_axes
from edgeseg.export.adopt.entry import Entry, entries, first_that_runs, run
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.foreign.cut import cut_at
from edgeseg.export.foreign.ending import Ending, EndingError, find_ending, threshold
from edgeseg.export.foreign.outputs import maker
from edgeseg.export.foreign.read import read_foreign
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.input_spec import Geometry, InputSpec
from edgeseg.runtime.model_spec import ModelSpec, OutputSpec

_LOOKED_AT = 4  # images


@dataclass(frozen=True)
class _Scores:
    """Scores of one image and how to read them: axes that they lack, layout, planes."""

    values: np.ndarray
    missing_axes: tuple[int, ...]
    layout: str
    planes: int

    @property
    def hwc(self) -> np.ndarray:
        """(H, W, K)."""
        values = np.expand_dims(self.values, self.missing_axes) if self.missing_axes else self.values
        return np.asarray(values[0].transpose(1, 2, 0) if self.layout == "NCHW" else values[0])


def adopt(path: Path, data: DataSet, feeding: Feeding, output: str = "") -> Adopted:
    """Read a foreign file and find out how to run it.

    Args:
        path: The file.
        data: Images and masks.
        feeding: What the file eats.
        output: The tensor that holds its answer; "" for its only output.

    Raises:
        ConfigError: If it is no float segmentation network of one image input, or does not fit the data.
    """
    whole = read_foreign(path, output)
    entry, alone = first_that_runs(whole, entries(whole, feeding, data.color, path.name), feeding, path.name)
    feeding = replace(feeding, size_px=(entry.height_px, entry.width_px), dtype=entry.dtype)
    try:
        ending, scores, limit = _scores(alone, entry, feeding, data, path)
    except EndingError as err:
        raise ConfigError(f"{path.name}: {err}. Or name the scores in the graph: --output TENSOR") from err
    model = cut_at(alone, ending.scores)
    spec = _spec(entry, scores, data, path)
    notes = _notes(entry, ending, data, limit)
    adopted = Adopted(
        *(model, whole, ending, entry.name, entry.layout, feeding, spec, limit, scores.missing_axes, notes)
    )
    _check_scores(adopted, data, path)
    return adopted


def _scores(
    model: onnx.ModelProto, entry: Entry, feeding: Feeding, data: DataSet, path: Path
) -> tuple[Ending, _Scores, float]:
    """Walk back from the output until there are planes of scores, and hold them against the output."""
    flat: frozenset[str] = frozenset()
    output, image = str(model.graph.output[0].name), {entry.name: entry.image(feeding)}
    while True:
        ending = find_ending(model, flat)
        behind = [str(name) for step in ending.steps for name in step.node.input if name]
        made = run(model, image, list(dict.fromkeys([ending.scores, output, *_activations(model, behind)])))
        scores = _read(made[ending.scores], data)
        if scores is not None:
            break
        if ending.scores in flat:  # nothing further up can be undone
            raise ConfigError(_unfit(made, ending, output, data, path, maker(model, output)))
        flat |= {ending.scores}
    check_axes(ending, made, scores.layout, scores.planes)
    limit = threshold(ending, scores.planes)
    check_agreement(scores.hwc, limit, made[output], ending)
    return ending, scores, limit


def _activations(model: onnx.ModelProto, names: list[str]) -> list[str]:
    constant = {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    made = {one for node in model.graph.node for one in node.output} - constant
    return [name for name in names if name in made]


def _read(values: np.ndarray, data: DataSet) -> _Scores | None:
    """Scores as planes, or None where their axes are not those of an image."""
    planes = _planes(data)
    if values.dtype != np.float32:
        return None
    if values.ndim == 4 and values.shape[0] == 1:
        for layout, axis in (("NCHW", 1), ("NHWC", 3)):
            if values.shape[axis] in planes:
                return _Scores(values, (), layout, int(values.shape[axis]))
    if 1 in planes and values.ndim == 3 and values.shape[0] == 1 and min(values.shape[1:]) > 1:
        return _Scores(values, (1,), "NCHW", 1)
    if 1 in planes and values.ndim == 2 and min(values.shape) > 1:
        return _Scores(values, (0, 1), "NCHW", 1)
    return None


def _planes(data: DataSet) -> set[int]:
    return {len(data.classes)} | ({1} if len(data.classes) == 2 else set())


def _unfit(made: dict[str, np.ndarray], ending: Ending, output: str, data: DataSet, path: Path, last: str) -> str:
    own = made[output]
    more = f" (scores in front of {ending.words}: {made[ending.scores].shape})" if ending.steps else ""
    more += f" (behind {', '.join(ending.squashed)})" if ending.squashed else ""
    return (
        f"{path.name} returns {own.dtype} {own.shape}, made by {last}{more}; scores (N,K,h,w) or (N,h,w,K) with K = "
        f"{sorted(_planes(data))} (the classes of {data.name}: {', '.join(data.classes)}) are "
        "needed. Name the tensor that holds them with --output, or give data of the classes it was trained for."
    )


def _spec(entry: Entry, scores: _Scores, data: DataSet, path: Path) -> ModelSpec:
    rows, columns = scores.hwc.shape[:2]
    height, width = entry.height_px, entry.width_px
    stride = height // rows
    if stride < 1 or (rows * stride, columns * stride) != (height, width):
        raise ConfigError(f"{path.name} returns {rows}x{columns} scores for {height}x{width} px; no whole stride.")
    return ModelSpec(
        backend="onnxruntime",
        precision="fp32",
        input=InputSpec(
            "gray" if entry.channels == 1 else "rgb",
            Geometry("resize", height, width, interpolation="linear"),
            stride,
            window=data.window,
        ),
        output=OutputSpec(
            "scores",
            stride,
            scores.layout,  # type: ignore[arg-type]
            "float32",
            activation="sigmoid" if scores.planes == 1 else "softmax",
        ),
        classes=data.classes,
    )


def _notes(entry: Entry, ending: Ending, data: DataSet, limit: float) -> tuple[str, ...]:
    notes = []
    if ending.steps:
        notes.append(
            f"It ends in {ending.words}: masks were made of the scores in front of that ({ending.scores}), which is "
            "the same mask. It stays in float, and is in the INT8 file again."
        )
    if limit:
        notes.append(f"A pixel is foreground where {ending.scores} is above {limit:.6g}.")
    if entry.batch not in (None, 1):
        notes.append(f"It is made for a batch of {entry.batch}; it was examined image by image, with equal answers.")
    if (entry.channels == 1) != (data.color == "gray"):
        turned = "copied into three channels" if entry.channels == 3 else "turned to gray"
        notes.append(f"It takes {entry.channels} channel(s), the data are {data.color}: images were {turned}.")
    return tuple(notes)


def _check_scores(adopted: Adopted, data: DataSet, path: Path) -> None:
    """On real images scores are numbers, and one plane that no known node squashed is not within 0..1."""
    name, low, high = adopted.ending.scores, np.inf, -np.inf
    looked_at = data.samples[:_LOOKED_AT]
    for sample in looked_at:
        pixels = prepare(read_image(sample.image, data.color, data.window), adopted.spec.input).tensor
        feed = {adopted.input_name: adopted.feeding.apply(pixels, adopted.layout)}
        values = run(adopted.model, feed, [name])[name]
        if np.isnan(values).any():
            raise ConfigError(
                f"{path.name}: {name} (made by {maker(adopted.model, name)}) has {np.isnan(values).mean():.0%} NaN on "
                f"{sample.image.name}: its weights are damaged, or it is fed wrongly (--scale, --mean, --std)"
            )
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    unknown = adopted.spec.n_planes == 1 and not adopted.threshold and not adopted.ending.steps
    if unknown and low >= 0 and high <= 1:
        raise ConfigError(
            f"{path.name}: {name} (made by {maker(adopted.model, name)}) is between {low:.3g} and {high:.3g} on "
            f"{len(looked_at)} images: probabilities or a mask, where scores around zero are needed. Name the tensor "
            "in front of that: --output TENSOR"
        )
