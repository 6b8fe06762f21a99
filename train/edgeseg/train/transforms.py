"""Training augmentation from MONAI.

It is drawn as a function of (seed, epoch, index), so that a resumed run equals an unbroken one.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edgeseg.train.config import AugmentConfig


def draw_seed(seed: int, epoch: int, index: int) -> int:
    """One 32-bit seed for one image in one epoch; independent of loader processes and of what was drawn before."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1)[0])


class Augment:
    """Random flips, affine and elastic deformation, gamma, noise and blur of an image and its mask."""

    def __init__(self, config: AugmentConfig, size_px: tuple[int, int]) -> None:
        """Build the MONAI transforms for images of `size_px` = (height, width)."""
        # MONAI takes seconds to import, and pulls in torchao where that is installed, which warns of missing kernels.
        logging.getLogger("torchao").setLevel(logging.ERROR)
        logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
        from monai import transforms as mt

        both: dict[str, Any] = {
            "keys": ["image", "mask"],
            "mode": ["bilinear", "nearest"],
            "padding_mode": "reflection",
        }
        height, width = size_px
        spacing = max(16, min(height, width) // 6)
        steps: list[Any] = []
        if config.flip_horizontal:
            steps.append(mt.RandFlipd(["image", "mask"], prob=0.5, spatial_axis=1))
        if config.flip_vertical:
            steps.append(mt.RandFlipd(["image", "mask"], prob=0.5, spatial_axis=0))
        if config.p_affine:
            steps.append(
                mt.RandAffined(
                    prob=config.p_affine,
                    rotate_range=float(np.deg2rad(config.rotate_deg)),
                    scale_range=(config.scale, config.scale),
                    translate_range=(height * 0.05, width * 0.05),
                    **both,
                )
            )
        if config.p_elastic:
            steps.append(
                mt.Rand2DElasticd(prob=config.p_elastic, spacing=(spacing, spacing), magnitude_range=(1.0, 3.0), **both)
            )
        if config.p_grid:
            steps.append(mt.RandGridDistortiond(prob=config.p_grid, num_cells=5, distort_limit=0.2, **both))
        if config.p_gamma:
            steps.append(mt.RandAdjustContrastd(["image"], prob=config.p_gamma, gamma=(0.7, 1.5)))
        if config.p_noise:
            steps.append(mt.RandGaussianNoised(["image"], prob=config.p_noise, std=0.05, sample_std=True))
        if config.p_blur:
            sigma = (0.25, 1.5)
            steps.append(mt.RandGaussianSmoothd(["image"], prob=config.p_blur, sigma_x=sigma, sigma_y=sigma))
        self._compose = mt.Compose(steps) if steps else None

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Change an image and its mask in the same way.

        Args:
            image: uint8 (H, W, C).
            mask: uint8 (H, W) class ids and `IGNORED`; moved by the nearest pixel, so that no id is blended.
            seed: From `draw_seed`; equal seeds give equal results.

        Returns:
            A new uint8 image (C, H, W) and a new uint8 mask (H, W) of the same ids.
        """
        planes = np.ascontiguousarray(image.transpose(2, 0, 1))  # (C, H, W)
        if self._compose is None:
            return planes, mask.copy()
        self._compose.set_random_state(seed=seed)
        changed = self._compose({"image": planes.astype(np.float32) / 255.0, "mask": mask[None].astype(np.float32)})
        pixels = np.rint(np.asarray(changed["image"]) * 255.0).clip(0, 255).astype(np.uint8)
        return pixels, np.rint(np.asarray(changed["mask"])[0]).astype(np.uint8)
