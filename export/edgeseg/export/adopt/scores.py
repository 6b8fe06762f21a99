"""Where the scores of a foreign network are, and how a mask is made of them: by walking back and by running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from edgeseg.export.adopt.agreement import check_agreement, check_axes
from edgeseg.export.adopt.entry import Entry
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.foreign.ending import Ending, EndingError, find_ending, threshold
from edgeseg.export.foreign.outputs import maker
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.runtime.spec.model_spec import ModelSpec, OutputSpec

# Tensors asked for by name, of inputs by name.
Run = Callable[[dict[str, np.ndarray], list[str]], dict[str, np.ndarray]]

DIFFERING = 0.001  # of the cells of two masks of one network: two kernels may round a tie otherwise
_LOOKED_AT = 4  # images


@dataclass(frozen=True)
class Foreign:
    """A foreign network as it is looked at.

    Attributes:
        file: Its path.
        graph: Its nodes as those of ONNX, up to the output that is wanted.
        run: Runs it, for one image.
        entry: How it takes an image.
        feeding: What it eats.
        data: Images and masks.
        notes: What a reader should know of how it was read from its file, one sentence each.
    """

    file: Path
    graph: onnx.ModelProto
    run: Run
    entry: Entry
    feeding: Feeding
    data: DataSet
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """Scores of one image and how to read them.

    Attributes:
        values: As they were returned.
        missing_axes: Axes of one that they lack.
        layout: `NCHW` or `NHWC`, with those.
        planes: How many there are.
        ending: What stands behind them.
        threshold: What scores of one plane must exceed to be foreground.
    """

    values: np.ndarray
    missing_axes: tuple[int, ...]
    layout: str
    planes: int
    ending: Ending
    threshold: float = 0.0

    def hwc(self, values: np.ndarray) -> np.ndarray:
        """(H, W, K) of what the network returned for one image."""
        whole = np.expand_dims(values, self.missing_axes) if self.missing_axes else values
        return np.asarray(whole[0].transpose(1, 2, 0) if self.layout == "NCHW" else whole[0])

    def mask(self, values: np.ndarray) -> np.ndarray:
        """Class ids, int64 (H, W), of what the network returned for one image."""
        cells = self.hwc(values)
        return (cells[..., 0] > self.threshold).astype(np.int64) if self.planes == 1 else cells.argmax(axis=2)


def find_scores(foreign: Foreign) -> Scores:
    """Walk back from the output until there are planes of scores, and hold them against the output.

    Raises:
        ConfigError: There are none, they do not fit the classes of the data, or the mask made of them is another one.
    """
    try:
        return _walked_back(foreign)
    except EndingError as err:
        raise ConfigError(f"{foreign.file.name}: {err}. Or name the scores in the graph: --output TENSOR") from err


def _walked_back(foreign: Foreign) -> Scores:
    flat: frozenset[str] = frozenset()
    output, image = str(foreign.graph.graph.output[0].name), {foreign.entry.name: foreign.entry.image(foreign.feeding)}
    while True:
        ending = find_ending(foreign.graph, flat)
        behind = [str(name) for step in ending.steps for name in step.node.input if name]
        wanted = [ending.scores, output, *_activations(foreign.graph, behind)]
        made = foreign.run(image, list(dict.fromkeys(wanted)))
        scores = _read(made[ending.scores], foreign, ending)
        if scores is not None:
            break
        if ending.scores in flat:  # nothing further up can be undone
            raise ConfigError(_unfit(made, ending, output, foreign))
        flat |= {ending.scores}
    check_axes(ending, made, scores.layout, scores.planes)
    limit = threshold(ending, scores.planes)
    check_agreement(scores.hwc(scores.values), limit, made[output], ending)
    return Scores(scores.values, scores.missing_axes, scores.layout, scores.planes, ending, limit)


def _activations(model: onnx.ModelProto, names: list[str]) -> list[str]:
    constant = {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    made = {one for node in model.graph.node for one in node.output} - constant
    return [name for name in names if name in made]


def _read(values: np.ndarray, foreign: Foreign, ending: Ending) -> Scores | None:
    """Scores as planes, or None where their axes are not those of an image."""
    planes, entry = _planes(foreign.data), foreign.entry
    if values.dtype != np.float32:
        return None
    if values.ndim == 4 and values.shape[0] == 1:
        for layout, axis in (("NCHW", 1), ("NHWC", 3)):
            if values.shape[axis] in planes:
                return Scores(values, (), layout, int(values.shape[axis]), ending)
    # Without an axis of classes they are told by their size alone: a sequence of letters has two axes as well.
    rows, columns = values.shape[-2:] if values.ndim > 1 else (0, 0)
    covers = min(rows, columns) > 1 and entry.height_px * columns == entry.width_px * rows
    if 1 not in planes or not covers or entry.height_px % rows:
        return None
    if values.ndim == 3 and values.shape[0] == 1:
        return Scores(values, (1,), "NCHW", 1, ending)
    return Scores(values, (0, 1), "NCHW", 1, ending) if values.ndim == 2 else None


def _planes(data: DataSet) -> set[int]:
    return {len(data.classes)} | ({1} if len(data.classes) == 2 else set())


def _unfit(made: dict[str, np.ndarray], ending: Ending, output: str, foreign: Foreign) -> str:
    own, data = made[output], foreign.data
    more = f" (scores in front of {ending.words}: {made[ending.scores].shape})" if ending.steps else ""
    more += f" (behind {', '.join(ending.squashed)})" if ending.squashed else ""
    return (
        f"{foreign.file.name} returns {own.dtype} {own.shape}, made by {maker(foreign.graph, output)}{more}; scores "
        f"(N,K,h,w) or (N,h,w,K) with K = {sorted(_planes(data))} (the classes of {data.name}: "
        f"{', '.join(data.classes)}) are needed. Name the tensor that holds them with --output, or give data of the "
        "classes it was trained for."
    )


def spec_of(foreign: Foreign, scores: Scores) -> ModelSpec:
    """The spec of the network with its arithmetic inside, for ONNX Runtime.

    Raises:
        ConfigError: If cells of scores do not cover whole pixels.
    """
    entry, data = foreign.entry, foreign.data
    rows, columns = scores.hwc(scores.values).shape[:2]
    height, width = entry.height_px, entry.width_px
    stride = height // rows
    if stride < 1 or (rows * stride, columns * stride) != (height, width):
        found = f"{foreign.file.name} returns {rows}x{columns} scores for {height}x{width} px; no whole stride"
        free = foreign.feeding.size_px is not None
        raise ConfigError(f"{found}. {'Try another --size, such as multiples of 32.' if free else 'Export it again.'}")
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


def notes_of(foreign: Foreign, scores: Scores) -> tuple[str, ...]:
    """What a reader should know of how it was read, one sentence each."""
    entry, ending, notes = foreign.entry, scores.ending, [*foreign.notes]
    if ending.steps:
        notes.append(
            f"It ends in {ending.words}: masks were made of the scores in front of that ({ending.scores}), which is "
            "the same mask."
        )
    if scores.threshold:
        notes.append(f"A pixel is foreground where {ending.scores} is above {scores.threshold:.6g}.")
    if entry.batch not in (None, 1):
        notes.append(f"It is made for a batch of {entry.batch}; it was examined image by image, with equal answers.")
    if (entry.channels == 1) != (foreign.data.color == "gray"):
        turned = "copied into three channels" if entry.channels == 3 else "turned to gray"
        notes.append(f"It takes {entry.channels} channel(s), the data are {foreign.data.color}: images were {turned}.")
    return tuple(notes)


def masks_of_images(foreign: Foreign, scores: Scores, spec: ModelSpec) -> list[np.ndarray]:
    """Masks of a few real images, whose scores are numbers; one plane that no known node squashed is not within 0..1.

    Returns:
        Class ids, int64 (h, w), of the first images of the data.

    Raises:
        ConfigError: They are not.
    """
    name, low, high = scores.ending.scores, np.inf, -np.inf
    masks, file = [], foreign.file.name
    for pixels, image in looked_at(foreign.data, spec):
        values = foreign.run({foreign.entry.name: foreign.feeding.apply(pixels, foreign.entry.layout)}, [name])[name]
        if np.isnan(values).any():
            raise ConfigError(
                f"{file}: {name} (made by {maker(foreign.graph, name)}) has {np.isnan(values).mean():.0%} NaN on "
                f"{image}: its weights are damaged, or it is fed wrongly (--scale, --mean, --std)"
            )
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        masks.append(scores.mask(values))
    unknown = scores.planes == 1 and not scores.threshold and not scores.ending.steps
    if unknown and low >= 0 and high <= 1:
        raise ConfigError(
            f"{file}: {name} (made by {maker(foreign.graph, name)}) is between {low:.3g} and {high:.3g} on "
            f"{len(masks)} images: probabilities or a mask, where scores around zero are needed. Name the tensor "
            "in front of that: --output TENSOR"
        )
    return masks


def looked_at(data: DataSet, spec: ModelSpec) -> list[tuple[np.ndarray, str]]:
    """Pixels, uint8 (1, H, W, C), and file names of the images that a network is tried on."""
    return [
        (prepare(read_image(one.image, data.color, data.window), spec.input).tensor, one.image.name)
        for one in data.samples[:_LOOKED_AT]
    ]
