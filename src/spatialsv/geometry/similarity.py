"""Similarity transforms between corresponding points: Umeyama's, and a robust variant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.rays import squared_length
from spatialsv.geometry.robust import (
    biweight,
    draw_by_weight,
    draw_minimal_samples,
    robust_variance,
    take_points,
)

MIN_POINTS = 3  # that determine a similarity
DRAWN_POINTS = 512  # drawn by weight, on which fits are compared


@dataclass(frozen=True, eq=False)
class Similarity:
    """The transform x -> scale * rotation @ x + translation."""

    scale: Float[Tensor, "*lead"]
    rotation: Float[Tensor, "*lead 3 3"]
    translation: Float[Tensor, "*lead 3"]

    def apply(self, points: Float[Tensor, "*lead n 3"]) -> Float[Tensor, "*lead n 3"]:
        """Return the transformed points."""
        rotated = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * rotated + self.translation[..., None, :]


def umeyama(
    source: Float[Tensor, "*lead n 3"],
    target: Float[Tensor, "*lead n 3"],
    weights: Float[Tensor, "*lead n"] | None = None,
    with_scale: bool = True,
) -> Similarity:
    """Fit `source` to `target` by weighted least squares (Umeyama 1991).

    Args:
        source: Points to transform.
        target: Corresponding points.
        weights: Weights of the squared distances; all equal by default.
        with_scale: False fits a rigid motion.

    Returns:
        The transform; NaN where a point is not finite. Its rotation is proper even where points
        are mirrored.
    """
    if weights is None:
        weights = torch.ones_like(source[..., 0])
    share = (weights / weights.sum(dim=-1, keepdim=True))[..., None]
    source_mean, target_mean = (source * share).sum(dim=-2), (target * share).sum(dim=-2)
    x, y = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = (y * share).transpose(-1, -2) @ x
    finite = covariance.isfinite().all(dim=(-2, -1))[..., None, None]
    left, singular, right = torch.linalg.svd(covariance.where(finite, 0))
    signs = torch.ones_like(singular)
    signs[..., 2] = torch.where(torch.linalg.det(left) * torch.linalg.det(right) < 0, -1.0, 1.0)
    rotation = ((left * signs[..., None, :]) @ right).where(finite, torch.nan)
    variance = (share * x * x).sum(dim=(-2, -1))
    scale = (singular * signs).sum(dim=-1) / variance if with_scale else torch.ones_like(variance)
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
    """Fit `source` to `target` where up to 40 % of the weight may be outliers.

    The best of `samples` three-point fits, by the median distance, is refined by least squares,
    reweighted by Tukey's biweight.

    Args:
        source: Points to transform.
        target: Corresponding points.
        weights: Weights of the points; all equal by default.
        with_scale: False fits a rigid motion.
        samples: Three-point fits.
        steps: Steps of reweighting.
        seed: Seed of the samples.

    Returns:
        The transform; NaN where fewer than three points have a positive weight.
    """
    lead, n = source.shape[:-2], source.shape[-2]
    weights = torch.ones_like(source[..., 0]) if weights is None else weights
    source, target = source.reshape(-1, n, 3), target.reshape(-1, n, 3)
    weights = weights.reshape(-1, n)
    fit = _best_minimal_fit(source, target, weights, with_scale, samples, seed)
    size = (weights[..., None] * target.square()).sum(dim=(1, 2)) / weights.sum(dim=1)
    for _ in range(steps):
        error = squared_length((fit.apply(source) - target).mT)
        drawn = error.take_along_dim(draw_by_weight(weights, DRAWN_POINTS, seed), dim=-1)
        trusted = weights * biweight(error, robust_variance(drawn, 3, size))
        fit = umeyama(source, target, trusted, with_scale)
    enough = (weights > 0).sum(dim=1) >= MIN_POINTS
    nan = torch.where(enough, 0.0, torch.nan).to(source)
    return Similarity(
        scale=(fit.scale + nan).reshape(lead),
        rotation=(fit.rotation + nan[:, None, None]).reshape(*lead, 3, 3),
        translation=(fit.translation + nan[:, None]).reshape(*lead, 3),
    )


def _best_minimal_fit(
    source: Float[Tensor, "V n 3"],
    target: Float[Tensor, "V n 3"],
    weights: Float[Tensor, "V n"],
    with_scale: bool,
    samples: int,
    seed: int,
) -> Similarity:
    """Return the fit through three different points of the smallest median distance."""
    drawn = draw_by_weight(weights, DRAWN_POINTS, seed)
    source, target = (take_points(x.mT, drawn).mT for x in (source, target))  # (V, S, 3)
    chosen = draw_minimal_samples(samples, MIN_POINTS, DRAWN_POINTS, seed).to(source.device)
    fits = umeyama(source[:, chosen], target[:, chosen], with_scale=with_scale)  # (V, K) fits
    moved = fits.apply(source[:, None].expand(-1, samples, -1, -1))  # (V, K, S, 3)
    error = squared_length((moved - target[:, None]).mT).median(dim=-1).values
    first, second, third = drawn[:, chosen].unbind(dim=-1)  # a heavy point is drawn repeatedly
    different = (first != second) & (second != third) & (third != first)
    best = error.where(different, torch.inf).nan_to_num(nan=torch.inf).argmin(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return Similarity(
        scale=fits.scale[rows, best],
        rotation=fits.rotation[rows, best],
        translation=fits.translation[rows, best],
    )
