"""Alignment of predictions to ground truth before they are measured.

Each function takes any leading axes and aligns each of their entries by itself; flatten the axes
that share one alignment into the last (n) or last two (n 3). Entries without a valid pixel give
NaN, never a made-up scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: Float[Tensor, "*lead"]
    rotation: Float[Tensor, "*lead 3 3"]
    translation: Float[Tensor, "*lead 3"]

    def apply(self, points: Float[Tensor, "*lead n 3"]) -> Float[Tensor, "*lead n 3"]:
        """The points after the transform."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def median_scale(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> Float[Tensor, "*lead"]:
    """median(target) / median(prediction) over valid pixels, middle values averaged as in NumPy."""
    middle = [
        torch.nanquantile(values.where(valid, torch.nan), 0.5, dim=-1)
        for values in (target, prediction)
    ]
    return middle[0] / middle[1]


def least_squares_scale(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> Float[Tensor, "*lead"]:
    """The s that minimises the sum of (s * prediction - target)^2 over valid pixels."""
    prediction, target = prediction.where(valid, 0), target.where(valid, 0)
    return (prediction * target).sum(dim=-1) / (prediction * prediction).sum(dim=-1)


def scale_and_shift(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> tuple[Float[Tensor, "*lead"], Float[Tensor, "*lead"]]:
    """The s and b that minimise the sum of (s * prediction + b - target)^2 over valid pixels.

    Solved about the means, which stays accurate where depth is large and varies little.
    """
    count = valid.sum(dim=-1)
    mean_prediction = prediction.where(valid, 0).sum(dim=-1) / count
    mean_target = target.where(valid, 0).sum(dim=-1) / count
    x = (prediction - mean_prediction[..., None]).where(valid, 0)
    y = (target - mean_target[..., None]).where(valid, 0)
    scale = (x * y).sum(dim=-1) / (x * x).sum(dim=-1)
    return scale, mean_target - scale * mean_prediction


def umeyama(
    source: Float[Tensor, "*lead n 3"],
    target: Float[Tensor, "*lead n 3"],
    weights: Float[Tensor, "*lead n"] | None = None,
    with_scale: bool = True,
) -> Similarity:
    """The transform of `source` closest to `target` in weighted least squares (Umeyama 1991).

    `with_scale=False` gives a rigid motion. The rotation is proper even where points are mirrored.
    """
    if weights is None:
        weights = torch.ones_like(source[..., 0])
    share = (weights / weights.sum(dim=-1, keepdim=True))[..., None]
    source_mean, target_mean = (source * share).sum(dim=-2), (target * share).sum(dim=-2)
    x, y = source - source_mean[..., None, :], target - target_mean[..., None, :]
    left, singular, right = torch.linalg.svd((y * share).transpose(-1, -2) @ x)
    signs = torch.ones_like(singular)
    signs[..., 2] = torch.where(torch.linalg.det(left) * torch.linalg.det(right) < 0, -1.0, 1.0)
    rotation = (left * signs[..., None, :]) @ right
    spread = (share * x * x).sum(dim=(-2, -1))
    scale = (singular * signs).sum(dim=-1) / spread if with_scale else torch.ones_like(spread)
    moved = scale[..., None] * (rotation @ source_mean[..., None]).squeeze(-1)
    return Similarity(scale=scale, rotation=rotation, translation=target_mean - moved)
