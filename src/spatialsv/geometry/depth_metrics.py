"""Depth errors under their published names. Nothing is aligned here: see `align`.

They are given for each leading entry, so that the caller says whether a mean runs over images or
pixels. Where there is nothing to measure the answer is NaN, never 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST_DEPTH = 1e-5  # a prediction's floor in logarithms and ratios


def depth_metrics(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> dict[str, Float[Tensor, "*lead"]]:
    """abs_rel, sq_rel, rmse, log_rmse and delta1 to delta3 of each entry.

    delta_k is the share of ratios strictly below 1.25^k; sq_rel is the mean of (prediction -
    target)^2 / target, in the unit of depth. Valid pixels must have a positive target.
    """
    count = valid.sum(dim=-1)

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0).sum(dim=-1) / count  # 0 / 0 = NaN where none is valid

    target = target.where(valid, 1)
    floored = prediction.clamp_min(LEAST_DEPTH)
    ratio = torch.maximum(floored / target, target / floored)
    metrics = {
        "abs_rel": mean((prediction - target).abs() / target),
        "sq_rel": mean((prediction - target).square() / target),
        "rmse": mean((prediction - target).square()).sqrt(),
        "log_rmse": mean((floored.log() - target.log()).square()).sqrt(),
    }
    for k in (1, 2, 3):
        metrics[f"delta{k}"] = mean((ratio < 1.25**k).to(ratio.dtype))
    return metrics
