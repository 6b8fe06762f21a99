"""The embedded data set: machined-metal surfaces with scratches, pits and stains, drawn by rule.

It needs no download, so that the first run works anywhere. A part is drawn once on a canvas a little larger than a
frame: its finish (`surface`), then its defects (`defects`). Its two views are shifted crops under
other light and other sensor noise. A mask is exactly what was drawn; only the lens's blur, about half a pixel, reaches
beyond it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import new_folder
from edgeseg.train.synthetic.defects import CLASSES, add_defects
from edgeseg.train.synthetic.surface import FloatMap, Mask, cloud, draw_surface

VIEWS_PER_PART = 2
_MARGIN = 0.06  # the canvas exceeds the frame by this fraction of it on each side; views shift within it


@dataclass(frozen=True)
class _Part:
    """One drawn part, before light and sensor."""

    surface: FloatMap  # (S, S), reflectance, about 0.2 to 0.9
    mask: Mask  # (S, S), class ids


def write_dataset(root: Path, n: int, seed: int, size_px: int = 256) -> None:
    """Write a data set of `n` frames; equal arguments write equal pixels.

    Args:
        root: The folder to create: `images/`, `masks/`, `meta.csv` (stem, split, group, kind), `dataset.yaml`. It must
            not exist or be empty, and is complete once it appears (drawn beside its place, then moved there).
        n: Frames, at least 6. Two views make a part, a third of the parts is good, and the parts are split 60 / 20 / 20
            into train, val and test.
        seed: Start of every random choice.
        size_px: Height and width of the frames, at least 64.

    Raises:
        ConfigError: If `n` or `size_px` is too small, `seed` negative, or `root` already holds something.
    """
    if n < 6 or size_px < 64 or seed < 0:
        found = f"n={n}, size_px={size_px}, seed={seed}"
        raise ConfigError(f"synthetic data set: {found} cannot be drawn; give n >= 6, size_px >= 64 and seed >= 0")
    with new_folder(root) as draft:
        for folder in ("images", "masks"):
            (draft / folder).mkdir()
        (draft / "meta.csv").write_text(_write_parts(draft, n, seed, size_px), encoding="utf-8", newline="")
        (draft / "dataset.yaml").write_text(_yaml(n, seed, size_px), encoding="utf-8")


def _write_parts(draft: Path, n: int, seed: int, size_px: int) -> str:
    """Draw every part and view into `draft`; returns the text of meta.csv."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("stem", "split", "group", "kind"))
    for index, (split, defects) in enumerate(_plan_parts(n, seed)):
        rng = np.random.default_rng((seed, size_px, index))
        part = _draw_part(rng, size_px, defects)
        group = f"part{index:04d}"
        for view in range(min(VIEWS_PER_PART, n - index * VIEWS_PER_PART)):
            image, mask = _take_view(rng, part, size_px)
            stem = f"{group}_{view}"
            writer.writerow((stem, split, group, "defect" if mask.any() else "good"))
            (draft / "images" / f"{stem}.png").write_bytes(_png(image))
            (draft / "masks" / f"{stem}.png").write_bytes(_png(mask))
    return table.getvalue()


def _png(pixels: Mask) -> bytes:
    return cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()


def _yaml(n: int, seed: int, size_px: int) -> str:
    return (
        f"# Drawn by edgeseg.train.synthetic: n={n}, seed={seed}, size_px={size_px}\n"
        f"name: synthetic_metal\nclasses: [{', '.join(CLASSES)}]\ncolor: gray\n"
        "licence: CC0-1.0\nmay_redistribute: true\n"
    )


def _plan_parts(n: int, seed: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield split and defect classes of each part, in the order they are drawn.

    Defective and good parts are split alike; the first defective part of each split shows all three classes, so that
    no split lacks one.
    """
    rng = np.random.default_rng((seed, n))
    n_parts = math.ceil(n / VIEWS_PER_PART)
    n_defective = max(3, n_parts - round(n_parts / 3))
    plan: list[tuple[str, tuple[int, ...]]] = []
    for defective, count in ((True, n_defective), (False, n_parts - n_defective)):
        n_held_out = max(1, round(count / 5)) if count >= 3 else 0
        splits = ["val"] * n_held_out + ["test"] * n_held_out + ["train"] * (count - 2 * n_held_out)
        for i, split in enumerate(splits):
            first_of_split = i == 0 or splits[i - 1] != split
            n_classes = 3 if first_of_split else int(rng.choice((1, 1, 2, 3)))
            plan.append((split, tuple(1 + (i + k) % 3 for k in range(n_classes)) if defective else ()))
    for i in rng.permutation(n_parts):
        yield plan[i]


def _draw_part(rng: np.random.Generator, size_px: int, defects: tuple[int, ...]) -> _Part:
    """Draw the canvas of one part. Views shift by up to the margin, so defects lie where every view sees them."""
    margin_px = round(_MARGIN * size_px)
    surface = draw_surface(rng, size_px + 2 * margin_px, scale=size_px / 256)
    mask = add_defects(rng, surface, defects, size_px)
    return _Part(surface, mask)


def _take_view(rng: np.random.Generator, part: _Part, size_px: int) -> tuple[Mask, Mask]:
    """Photograph a part: a shifted crop, uneven light, vignetting, lens blur, shot and read noise.

    Returns:
        Image (gray) and mask (class ids), both uint8, shape (size_px, size_px).
    """
    top, left = rng.integers(0, part.mask.shape[0] - size_px + 1, 2)
    crop = np.s_[top : top + size_px, left : left + size_px]
    axis = np.linspace(-1, 1, size_px, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    angle, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.22)
    light = 1 + np.float32(tilt * math.cos(angle)) * x + np.float32(tilt * math.sin(angle)) * y
    light -= np.float32(rng.uniform(0.05, 0.16)) * (x * x + y * y)  # vignetting
    light += 0.04 * cloud(rng, size_px, 2)
    light *= np.float32(rng.uniform(0.85, 1.15))  # exposure
    scene = cv2.GaussianBlur(part.surface[crop], (0, 0), rng.uniform(0.45, 0.7)) * light
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    shot, read = np.float32(rng.uniform(0.01, 0.022)), np.float32(rng.uniform(0.004, 0.01))
    scene += noise * np.sqrt(np.maximum(shot * shot * scene, 0) + read * read)
    image = np.clip(scene * 255 + 0.5, 0, 255).astype(np.uint8)
    return image, np.ascontiguousarray(part.mask[crop])
