"""Which images are looked at: a seeded draw in which every class present gets its share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.runtime.data.dataset import Sample
from edgeseg.runtime.errors import ConfigError

EMPTY = "no foreground"
MIN_IMAGES = 8


@dataclass(frozen=True)
class Draw:
    """The images drawn.

    Attributes:
        samples: In the order they were drawn.
        images_by_class: How many of them hold each foreground class, and how many none of them.
    """

    samples: tuple[Sample, ...]
    images_by_class: dict[str, int]

    @property
    def stems(self) -> list[str]:
        """Names of the images."""
        return [sample.stem for sample in self.samples]


def draw_balanced(samples: Sequence[Sample], classes: Sequence[str], count: int, seed: int) -> Draw:
    """Draw images so that each foreground class, and images without any, get equal turns.

    Each turn takes the next image, in a seeded order, that holds the class whose turn it is; a class with no images
    left is passed over. So a rare class has all its images drawn before a common one takes the rest.

    Args:
        samples: To draw from; their masks are read.
        classes: Names by id, the background first.
        count: How many images; all of them if there are fewer.
        seed: Of the order.

    Raises:
        DataError: If a mask cannot be read.
    """
    order = np.random.default_rng(seed).permutation(len(samples))
    held = {int(index): _held(samples[int(index)], classes) for index in order}
    queues = [[index for index, its in held.items() if name in its] for name in (*classes[1:], EMPTY)]
    drawn: list[int] = []
    taken: set[int] = set()
    while len(drawn) < min(count, len(samples)):
        for queue in queues:
            while queue and queue[0] in taken:
                queue.pop(0)
            if queue and len(drawn) < count:
                drawn.append(queue.pop(0))
                taken.add(drawn[-1])
    present = {name: sum(name in held[index] for index in drawn) for name in (*classes[1:], EMPTY)}
    return Draw(tuple(samples[index] for index in drawn), present)


def draw_calibration(train: Sequence[Sample], classes: Sequence[str], count: int, seed: int) -> Draw:
    """Draw calibration images. Arguments as for `draw_balanced`, from the training split.

    Raises:
        ConfigError: If fewer than 8 are asked for or there.
    """
    if count < MIN_IMAGES or len(train) < MIN_IMAGES:
        raise ConfigError(
            f"calibration needs at least {MIN_IMAGES} images, but {count} are asked for and train has {len(train)}. "
            "Raise quantize.images, or mark more images for train."
        )
    return draw_balanced(train, classes, count, seed)


def _held(sample: Sample, classes: Sequence[str]) -> set[str]:
    """Names of the foreground classes in an image's mask, or that there are none; ignored pixels are no class."""
    counts = np.bincount(sample.read_truth(len(classes)).reshape(-1), minlength=len(classes))
    return {name for name, n in zip(classes[1:], counts[1 : len(classes)], strict=True) if n} or {EMPTY}
