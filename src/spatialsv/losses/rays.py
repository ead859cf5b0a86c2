"""The ray loss (Eq. 5 and 10): l2 + conf over origin and direction as one vector of six."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.regression import confidence_term, l2_term


def ray_terms(
    rays: Float[Tensor, "B N H W 6"],
    confidence: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W 6"],
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
) -> dict[str, Float[Tensor, ""]]:
    """The two terms by name. Channels are origin, then direction, which is not normalised.

    Rays are known wherever the camera is, but only pixels with valid depth count, as for the other
    tasks: a label maker's camera is no better than its depth.
    """
    return {
        "l2": l2_term(rays, target, mask, l2),
        "conf": confidence_term(rays, target, confidence, mask, lambda_c),
    }
