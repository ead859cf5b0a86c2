"""The point loss (Eq. 5, 10 and 12): l2 + conf + normal."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.masked import Mean, masked_mean, residual
from spatialsv.losses.regression import normal_term, vector_terms


def point_terms(
    points: Float[Tensor, "B N H W 3"],
    confidence: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W 3"],
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
    scales: int,
    mean: Mean = masked_mean,
) -> dict[str, Float[Tensor, ""]]:
    """The three terms by name; points in the first view's frame and the labels' unit."""
    difference = residual(points, target, mask)
    terms = vector_terms(difference, confidence, mask, lambda_c, l2, mean)
    normal = normal_term(points, target, confidence, mask, lambda_c, scales, mean)
    return terms | {"normal": normal}
