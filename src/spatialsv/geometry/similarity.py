"""Similarity transforms between points that correspond: Umeyama's, and one that outliers spare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.robust import (
    biweight,
    draw,
    minimal_samples,
    squared_length,
    take,
    variance_of,
)

MINIMUM = 3  # points that determine a similarity
DRAWN = 512  # points, drawn by weight, on which fits are compared


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


def robust_umeyama(
    source: Float[Tensor, "*lead n 3"],
    target: Float[Tensor, "*lead n 3"],
    weights: Float[Tensor, "*lead n"] | None = None,
    with_scale: bool = True,
    samples: int = 128,
    steps: int = 10,
    seed: int = 0,
) -> Similarity:
    """As `umeyama`, where up to four tenths of the weight may lie with outliers.

    Starts from the best, by the median of distances, of `samples` fits to three points each, and
    refines it by least squares, reweighted by Tukey's biweight. NaN without three weighted points.
    """
    lead, n = source.shape[:-2], source.shape[-2]
    weights = torch.ones_like(source[..., 0]) if weights is None else weights
    source, target = source.reshape(-1, n, 3), target.reshape(-1, n, 3)
    weights = weights.reshape(-1, n)
    found = _best_of_three(source, target, weights, with_scale, samples, seed)
    size = (weights[..., None] * target.square()).sum(dim=(1, 2)) / weights.sum(dim=1)
    for _ in range(steps):
        error = squared_length((found.apply(source) - target).mT)
        drawn = error.take_along_dim(draw(weights, DRAWN, seed), dim=-1)
        trusted = weights * biweight(error, variance_of(drawn, 3, size))
        found = umeyama(source, target, trusted, with_scale)
    alive = torch.where((weights > 0).sum(dim=1) >= MINIMUM, 0.0, torch.nan).to(source)
    return Similarity(
        scale=(found.scale + alive).reshape(lead),
        rotation=(found.rotation + alive[:, None, None]).reshape(*lead, 3, 3),
        translation=(found.translation + alive[:, None]).reshape(*lead, 3),
    )


def _best_of_three(
    source: Float[Tensor, "V n 3"],
    target: Float[Tensor, "V n 3"],
    weights: Float[Tensor, "V n"],
    with_scale: bool,
    samples: int,
    seed: int,
) -> Similarity:
    drawn = draw(weights, DRAWN, seed)
    source, target = take(source.mT, drawn).mT, take(target.mT, drawn).mT  # (V, S, 3)
    chosen = minimal_samples(samples, MINIMUM, DRAWN, seed).to(source.device)  # (K, 3)
    fits = umeyama(source[:, chosen], target[:, chosen], with_scale=with_scale)
    moved = fits.apply(source[:, None].expand(-1, samples, -1, -1))  # (V, K, S, 3)
    error = squared_length((moved - target[:, None]).mT).median(dim=-1).values
    best = error.nan_to_num(nan=torch.inf).argmin(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return Similarity(
        scale=fits.scale[rows, best],
        rotation=fits.rotation[rows, best],
        translation=fits.translation[rows, best],
    )
