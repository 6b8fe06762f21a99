"""From what a user names on the command line to subjects and a test frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.intensity import spread
from edgeseg.runtime.manifest import ModelSpec

_MODEL_NAMES = ("model.onnx", "model.tflite")
_DEFAULT_SIDE_PX = 256


@dataclass(frozen=True)
class Source:
    """What there is to measure: subjects, and the frame that came with them (pixels and name), if any."""

    subjects: tuple[Subject, ...]
    frame: tuple[Frame, str] | None


@contextmanager
def open_source(path: Path, variant: str) -> Iterator[Source]:
    """Makes the subjects of a bundle (its variants) or of a step's folder (one) ready to be measured.

    Args:
        path: A ``.edgeseg`` file or a folder.
        variant: ``all``, or names with commas between.

    Yields:
        The subjects. Those of a bundle lie in a temporary folder, byte for byte, until the block ends.

    Raises:
        ConfigError: A variant is asked for that is not there.
        BundleError, ManifestError, MeasureError: The bundle or folder is not usable.
    """
    if path.is_dir():
        subject = subject_from_folder(path)
        choose([subject.name], variant)
        yield Source((subject,), None)
        return
    with Bundle.open(path) as bundle, TemporaryDirectory(prefix="edgeseg-bench-") as folder:
        wanted = choose([entry.name for entry in bundle.variants], variant)
        yield Source(tuple(_unpacked(bundle, name, Path(folder)) for name in wanted), _golden_frame(bundle))


def _unpacked(bundle: Bundle, name: str, folder: Path) -> Subject:
    entry = bundle.variant(name)
    # A suffix stays, since engines and people know files by it; the folder keeps equal names apart.
    model = folder / name / Path(entry.file).name
    model.parent.mkdir()
    model.write_bytes(bundle.read(entry.file))
    return Subject(name, model, entry.spec, accuracy=entry.accuracy or None)


def _golden_frame(bundle: Bundle) -> tuple[Frame, str] | None:
    if not bundle.manifest.golden:
        return None
    from edgeseg.runtime.golden import decode_png

    name = bundle.manifest.golden[0].input
    return decode_png(bundle.read(name), name), name


def subject_from_folder(folder: Path, name: str | None = None) -> Subject:
    """The subject of a step's folder, which holds ``spec.json`` beside ``model.onnx`` or ``model.tflite``.

    Args:
        folder: The folder.
        name: The subject's name; the folder's own by default.

    Raises:
        MeasureError: The folder holds no model, or no spec.
        ManifestError: The spec is wrong.
    """
    models = [folder / model for model in _MODEL_NAMES if (folder / model).is_file()]
    if len(models) != 1:
        raise MeasureError(f"{folder} must hold one of {' and '.join(_MODEL_NAMES)}; found {len(models)}")
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise MeasureError(f"{folder / 'spec.json'} cannot be read ({error}): export the step again") from error
    return Subject(name or folder.name, models[0], ModelSpec.from_json(spec))


def choose(names: Sequence[str], wanted: str) -> list[str]:
    """The names that ``--variant`` asks for, in the order of the bundle.

    Args:
        names: All there are.
        wanted: ``all``, or names with commas between.

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


def load_frame(path: Path | None, source: Source) -> tuple[Frame, str]:
    """The test frame and its name: the image file asked for, else the one that came along, else a procedural one.

    Raises:
        DataError: The file is no image the reader takes.
    """
    spec = source.subjects[0].spec
    if path is None:
        return source.frame or procedural_frame(spec)
    from edgeseg.runtime.imagefile import read_image

    return read_image(path, spec.input.color, spec.input.window), path.name
