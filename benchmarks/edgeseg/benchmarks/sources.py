"""From what a user names on the command line to subjects and a test frame: files are judged by their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgeseg.benchmarks.engine_only.files import distinct_names, engine_subjects
from edgeseg.benchmarks.engine_only.tensors import Sizes, Values
from edgeseg.benchmarks.golden import GoldenFrame, golden_frames
from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.engines import MODEL_NAMES
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.step_folder import SPEC, model_in, open_step
from edgeseg.runtime.spec.manifest import ModelSpec
from edgeseg.runtime.trt.built_engine import write_record

_DEFAULT_SIDE_PX = 256
# What the reader of bundles has the better message for.
_BUNDLES = {"bundle", "missing", "empty", "unreadable", "zip"}


@dataclass(frozen=True)
class Origin:
    """Where a subject came from: what pairs it with one of another bundle, and what its accuracy is of.

    Attributes:
        path: What the user named.
        variant: Its name within that, the same in an older and a newer bundle.
        classes: Names by class id; empty of a foreign file.
        scored_on: Hashes of the data and the split that its accuracy is of, `None` where nothing says.
    """

    path: Path
    variant: str
    classes: tuple[str, ...] = ()
    scored_on: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Source:
    """What there is to measure.

    Attributes:
        subjects: In the order given.
        frame: The frame that came with them (pixels and name), if any.
        origins: By subject, in the same order.
        golden: Frames with accepted masks, of a single bundle.
    """

    subjects: tuple[AnySubject, ...]
    frame: tuple[Frame, str] | None
    origins: tuple[Origin, ...] = ()
    golden: tuple[GoldenFrame, ...] = ()


@dataclass(frozen=True)
class EngineOnly:
    """How foreign files are timed, and whether files that have a spec are timed like them.

    Attributes:
        asked: Time the engine alone whatever stands beside a file.
        sizes: Of inputs that a file leaves open.
        values: What inputs hold.
        timeout_s: An engine that is silent for longer counts as broken [s].
    """

    asked: bool = False
    sizes: Sizes = field(default_factory=Sizes)
    values: Values = "random"
    timeout_s: float = 300.0


@contextmanager
def open_source(paths: Sequence[Path], variant: str, alone: EngineOnly = EngineOnly()) -> Iterator[Source]:
    """Make the subjects of bundles (their variants), of steps' folders and of model files ready to be measured.

    Args:
        paths: Bundles, folders and model files. A model file with `spec.json` beside it is its folder's step; one
            without is foreign, and its engine is timed alone.
        variant: `all`, or names with commas between; of several bundles each name is taken from every one that has it.
        alone: How foreign files are timed.

    Yields:
        The subjects. Those of bundles lie in a temporary folder, byte for byte, until the block ends. Of several paths
        the variants of a bundle are named `BUNDLE:VARIANT`.

    Raises:
        ConfigError: A variant is asked for that is not there, or pipelines and foreign files are mixed.
        BundleError, ManifestError, MeasureError: A bundle, folder or file is not usable.
    """
    with TemporaryDirectory(prefix="edgeseg-bench-") as folder:
        items = _items(paths, Path(folder), alone.asked)
        wanted = choose(list(dict.fromkeys(item.origin.variant for item in items)), variant)
        items = [item for item in items if item.origin.variant in wanted]
        frame = next((item.frame for item in items if item.frame is not None), None)
        # Their masks are known by the names of variants, which several bundles share.
        golden = items[0].golden if len(paths) == 1 else ()
        yield Source(tuple(_subjects(items, alone)), frame, tuple(item.origin for item in items), golden)


@dataclass(frozen=True)
class _Item:
    """One thing to be measured, before it is known how: a pipeline's subject where it has a spec, and its file."""

    origin: Origin
    model: Path
    subject: Subject | None
    frame: tuple[Frame, str] | None = None
    engine_name: str | None = None  # a temporary file's own name says nothing
    golden: tuple[GoldenFrame, ...] = ()


def _items(paths: Sequence[Path], folder: Path, engine_only: bool) -> list[_Item]:
    kinds = [kind_of(path).key for path in paths]
    bundles = [kind == "bundle" or (len(paths) == 1 and kind in _BUNDLES) for kind in kinds]
    steps = [path.is_dir() or (path.name in MODEL_NAMES and (path.parent / SPEC).is_file()) for path in paths]
    places = [path.parent if step and not path.is_dir() else path for path, step in zip(paths, steps, strict=True)]
    names = [places[0].name] if len(places) == 1 else distinct_names(places)
    items: list[_Item] = []
    for index, (path, name) in enumerate(zip(places, names, strict=True)):
        if bundles[index]:
            items += _of_bundle(path, f"{name}:" if len(paths) > 1 else "", folder / str(index))
        elif engine_only and path.is_dir() and not (path / SPEC).is_file():
            items.append(_Item(Origin(path, name), model_in(path), None))
        elif steps[index]:
            subject = subject_from_folder(path, name)
            items.append(_Item(Origin(paths[index], name, subject.spec.classes), subject.model, subject))
        else:
            items.append(_Item(Origin(path, name), path, None))
    return items


