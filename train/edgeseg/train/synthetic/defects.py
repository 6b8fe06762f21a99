"""Scratches, pits and stains: their exact outlines first, then the look of the metal inside.

Nothing outside an outline is touched, so the mask is the truth by construction.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgeseg.train.synthetic.surface import FloatMap, Mask, cloud

CLASSES = ("background", "scratch", "pit", "stain")
SCRATCH, PIT, STAIN = 1, 2, 3
MIN_DEFECT_FRACTION, MAX_DEFECT_FRACTION = 0.001, 0.05  # of the frame, all classes together
_SUBPIXEL_BITS = 4


def add_defects(rng: np.random.Generator, surface: FloatMap, classes: tuple[int, ...], size_px: int) -> Mask:
    """Draw defects of the given classes into a surface, in place.

    Args:
        rng: Source of every choice.
        surface: Reflectance, float32, shape (S, S), S >= size_px; changed inside the returned mask only.
        classes: Class ids to draw; empty for a good part.
        size_px: Side of the frames cut from it. Each of them, wherever it lies, sees every class given, and defects on
            `MIN_DEFECT_FRACTION` to `MAX_DEFECT_FRACTION` of its pixels.

    Returns:
        Class ids, uint8, shape (S, S).
    """
    mask = np.zeros(surface.shape, np.uint8)
    if not classes:
        return mask
    while not _fits(mask, classes, size_px):
        mask[:] = 0
        for class_id in sorted(classes, reverse=True):  # a scratch crosses a pit, a pit lies in a stain
            _OUTLINES[class_id](rng, mask, size_px)
    for class_id in sorted(classes, reverse=True):
        _SHADES[class_id](rng, surface, mask == class_id, size_px / 256)
    return mask


def _fits(mask: Mask, classes: tuple[int, ...], size_px: int) -> bool:
    """Whether the middle, which every frame sees, shows enough of each class, and the whole canvas not too much."""
    shift_px = mask.shape[0] - size_px
    always_seen = np.bincount(mask[shift_px:size_px, shift_px:size_px].ravel(), minlength=4)[1:]
    frame_px2 = size_px**2
    each_shown = all(always_seen[class_id - 1] >= 0.0003 * frame_px2 for class_id in classes)
    enough = always_seen.sum() >= MIN_DEFECT_FRACTION * frame_px2
    return bool(each_shown and enough and np.count_nonzero(mask) <= MAX_DEFECT_FRACTION * frame_px2)


# --- outlines -------------------------------------------------------------------------------------------------------


def _fill(mask: Mask, outline_px: FloatMap, class_id: int) -> None:
    """Fill a polygon (V, 2) of x, y."""
    fixed = np.round(outline_px * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], class_id, cv2.LINE_8, _SUBPIXEL_BITS)


def _blob(
    rng: np.random.Generator, centre_px: FloatMap, radius_px: float, roughness: float, stretch: float
) -> FloatMap:
    """Outline (V, 2) of an irregular blob: a circle with random harmonics, stretched along a random direction."""
    theta = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    order = np.arange(2, 8)[:, None]
    height = rng.normal(0, roughness, (6, 1)) / np.sqrt(order - 1)
    waves = height * np.cos(order * theta + rng.uniform(0, 2 * math.pi, (6, 1)))
    radius = radius_px * np.maximum(1 + waves.sum(axis=0), 0.35)
    points = np.stack((radius * np.cos(theta) * stretch, radius * np.sin(theta) / stretch), axis=1)
    turn = rng.uniform(0, 2 * math.pi)
    rotation = np.array(((math.cos(turn), -math.sin(turn)), (math.sin(turn), math.cos(turn))))
    return (centre_px + points @ rotation.T).astype(np.float32)


def _anywhere(rng: np.random.Generator, mask: Mask) -> FloatMap:
    return (rng.uniform(0.2, 0.8, 2) * mask.shape[0]).astype(np.float32)


def _outline_stain(rng: np.random.Generator, mask: Mask, size_px: int) -> None:
    area_px2 = size_px**2 * math.exp(rng.uniform(math.log(0.0015), math.log(0.045)))
    n = 1 + int(rng.random() < 0.3)
    for _ in range(n):
        radius = math.sqrt(area_px2 / n / math.pi)
        _fill(mask, _blob(rng, _anywhere(rng, mask), radius, 0.14, rng.uniform(1.0, 1.4)), STAIN)


def _outline_pits(rng: np.random.Generator, mask: Mask, size_px: int) -> None:
    """A loose cluster of small craters."""
    centre = _anywhere(rng, mask)
    for _ in range(int(rng.integers(1, 7))):
        place = centre + rng.normal(0, 0.06 * size_px, 2).astype(np.float32)
        radius = size_px / 256 * math.exp(rng.uniform(math.log(1.8), math.log(6.5)))
        _fill(mask, _blob(rng, place, radius, 0.10, rng.uniform(1.0, 1.3)), PIT)


def _outline_scratch(rng: np.random.Generator, mask: Mask, size_px: int) -> None:
    """One to three curved ribbons that taper at both ends."""
    for _ in range(int(rng.choice((1, 1, 2, 3)))):
        middle, angle = _anywhere(rng, mask), rng.uniform(0, math.pi)
        half = size_px * rng.uniform(0.06, 0.36) * np.array((math.cos(angle), math.sin(angle)))
        bend = rng.normal(0, 0.25) * np.array((-half[1], half[0]))
        t = np.linspace(0, 1, 40)[:, None]
        # A quadratic Bezier curve, (40, 2).
        line = (1 - t) ** 2 * (middle - half) + 2 * t * (1 - t) * (middle + bend) + t**2 * (middle + half)
        slope = np.gradient(line, axis=0)
        normal = np.stack((-slope[:, 1], slope[:, 0]), axis=1) / np.linalg.norm(slope, axis=1, keepdims=True)
        width = size_px / 256 * rng.uniform(0.5, 1.5) * np.sin(math.pi * (0.04 + 0.92 * t)) ** 0.5
        _fill(mask, np.concatenate((line + normal * width, (line - normal * width)[::-1])), SCRATCH)


# --- looks ----------------------------------------------------------------------------------------------------------


def _facing_light(rng: np.random.Generator, inside: Mask, blur_px: float) -> FloatMap:
    """Slope of the walls towards a random light, about -1 to 1, (S, S); zero on flat ground."""
    depth = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), blur_px)
    angle = rng.uniform(0, 2 * math.pi)
    slope = math.cos(angle) * cv2.Sobel(depth, cv2.CV_32F, 1, 0) + math.sin(angle) * cv2.Sobel(depth, cv2.CV_32F, 0, 1)
    return np.float32(blur_px / 3) * slope


def _depth(inside: Mask, full_px: float) -> FloatMap:
    """0 at the rim to 1 at `full_px` pixels inside, (S, S)."""
    return np.minimum(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3) / np.float32(full_px), 1)


def _shade_stain(rng: np.random.Generator, surface: FloatMap, inside: Mask, scale: float) -> None:
    """Dried or oxidised: darker, duller, mottled, with a darker rim."""
    tone = np.float32(rng.uniform(0.62, 0.82)) + np.float32(0.05) * cloud(rng, surface.shape[0], 14)
    rim = np.float32(rng.uniform(0.04, 0.16)) * (1 - _depth(inside, 4 * scale))
    level = surface.mean()
    dull = level + np.float32(rng.uniform(0.55, 0.9)) * (surface - level)
    surface[inside] = (dull * (tone - rim))[inside]


def _shade_pits(rng: np.random.Generator, surface: FloatMap, inside: Mask, scale: float) -> None:
    """Craters: dark ground, one wall lit, the other in shadow."""
    ground = np.float32(rng.uniform(0.14, 0.26)) + 0.03 * cloud(rng, surface.shape[0], 40)
    depth = np.float32(0.45) + np.float32(0.55) * _depth(inside, 2.5 * scale)
    lit = np.float32(rng.uniform(0.15, 0.4)) * _facing_light(rng, inside, 1.2 * scale)
    surface[inside] = (surface * (1 - depth) + ground * depth + lit)[inside]


def _shade_scratch(rng: np.random.Generator, surface: FloatMap, inside: Mask, scale: float) -> None:
    """Grooves: bright bare metal or dark shadow, uneven in strength along their length, one edge lit."""
    uneven = np.clip(1 + 0.25 * cloud(rng, surface.shape[0], 10), 0.55, 1.4)
    strength = np.float32(rng.choice((-0.26, -0.2, 0.24))) * uneven
    lit = np.float32(rng.uniform(0.08, 0.2)) * _facing_light(rng, inside, 0.9 * scale)
    surface[inside] += (strength + lit)[inside]


_OUTLINES = {SCRATCH: _outline_scratch, PIT: _outline_pits, STAIN: _outline_stain}
_SHADES = {SCRATCH: _shade_scratch, PIT: _shade_pits, STAIN: _shade_stain}
