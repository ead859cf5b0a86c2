"""Aggregation over seeds of training: mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SeedStatistics:
    """A number over `n` seeds."""

    mean: float
    deviation: float | None  # sample standard deviation; None for a single seed
    n: int


def summarise_seeds(values: Sequence[float | int]) -> SeedStatistics:
    """Return mean and sample standard deviation of a number over seeds.

    Args:
        values: The number at each seed.

    Returns:
        Its statistics.

    Raises:
        ValueError: `values` is empty.
    """
    if not values:
        raise ValueError("Cannot aggregate over 0 seeds. Give at least one value.")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SeedStatistics(float(np.mean(values)), deviation, len(values))


def summarise_metrics(
    runs: Sequence[Mapping[str, float | int | None]],
) -> dict[str, SeedStatistics]:
    """Return statistics of each metric over the runs that have it, in order of appearance."""
    names = dict.fromkeys(name for run in runs for name in run)
    values = {
        name: [value for run in runs if (value := run.get(name)) is not None] for name in names
    }
    return {name: summarise_seeds(numbers) for name, numbers in values.items() if numbers}