def _of_bundle(path: Path, prefix: str, folder: Path) -> list[_Item]:
    with Bundle.open(path) as bundle:
        data = [(str(one.get("content_sha256")), str(one.get("split_sha256"))) for one in bundle.manifest.data]
        scored_on = tuple(part for pair in data for part in pair) or None
        golden = golden_frames(bundle)
        frame = (golden[0].frame, bundle.manifest.golden[0].input) if golden else None
        items = []
        for entry in bundle.manifest.variants:
            subject = _unpacked(bundle, entry.name, prefix, folder)
            origin = Origin(path, entry.name, bundle.manifest.classes, scored_on if entry.accuracy else None)
            items.append(_Item(origin, subject.model, subject, frame, subject.name, golden))
        return items


def _subjects(items: Sequence[_Item], alone: EngineOnly) -> Sequence[AnySubject]:
    """All of them pipelines, or all of them engines alone."""
    pipelines = [item.subject for item in items if item.subject is not None]
    if not alone.asked and len(pipelines) == len(items):
        return pipelines
    if not alone.asked and pipelines:
        foreign = next(item for item in items if item.subject is None)
        raise ConfigError(
            f"{foreign.origin.path} has no spec.json beside it, so its engine alone can be timed, but "
            f"{pipelines[0].name} is a pipeline: they are never compared. --engine-only times the engines of all"
        )
    found = engine_subjects([item.model for item in items], alone.sizes, alone.values, alone.timeout_s)
    return [replace(subject, name=item.engine_name or subject.name) for subject, item in zip(found, items, strict=True)]


def _unpacked(bundle: Bundle, name: str, prefix: str, folder: Path) -> Subject:
    entry = bundle.variant(name)
    # A suffix stays, since engines and people know files by it; the folder keeps equal names apart.
    model = folder / name / Path(entry.file).name
    model.parent.mkdir(parents=True)
    model.write_bytes(bundle.read(entry.file))
    if entry.engine is not None:
        write_record(model, entry.engine)
    return Subject(prefix + name, model, entry.spec, accuracy=entry.accuracy or None)


def subject_from_folder(folder: Path, name: str | None = None) -> Subject:
    """The subject of a step's folder, which holds `spec.json` beside `model.onnx` or `model.tflite`.

    Args:
        folder: The folder.
        name: The subject's name; the folder's own by default.

    Raises:
        BundleError: The folder holds no model, or no spec.
        ManifestError: The spec is wrong.
    """
    return Subject(name or folder.name, *open_step(folder))


def choose(names: Sequence[str], wanted: str) -> list[str]:
    """The names that `--variant` asks for, in the order of the bundle.

    Args:
        names: All there are.
        wanted: `all`, or names with commas between.

    Raises:
        ConfigError: One of them does not exist.
    """
    if wanted == "all":
        return list(names)
    asked = [part.strip() for part in wanted.split(",") if part.strip()]
    unknown = [name for name in asked if name not in names]
    if unknown or not asked:
        raise ConfigError(
            f"--variant {wanted}: there is no {', '.join(unknown) or 'name'}; there are {', '.join(names)}"
        )
    return [name for name in names if name in asked]


def procedural_frame(spec: ModelSpec, seed: int = 0) -> tuple[Frame, str]:
    """A frame for bundles that come without one: soft noise, the same in every run.

    Returns:
        The frame, uint8 (with a window uint16), shape (H, W) or (H, W, 3), of the size the spec works at (two tiles a
        side), and its name.
    """
    import cv2

    geometry = spec.input.geometry
    height = geometry.height_px or 2 * (geometry.tile_px or 0) or _DEFAULT_SIDE_PX
    width = geometry.width_px or 2 * (geometry.tile_px or 0) or _DEFAULT_SIDE_PX
    shape = (height, width) if spec.input.color == "gray" else (height, width, 3)
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    frame: Frame = spread(cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8), spec.input.window)
    return frame, f"procedural {width}x{height} seed {seed}"


def load_frame(path: Path | None, source: Source) -> tuple[Frame | None, str]:
    """The test frame and its name: the image file asked for, else the one that came along, else a procedural one.

    Returns:
        No frame where engines are timed alone.

    Raises:
        ConfigError: A frame is asked for where there is no use for one.
        DataError: The file is no image the reader takes.
    """
    spec = source.subjects[0].spec
    if not isinstance(spec, ModelSpec):
        if path is not None:
            raise ConfigError(f"--frame {path}: an engine by itself takes tensors, no images; leave it out")
        return None, ""
    if path is None:
        return source.frame or procedural_frame(spec)
    from edgeseg.runtime.data.imagefile import read_image

    return read_image(path, spec.input.color, spec.input.window), path.name
