"""The depth loss (Eq. 5, 10 and 11): l2 + conf + grad."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.regression import confidence_term, gradient_term, l2_term


def depth_terms(
    depth: Float[Tensor, "B N H W"],
    confidence: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
    scales: int,
) -> dict[str, Float[Tensor, ""]]:
    """The three terms by name; z-depth in the labels' unit."""
    vectors = depth[..., None], target[..., None]
    return {
        "l2": l2_term(*vectors, mask, l2),
        "conf": confidence_term(*vectors, confidence, mask, lambda_c),
        "grad": gradient_term(depth, target, confidence, mask, lambda_c, scales),
    }
