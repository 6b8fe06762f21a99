"""The description of one runnable model file: what it eats, what it returns, how a mask is made of that.

A step's folder holds it as `spec.json` beside `model.onnx` or `model.tflite`; a bundle's manifest holds the same
object per variant. It is checked here in plain Python; `manifest.schema.json` says the same and tests hold them equal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal, cast, get_args

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.spec.class_names import class_fault
from edgeseg.runtime.spec.fields import Fields, one_of, text, whole
from edgeseg.runtime.spec.input_spec import MAX_SIDE_PX, InputSpec

# `dynamic` has INT8 weights and rounds activations as they come; `int16x8` has INT8 weights and 16-bit activations.
Precision = Literal["fp32", "fp16", "dynamic", "int16x8", "int8"]


@dataclass(frozen=True)
class OutputSpec:
    """What a model file returns.

    Attributes:
        kind: `scores` are logits, one plane per class (or one alone with `sigmoid`); `class_ids` are final.
        stride_px: Pixels of the input per cell of the output, along each side.
        layout: Axes of the scores; class ids are (N, h, w) with or without an axis of one.
        dtype: Element type of the engine's output tensor.
        scale: Quantised scores: logit = scale * (q - zero_point).
        zero_point: See `scale`.
        activation: What turns logits into probabilities.
    """

    kind: Literal["scores", "class_ids"]
    stride_px: int
    layout: Literal["NHWC", "NCHW"]
    dtype: Literal["float32", "uint8", "int8"]
    scale: float = 1.0
    zero_point: int = 0
    activation: Literal["softmax", "sigmoid"] = "softmax"

    def __post_init__(self) -> None:
        one_of(self.kind, ("scores", "class_ids"), "output.kind")
        one_of(self.layout, ("NHWC", "NCHW"), "output.layout")
        one_of(self.dtype, ("float32", "uint8", "int8"), "output.dtype")
        one_of(self.activation, ("softmax", "sigmoid"), "output.activation")
        whole(self.stride_px, "output.stride_px", 1, MAX_SIDE_PX)
        if not (isfinite(self.scale) and self.scale > 0):
            raise ManifestError(f"output.scale must be a positive number, found {self.scale}. Export the file again.")
        low, high = {"uint8": (0, 255), "int8": (-128, 127), "float32": (0, 0)}[self.dtype]
        if not low <= self.zero_point <= high:
            found = f"output.zero_point is {self.zero_point}, outside {low}..{high} of {self.dtype}"
            raise ManifestError(f"{found}. Export the file again.")
        if self.dtype == "float32" and self.scale != 1.0:
            raise ManifestError(f"output.scale is {self.scale} for float32 scores, which have none. Set it to 1.0.")
        if self.kind == "class_ids" and self.dtype == "float32":
            raise ManifestError("output: class ids cannot be float32. Cast them to uint8 in the graph.")

    @classmethod
    def from_json(cls, value: object, where: str = "output") -> OutputSpec:
        """Read a decoded JSON object; raises ManifestError as `Geometry.from_json` does."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            kind=cast(Any, fields.typed("kind", str)),
            stride_px=fields.typed("stride_px", int),
            layout=cast(Any, fields.typed("layout", str)),
            dtype=cast(Any, fields.typed("dtype", str)),
            scale=fields.default("scale", float, 1.0),
            zero_point=fields.default("zero_point", int, 0),
            activation=cast(Any, fields.default("activation", str, "softmax")),
        )


