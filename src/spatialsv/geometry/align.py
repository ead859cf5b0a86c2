"""Alignment of depth to ground truth before it is measured.

Each function takes any leading axes and aligns each of their entries by itself; flatten the axes
that share one alignment into the last (n) or last two (n 3). Entries without a valid pixel give
NaN, never a made-up scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def median(values: Float[Tensor, " n"]) -> float:
    """The median, the two middle values averaged; of any number of values, unlike torch's."""
    if not len(values):
        return math.nan
    ordered = values.sort().values
    return float((ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2)


def median_scale(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> Float[Tensor, "*lead"]:
    """median(target) / median(prediction) over valid pixels, middle values averaged as in NumPy."""
    medians = [
        torch.nanquantile(values.where(valid, torch.nan), 0.5, dim=-1)
        for values in (target, prediction)
    ]
    return medians[0] / medians[1]


def least_squares_scale(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> Float[Tensor, "*lead"]:
    """The s that minimises the sum of (s * prediction - target)^2 over valid pixels."""
    prediction, target = prediction.where(valid, 0), target.where(valid, 0)
    return (prediction * target).sum(dim=-1) / (prediction * prediction).sum(dim=-1)


def weiszfeld_scale(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> Float[Tensor, "*lead"]:
    """The s that minimises the sum of |s * prediction - target|, as MonST3R finds it.

    Ten steps of reweighted least squares from the ratio of the means; 1e-3 at least.
    """
    prediction, target = prediction.where(valid, 0), target.where(valid, 0)
    scale = target.sum(dim=-1) / prediction.sum(dim=-1)
    for _ in range(10):
        weights = 1 / ((scale[..., None] * prediction - target).abs() + 1e-8)
        weighted = weights * prediction
        scale = (weighted * target).sum(dim=-1) / (weighted * prediction).sum(dim=-1)
    return scale.clamp_min(1e-3)


def scale_and_shift(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
    weights: Float[Tensor, "*lead n"] | None = None,
) -> tuple[Float[Tensor, "*lead"], Float[Tensor, "*lead"]]:
    """The s and b that minimise the sum of (s * prediction + b - target)^2 over valid pixels.

    Solved about the means, which stays accurate where depth is large and varies little.
    """
    prediction, target = prediction.where(valid, 0), target.where(valid, 0)
    weights = valid.to(prediction.dtype) * (1 if weights is None else weights)
    total = weights.sum(dim=-1)
    mean_prediction = (weights * prediction).sum(dim=-1) / total
    mean_target = (weights * target).sum(dim=-1) / total
    x = prediction - mean_prediction[..., None]
    y = target - mean_target[..., None]
    scale = (weights * x * y).sum(dim=-1) / (weights * x * x).sum(dim=-1)
    return scale, mean_target - scale * mean_prediction


def lad_scale_and_shift(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
    steps: int = 100,
) -> tuple[Float[Tensor, "*lead"], Float[Tensor, "*lead"]]:
    """The s and b of least absolute deviations: of |s * prediction + b - target| over valid pixels.

    Found by reweighted least squares, within a thousandth of the least sum in `steps`.
    """
    scale, shift = scale_and_shift(prediction, target, valid)
    least = 1e-6 * target.abs().where(valid, 0).amax(dim=-1, keepdim=True)
    for _ in range(steps):
        residual = scale[..., None] * prediction + shift[..., None] - target
        weights = 1 / torch.maximum(residual.abs(), least)
        scale, shift = scale_and_shift(prediction, target, valid, weights.where(valid, 0))
    return scale, shift


ALIGNMENTS: dict[str, Callable] = {
    "median": median_scale,
    "least_squares": least_squares_scale,
    "weiszfeld": weiszfeld_scale,
    "scale_and_shift": scale_and_shift,
    "lad_scale_and_shift": lad_scale_and_shift,
}


def align_depth(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
    how: str,
    in_disparity: bool = False,
    farthest: float = math.inf,
) -> Float[Tensor, "*lead n"]:
    """`prediction` aligned to `target` by the alignment of ALIGNMENTS that is named `how`.

    Args:
        in_disparity: both are inverted, aligned there, and the prediction is inverted back. Valid
            pixels need positive depths.
        farthest: what comes back from disparities that are lower, zero or negative.
    """
    if in_disparity:
        disparity = align_depth(1 / prediction, 1 / target, valid, how)
        return 1 / disparity.clamp_min(1 / farthest)
    found = ALIGNMENTS[how](prediction, target, valid)
    scale, shift = found if isinstance(found, tuple) else (found, torch.zeros_like(found))
    return scale[..., None] * prediction + shift[..., None]
