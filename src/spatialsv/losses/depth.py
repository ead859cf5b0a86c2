"""The depth loss (Eq. 5, 10 and 11): l2 + conf + grad."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.masked import Mean, masked_mean, residual
from spatialsv.losses.regression import gradient_term, vector_terms


def depth_terms(
    depth: Float[Tensor, "B N H W"],
    confidence: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
    scales: int,
    mean: Mean = masked_mean,
) -> dict[str, Float[Tensor, ""]]:
    """The three terms by name; z-depth in the labels' unit."""
    difference = residual(depth[..., None], target[..., None], mask)
    terms = vector_terms(difference, confidence, mask, lambda_c, l2, mean)
    grad = gradient_term(difference[0], confidence, mask, lambda_c, scales, mean)
    return terms | {"grad": grad}
