"""Robust estimation: draws by weight, an error scale from the median, and Tukey's biweight.

Shapes: V problems, P points, S drawn points; coordinates precede points.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

CUTOFF = 4.685  # standard deviations beyond which Tukey's biweight is 0
CHI_SQUARED_MEDIAN = {2: 1.3863, 3: 2.3660}  # by degrees of freedom
ROUNDING = 1e-12  # relative error of float64 after some sums


def draw_by_weight(
    weights: Float[Tensor, "V P"], count: int, seed: int
) -> Int[Tensor, "V {count}"]:
    """Draw points with probability proportional to their weight, by stratified sampling.

    The total weight is cut into `count` equal strata with one draw each, in the order of the
    points, so that the draws cover an image. Every problem and device has the same random numbers.

    Args:
        weights: Non-negative weights.
        count: Number of draws.
        seed: Seed of the draws.

    Returns:
        Indices of points, in ascending order.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(count, generator=generator, dtype=torch.float64)
    strata = ((torch.arange(count) + jitter) / count).to(weights)
    total = weights.cumsum(dim=-1)
    indices = torch.searchsorted(total, strata * total[:, -1:], right=True)
    return indices.clamp_max(weights.shape[-1] - 1)


def draw_minimal_samples(
    count: int, size: int, population: int, seed: int
) -> Int[Tensor, "{count} {size}"]:
    """Draw `count` sets of `size` different indices below `population`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, population, generator=generator).topk(size, dim=1).indices


def take_points(
    values: Float[Tensor, "V C P"], indices: Int[Tensor, "V S"]
) -> Float[Tensor, "V C S"]:
    """Return the points at `indices` of each problem."""
    return values.take_along_dim(indices[:, None], dim=-1)


def robust_variance(
    error: Float[Tensor, "V S"], dimensions: int, size: Float[Tensor, " V"] | float = 1.0
) -> Float[Tensor, "V 1"]:
    """Estimate the variance of an error's coordinates from the median of its squared lengths.

    Half of the errors may be outliers.

    Args:
        error: Squared lengths of the errors.
        dimensions: Dimensions that the errors vary in, 2 or 3.
        size: Squared length of the vectors that are compared. The variance is at least what
            rounding explains in these; otherwise exact points would be outliers to each other.

    Returns:
        The variance of each problem.
    """
    variance = error.median(dim=-1, keepdim=True).values / CHI_SQUARED_MEDIAN[dimensions]
    size = torch.as_tensor(size).to(variance).reshape(-1, 1)
    return torch.maximum(variance, ROUNDING**2 * size + torch.finfo(error.dtype).tiny)


def biweight(error: Float[Tensor, "V P"], variance: Float[Tensor, "V 1"]) -> Float[Tensor, "V P"]:
    """Return Tukey's biweight of squared lengths: 1 at no error, 0 from CUTOFF deviations on."""
    return (1 - error / (CUTOFF**2 * variance)).clamp_min(0).square()
