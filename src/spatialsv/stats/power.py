"""Power: the smallest difference that a test set of this size could have shown."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from spatialsv.stats.intervals import cluster_standard_error


def smallest_difference(
    differences: Float[np.ndarray, " Q"],
    clusters: Sequence[Hashable],
    power: float = 0.8,
    level: float = 0.95,
) -> float | None:
    """The true mean difference that a paired two-sided test would find with probability `power`.

    (z_{(1 + level) / 2} + z_power) times the clustered standard error of the paired differences:
    2.80 standard errors at the usual settings. The spread comes from the answers themselves, so
    the value speaks of these questions, scenes and models, at one seed each.

    Returns: the difference in the unit of `differences`, or None with fewer than two clusters.
    """
    error = cluster_standard_error(differences, clusters)
    return None if error is None else float(ndtri(0.5 + level / 2) + ndtri(power)) * error
