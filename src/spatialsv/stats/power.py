"""Power: the smallest difference that a test set of this size could have shown."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit


def detectable(
    error: float | None, freedom: float | None = None, level: float = 0.05, power: float = 0.8
) -> float | None:
    """The true difference that a two-sided test at `level` would find with probability `power`.

    (t_{1 - level / 2} + t_power) times a standard error: 2.80 times at the usual settings.

    Args:
        error: of the difference, such as `Comparison.error`; None gives None.
        freedom: degrees of freedom of the error; None: it is known, t is normal.
    """
    if error is None:
        return None
    freedom = np.inf if freedom is None else freedom
    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power)) * error
