"""From what a user names on the command line to subjects and a test frame: files are judged by their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgeseg.benchmarks.engine_only.files import distinct_names, engine_subjects
from edgeseg.benchmarks.engine_only.tensors import Sizes, Values
from edgeseg.benchmarks.golden import GoldenFrame, golden_frames
from edgeseg.benchmarks.job import AnySubject
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.engines import MODEL_NAMES
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.file_kind import kind_of
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.manifest import ModelSpec
from edgeseg.runtime.step_folder import SPEC, model_in, open_step

_DEFAULT_SIDE_PX = 256
# What the reader of bundles has the better message for.
_BUNDLES = {"bundle", "missing", "empty", "unreadable", "zip"}


@dataclass(frozen=True)
class Source:
    """What there is to measure: subjects, the frame that came with them (pixels and name) if any, golden frames."""

    subjects: tuple[AnySubject, ...]
    frame: tuple[Frame, str] | None
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
    """Make the subjects of a bundle (its variants), of steps' folders or of model files ready to be measured.

    Args:
        paths: One bundle; or folders and model files. A model file with `spec.json` beside it is its folder's step;
            one without is foreign, and its engine is timed alone.
        variant: `all`, or names with commas between.
        alone: How foreign files are timed.

    Yields:
        The subjects. Those of a bundle lie in a temporary folder, byte for byte, until the block ends.

    Raises:
        ConfigError: A variant is asked for that is not there, or pipelines and foreign files are mixed.
        BundleError, ManifestError, MeasureError: A bundle, folder or file is not usable.
    """
    kinds = {kind_of(path).key for path in paths}
    if len(paths) > 1 and "bundle" in kinds:
        raise ConfigError("a bundle is measured by itself: give one bundle, or folders and model files")
    if len(paths) > 1 or not kinds & _BUNDLES:
        subjects = _from_files(paths, alone)
        wanted = choose([subject.name for subject in subjects], variant)
        yield Source(tuple(subject for subject in subjects if subject.name in wanted), None)
        return
    if alone.asked:
        raise ConfigError(f"--engine-only is for model files and folders; {paths[0].name} is a bundle: unzip it first")
    with Bundle.open(paths[0]) as bundle, TemporaryDirectory(prefix="edgeseg-bench-") as folder:
        wanted = choose([entry.name for entry in bundle.variants], variant)
        subjects = tuple(_unpacked(bundle, name, Path(folder)) for name in wanted)
        golden = golden_frames(bundle)
        frame = (golden[0].frame, bundle.manifest.golden[0].input) if golden else None
        yield Source(subjects, frame, golden)


def _from_files(paths: Sequence[Path], alone: EngineOnly) -> Sequence[AnySubject]:
    """Subjects of folders and model files, all of them pipelines or all of them engines alone."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    steps = [path.is_dir() or (path.name in MODEL_NAMES and (path.parent / SPEC).is_file()) for path in paths]
    if alone.asked:
        files = [model_in(path) if path.is_dir() else path for path in paths]
        return engine_subjects(files, alone.sizes, alone.values, alone.timeout_s)
    if not any(steps):
        return engine_subjects(paths, alone.sizes, alone.values, alone.timeout_s)
    if not all(steps):
        foreign = paths[steps.index(False)]
        raise ConfigError(
            f"{foreign} has no spec.json beside it, so its engine alone can be timed, but {paths[steps.index(True)]} "
            "is a pipeline: they are never compared. --engine-only times the engines of all"
        )
    names = [folders[0].name] if len(folders) == 1 else distinct_names(folders)
    return [subject_from_folder(folder, name) for folder, name in zip(folders, names, strict=True)]


def _unpacked(bundle: Bundle, name: str, folder: Path) -> Subject:
    entry = bundle.variant(name)
    # A suffix stays, since engines and people know files by it; the folder keeps equal names apart.
    model = folder / name / Path(entry.file).name
    model.parent.mkdir()
    model.write_bytes(bundle.read(entry.file))
    return Subject(name, model, entry.spec, accuracy=entry.accuracy or None)


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
