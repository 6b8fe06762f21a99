"""Machined metal without defects: three finishes, tool marks, dust and oil.

Grain is a one-dimensional profile read across the tool's path (rings, crescents), or streaked noise (brushing). The
harmless marks share a look with each defect: tool marks are lines but follow the grain, dust is specks but bright, oil
is patches but soft.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

FloatMap = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


def draw_surface(rng: np.random.Generator, side_px: int, scale: float) -> FloatMap:
    """Draw one good surface.

    Args:
        rng: Source of every choice.
        side_px: Height and width of the canvas.
        scale: Size of the grain and marks relative to a frame of 256 pixels.

    Returns:
        Reflectance, about 0.3 to 0.8, float32, shape (side_px, side_px).
    """
    finish = FINISHES[int(rng.integers(len(FINISHES)))]
    grain, across = finish(rng, side_px, scale)
    surface = np.float32(rng.uniform(0.46, 0.62)) + np.float32(rng.uniform(0.03, 0.065)) * grain
    surface += 0.015 * cloud(rng, side_px, 3)
    _add_tool_marks(rng, surface, across, scale)
    _add_dust(rng, surface)
    _add_oil_film(rng, surface)
    return surface


def cloud(rng: np.random.Generator, side_px: int, cells: int) -> FloatMap:
    """Smooth noise, (side_px, side_px), deviation about 1, with `cells` cells along a side."""
    coarse = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.float32)


def _profile(rng: np.random.Generator, length: int, feed_px: float, regular: float) -> FloatMap:
    """Heights across the grain, (1, length), unit deviation: feed ridges (`regular` of it) with random scatter."""
    white = rng.standard_normal((1, length), dtype=np.float32)
    scatter = cv2.GaussianBlur(white, (0, 0), 0.7) + 2.0 * cv2.GaussianBlur(white, (0, 0), 3.0)
    wander = np.cumsum(rng.normal(1.0, 0.12, length)).astype(np.float32)[None]
    ridges = np.abs(np.sin(np.float32(math.pi / feed_px) * wander)) - np.float32(0.64)
    profile = regular * ridges / ridges.std() + (1 - regular) * scatter / scatter.std()
    return (profile / profile.std()).astype(np.float32)


def _look_up(profile: FloatMap, position: FloatMap) -> FloatMap:
    """Read a (1, length) profile at float positions [px], (S, S), mirrored beyond its ends."""
    row = np.zeros_like(position)
    return np.asarray(cv2.remap(profile, position, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)


def _grid(side_px: int) -> tuple[FloatMap, FloatMap]:
    axis = np.arange(side_px, dtype=np.float32)
    return np.broadcast_to(axis, (side_px, side_px)), np.broadcast_to(axis[:, None], (side_px, side_px))


def _turned(rng: np.random.Generator, side_px: int, scale: float) -> tuple[FloatMap, FloatMap]:
    """Facing on a lathe: concentric rings, and the fan of light that such rings throw."""
    x, y = _grid(side_px)
    distance, angle = rng.uniform(0.0, 2.2) * side_px, rng.uniform(0, 2 * math.pi)
    centre_x, centre_y = side_px / 2 + distance * math.cos(angle), side_px / 2 + distance * math.sin(angle)
    radius, theta = cv2.cartToPolar(x - np.float32(centre_x), y - np.float32(centre_y))
    radius -= max(0.0, distance - 0.75 * side_px)
    grain = _look_up(_profile(rng, 2 * side_px, rng.uniform(3.5, 8.0) * scale, rng.uniform(0.2, 0.6)), radius)
    fan = np.cos(2 * (theta - np.float32(rng.uniform(0, math.pi)))) * np.minimum(radius / np.float32(12 * scale), 1)
    return grain + np.float32(rng.uniform(0.4, 1.2)) * fan, radius


def _milled(rng: np.random.Generator, side_px: int, scale: float) -> tuple[FloatMap, FloatMap]:
    """Face milling: the crescents of one edge, crossed by fainter ones of its way back."""
    x, y = _grid(side_px)
    angle = rng.uniform(0, 2 * math.pi)
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    feed = c * (x - side_px / 2) + s * (y - side_px / 2)
    cross = c * (y - side_px / 2) - s * (x - side_px / 2) - np.float32(rng.uniform(-0.4, 0.4) * side_px)
    sweep = np.sqrt(np.maximum(np.float32(rng.uniform(1.3, 2.2) * side_px) ** 2 - cross**2, 0))
    sweep -= sweep.mean()
    pitch = rng.uniform(6.0, 11.0) * scale
    ahead, behind = 1.5 * side_px + feed + sweep, 1.5 * side_px + feed - sweep
    front = _look_up(_profile(rng, 3 * side_px, pitch, 0.65), ahead)
    back = _look_up(_profile(rng, 3 * side_px, pitch, 0.65), behind)
    return front + np.float32(rng.uniform(0.1, 0.5)) * back, ahead


def _brushed(rng: np.random.Generator, side_px: int, scale: float) -> tuple[FloatMap, FloatMap]:
    """Brushing or grinding: fine streaks of finite length, nearly straight."""
    big_px = math.ceil(side_px * 1.45)
    white = rng.standard_normal((big_px, big_px), dtype=np.float32)
    length = round(rng.uniform(40, 140) * scale)
    fine = cv2.GaussianBlur(cv2.blur(white, (length, 1)), (0, 0), sigmaX=2.0, sigmaY=0.45)
    streaks: FloatMap = np.asarray(fine, np.float32)
    streaks += 0.8 * cv2.blur(cv2.GaussianBlur(streaks, (0, 0), sigmaX=1.0, sigmaY=1.5), (length, 1))
    angle = rng.uniform(0, 180)
    turn = cv2.getRotationMatrix2D((big_px / 2, big_px / 2), angle, 1.0)
    shift: npt.NDArray[np.float64] = np.array([[0.0, 0.0, (big_px - side_px) / 2]] * 2)
    turn = np.asarray(turn, np.float64) - shift
    grain = cv2.warpAffine(streaks, turn, (side_px, side_px), flags=cv2.INTER_LINEAR)
    x, y = _grid(side_px)
    across = np.float32(math.sin(math.radians(angle))) * x + np.float32(math.cos(math.radians(angle))) * y
    return grain / grain.std(), across + side_px


# Each returns the grain (unit deviation) and the coordinate across it [px], both (side_px, side_px).
_Finish = Callable[[np.random.Generator, int, float], tuple[FloatMap, FloatMap]]
FINISHES: tuple[_Finish, ...] = (_turned, _milled, _brushed)


def _add_tool_marks(rng: np.random.Generator, surface: FloatMap, across: FloatMap, scale: float) -> None:
    """A few deeper lines that follow the grain: harmless, yet lines."""
    low, high = float(across.min()), float(across.max())
    for _ in range(int(rng.integers(0, 5))):
        width = rng.uniform(0.6, 1.3) * scale
        distance = (across - np.float32(rng.uniform(low, high))) / np.float32(width)
        surface += np.float32(rng.uniform(-0.10, 0.08)) * np.exp(-np.minimum(distance**2, 30))


def _add_dust(rng: np.random.Generator, surface: FloatMap) -> None:
    """Some bright specks: as small as pits, yet not dark."""
    n = int(rng.integers(0, 12))
    y, x = rng.integers(0, surface.shape[0] - 1, (2, n))
    surface[y, x] += np.float32(0.22)
    surface[y, x + 1] += np.float32(0.12)


def _add_oil_film(rng: np.random.Generator, surface: FloatMap) -> None:
    """A soft-edged film on some parts: it dims or brightens gently and, at its rim, in bands."""
    if rng.random() > 0.45:
        return
    film = cloud(rng, surface.shape[0], 2) - np.float32(0.4)
    cover = cv2.GaussianBlur(np.clip(film, 0, 1), (0, 0), surface.shape[0] / 40)
    bands = np.sin(np.float32(rng.uniform(6, 11)) * film) * np.float32(0.25)
    surface *= 1 + np.float32(rng.choice((-0.22, 0.16))) * cover * (1 + bands)