@dataclass(frozen=True)
class Decision:
    """The thresholds that turn probabilities into a mask and a mask into good or reject.

    Attributes:
        value: Probability a sigmoid model's pixel must exceed to be foreground, in (0, 1).
        fitted_on: Name of the split the threshold was chosen on, or None for a default.
        objective: What was optimised, or None.
        min_area_px: A part is rejected for a region of at least this area [px].
    """

    value: float = 0.5
    fitted_on: str | None = None
    objective: str | None = None
    min_area_px: int = 1

    def __post_init__(self) -> None:
        if not (isfinite(self.value) and 0.0 < self.value < 1.0):
            raise ManifestError(f"decision.value must lie between 0 and 1, found {self.value}. Fit it on val again.")
        if self.fitted_on == "test":
            raise ManifestError("decision.fitted_on is 'test': thresholds are chosen on val. Fit it on val again.")
        whole(self.min_area_px, "decision.min_area_px", 1, MAX_SIDE_PX)

    @classmethod
    def from_json(cls, value: object, where: str = "decision") -> Decision:
        """Read a decoded JSON object; raises ManifestError as `Geometry.from_json` does."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            value=fields.default("value", float, 0.5),
            fitted_on=fields.optional("fitted_on", str),
            objective=fields.optional("objective", str),
            min_area_px=fields.default("min_area_px", int, 1),
        )


@dataclass(frozen=True)
class ModelSpec:
    """One runnable model file.

    The engine's input is one tensor (N, H, W, C) of `input_dtype`.

    Attributes:
        backend: Engine that runs the file, by its name in `ENGINES`.
        precision: Precision of its weights and activations.
        input: What it eats.
        output: What it returns.
        classes: Names by class id; the first is the background.
        decision: Thresholds.
        input_dtype: `uint8` = pixels, `int8` = pixels - 128.
        dynamic: Whether N, H and W are free; otherwise N is 1 and H and W are fixed by the geometry.
    """

    backend: str
    precision: Precision
    input: InputSpec
    output: OutputSpec
    classes: tuple[str, ...]
    decision: Decision = field(default_factory=Decision)
    input_dtype: Literal["uint8", "int8"] = "uint8"
    dynamic: bool = False

    def __post_init__(self) -> None:
        one_of(self.backend, tuple(ENGINES), "backend")
        one_of(self.precision, get_args(Precision), "precision")
        one_of(self.input_dtype, ("uint8", "int8"), "input_dtype")
        check_classes(self.classes)
        if self.output.activation == "sigmoid" and len(self.classes) != 2:
            found = f"{len(self.classes)} classes"
            raise ManifestError(f"output.activation 'sigmoid' is for two classes, found {found}. Use 'softmax'.")
        if self.input.stride_px % self.output.stride_px:
            found = f"input.stride_px {self.input.stride_px}, output.stride_px {self.output.stride_px}"
            raise ManifestError(f"The output stride must divide the input stride, found {found}. Export again.")
        geometry = self.input.geometry
        if not self.dynamic and geometry.mode == "native" and geometry.height_px is None:
            raise ManifestError(
                "A file of fixed size (dynamic: false) cannot take native frames of any size. "
                "Give geometry.height_px and width_px, or export it with dynamic: true."
            )

    @property
    def n_planes(self) -> int:
        """Score planes of the output: one with `sigmoid`, else one per class."""
        return 1 if self.output.activation == "sigmoid" else len(self.classes)

    @classmethod
    def from_json(cls, value: object, where: str = "spec") -> ModelSpec:
        """Read a decoded JSON object.

        Raises:
            ManifestError: If a key is unknown, a type wrong or the values contradict each other.
        """
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            backend=fields.typed("backend", str),
            precision=cast(Precision, fields.typed("precision", str)),
            input=InputSpec.from_json(fields.raw("input"), f"{where}.input"),
            output=OutputSpec.from_json(fields.raw("output"), f"{where}.output"),
            classes=fields.sequence("classes", text),
            decision=Decision.from_json(fields.raw("decision") if fields.has("decision") else {}, f"{where}.decision"),
            input_dtype=cast(Any, fields.default("input_dtype", str, "uint8")),
            dynamic=fields.default("dynamic", bool, False),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` reads back to an equal spec."""
        return {**asdict(self), "input": self.input.to_json(), "classes": list(self.classes)}


def check_classes(classes: tuple[str, ...]) -> None:
    """Refuse class names that are too few, too many, empty or repeated.

    Raises:
        ManifestError: Saying which.
    """
    if fault := class_fault(classes):
        raise ManifestError("; ".join(fault))
