"""Which training image comes when: an order of (seed, epoch) alone, so that a resumed run goes on in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch.distributed as dist
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Keys (epoch, index) in an order that depends on (seed, epoch) alone, split over processes under DDP."""

    def __init__(self, length: int, population: int, seed: int, *, devices: int = 1, joining: int = 0) -> None:
        """Plan the draws.

        Args:
            length: Draws an epoch.
            population: Frames there are; a shorter epoch takes other ones of them each time.
            seed: Of the order.
            devices: Processes the draws are split over, as long as they have not started.
            joining: Further draws an epoch, mixed among the others; their indices are above all of those.
        """
        self.length, self.population, self.seed, self.joining = length, max(length, population), seed, joining
        self.devices, self.epoch = devices, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch, also after a resume."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.population)[: self.length]
        if self.joining:
            order = rng.permutation(np.concatenate([order, self.population + np.arange(self.joining)]))
        rank, world = self._rank()
        for index in order[rank : self._even(world) : world]:
            yield self.epoch, int(index)

    def __len__(self) -> int:
        _, world = self._rank()
        return self._even(world) // world

    def _even(self, world: int) -> int:
        return (self.length + self.joining) // world * world  # every process takes the same number of steps

    def _rank(self) -> tuple[int, int]:
        if dist.is_available() and dist.is_initialized():
            return dist.get_rank(), dist.get_world_size()
        return 0, self.devices
