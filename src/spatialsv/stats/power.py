"""Power: the smallest difference that a test set of this size could have shown."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from spatialsv.stats.intervals import cluster_standard_error


def smallest_difference(
    differences: Float[np.ndarray, " Q"],
    clusters: Sequence[Hashable],
    power: float = 0.8,
    level: float = 0.95,
) -> float | None:
    """The true mean difference that a paired two-sided test would find with probability `power`.

    As `detectable`, of the clustered standard error of the paired differences. The spread comes
    from the answers themselves, so the value speaks of these questions, scenes and models, at one
    seed each.

    Returns: the difference in the unit of `differences`, or None with fewer than two clusters.
    """
    return detectable(cluster_standard_error(differences, clusters), power=power, level=level)


def detectable(
    error: float | None, freedom: float = np.inf, power: float = 0.8, level: float = 0.95
) -> float | None:
    """(t_{(1 + level) / 2} + t_power) times a standard error: 2.80 times at the usual settings.

    Args:
        error: None gives None.
        freedom: degrees of freedom of the error; infinite: known, t is normal.
    """
    if error is None:
        return None
    return float(stdtrit(freedom, 0.5 + level / 2) + stdtrit(freedom, power)) * error
