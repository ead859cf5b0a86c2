"""The samples of each batch of a run: a function of the seed only, so that a run can resume."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

TEXT, SPATIAL = 0, 1  # the two pools: samples with questions, and samples of images only


class Draw(NamedTuple):
    """One sample of a run."""

    pool: int  # TEXT or SPATIAL
    epoch: int  # completed passes over this pool
    item: int


class BatchSampler(Sampler[list[Draw]]):
    """The batches of a run, which mix text and spatial-only samples at one ratio.

    Each pool is shuffled again in each epoch. Where the share is not an integer number of
    samples, batches alternate so that the ratio holds over the run.

    Args:
        text: number of samples with questions.
        spatial: number of spatial-only samples.
        spatial_share: fraction of each batch that is spatial-only, 0 to 1.
        batch_size: samples in a batch.
        batches: batches in the run.
        seed: of the order.

    Raises:
        ValueError: a share outside 0 to 1, or a pool that is needed but empty.
    """

    drop_last = False  # read by accelerate when it distributes batches over processes

    def __init__(
        self,
        *,
        text: int,
        spatial: int = 0,
        spatial_share: float = 0.0,
        batch_size: int,
        batches: int,
        seed: int,
    ) -> None:
        if not 0 <= spatial_share <= 1:
            raise ValueError(f"spatial_share: expected 0 to 1, found {spatial_share}.")
        for name, size, share in (
            ("samples with questions", text, 1 - spatial_share),
            ("spatial-only samples", spatial, spatial_share),
        ):
            if share and not size:
                raise ValueError(f"Expected {name} to fill {share:.0%} of each batch, found none.")
        self.sizes, self.spatial_share = (text, spatial), spatial_share
        self.batch_size, self.batches, self.seed = batch_size, batches, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        text, spatial = self._stream(TEXT), self._stream(SPATIAL)
        for batch in range(self.batches):
            images_only = self._spatial_until(batch + 1) - self._spatial_until(batch)
            with_text = [next(text) for _ in range(self.batch_size - images_only)]
            yield with_text + [next(spatial) for _ in range(images_only)]

    def _spatial_until(self, batches: int) -> int:
        """Return the number of spatial-only samples in the first `batches` batches."""
        return math.floor(batches * self.batch_size * self.spatial_share + 1e-9)

    def _stream(self, pool: int) -> Iterator[Draw]:
        epoch = 0
        while True:
            order = np.random.default_rng([self.seed, pool, epoch]).permutation(self.sizes[pool])
            yield from (Draw(pool, epoch, int(item)) for item in order)
            epoch += 1
