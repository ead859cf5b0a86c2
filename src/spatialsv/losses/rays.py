"""The ray loss (Eq. 5 and 10): l2 + conf over origin and direction as one vector of six."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.rays import RayMap
from spatialsv.losses.masked import Mean, masked_mean, residual
from spatialsv.losses.regression import vector_terms


def ray_terms(
    rays: RayMap,
    confidence: Float[Tensor, "B N H W"],
    target: RayMap,
    mask: Bool[Tensor, "B N H W"],
    *,
    lambda_c: float,
    l2: Literal["norm", "square"],
    mean: Mean = masked_mean,
) -> dict[str, Float[Tensor, ""]]:
    """The two terms by name. Directions are not normalised.

    Rays are known wherever the camera is, but only pixels with valid depth count, as for the other
    tasks: a label maker's camera is no better than its depth.
    """
    origins = residual(rays.origins, target.origins, mask)
    directions = residual(rays.directions, target.directions, mask)
    return vector_terms(torch.cat([origins, directions]), confidence, mask, lambda_c, l2, mean)
