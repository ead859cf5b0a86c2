"""Mean and spread of a number over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A number over `n` seeds."""

    mean: float
    deviation: float | None  # sample standard deviation; None for one seed, which shows no spread
    n: int


def over_seeds(values: Sequence[float | int]) -> Spread:
    """Mean and sample standard deviation of one number over seeds.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no seeds to aggregate: give at least one value")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def metrics_over_seeds(runs: Sequence[Mapping[str, float | int | None]]) -> dict[str, Spread]:
    """Each metric over the runs that have it, in the order of first appearance."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: over_seeds(found)
        for name in names
        if (found := [run[name] for run in runs if run.get(name) is not None])
    }
