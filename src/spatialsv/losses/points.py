"""The point loss (Eq. 5, 10 and 12): l2 + conf + normal."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.regression import confidence_term, l2_term, normal_term


def point_terms(
    points: Float[Tensor, "B N H W 3"],
    confidence: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W 3"],
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
    scales: int,
) -> dict[str, Float[Tensor, ""]]:
    """The three terms by name; points in the first view's frame and the labels' unit."""
    return {
        "l2": l2_term(points, target, mask, l2),
        "conf": confidence_term(points, target, confidence, mask, lambda_c),
        "normal": normal_term(points, target, confidence, mask, lambda_c, scales),
    }
