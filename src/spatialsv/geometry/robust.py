"""What robust fits share: draws by weight, a scale measured from the errors, and Tukey's biweight.

Shapes: V problems, P points, S drawn points; coordinates stand before points.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

CUT = 4.685  # standard deviations beyond which Tukey's biweight hears nothing
MEDIAN = {2: 1.3863, 3: 2.3660}  # of chi squared with 2 and 3 degrees of freedom
ROUNDING = 1e-12  # of float64 after some sums, relative


def draw(weights: Float[Tensor, "V P"], count: int, seed: int) -> Int[Tensor, "V {count}"]:
    """Points drawn with chances as their weights, one from each `count`-th of the whole weight.

    In the points' order, so that they cover an image. Each problem and device has the same draws.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(count, generator=generator, dtype=torch.float64)
    share = ((torch.arange(count) + jitter) / count).to(weights)
    total = weights.cumsum(dim=-1)
    found = torch.searchsorted(total, share * total[:, -1:], right=True)
    return found.clamp_max(weights.shape[-1] - 1)


def minimal_samples(count: int, size: int, drawn: int, seed: int) -> Int[Tensor, "{count} {size}"]:
    """`count` sets of `size` different numbers below `drawn`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, drawn, generator=generator).topk(size, dim=1).indices


def take(values: Float[Tensor, "V C P"], drawn: Int[Tensor, "V S"]) -> Float[Tensor, "V C S"]:
    """The drawn points of each problem."""
    return values.take_along_dim(drawn[:, None], dim=-1)


def squared_length(vectors: Float[Tensor, "*lead 3 P"]) -> Float[Tensor, "*lead P"]:
    """Of each vector; `norm` is many times slower where coordinates stand first."""
    x, y, z = vectors.unbind(dim=-2)
    return torch.addcmul(torch.addcmul(x * x, y, y), z, z)


def variance_of(
    error: Float[Tensor, "V S"], dimensions: int, size: Float[Tensor, " V"] | float = 1.0
) -> Float[Tensor, "V 1"]:
    """Of an error's coordinates, from squared lengths, by their median: half may be outliers.

    Never less than rounding explains in vectors of squared length `size`, or exact points would be
    outliers to each other.
    """
    variance = error.median(dim=-1, keepdim=True).values / MEDIAN[dimensions]
    size = torch.as_tensor(size).to(variance).reshape(-1, 1)
    return torch.maximum(variance, ROUNDING**2 * size + torch.finfo(error.dtype).tiny)


def biweight(error: Float[Tensor, "V P"], variance: Float[Tensor, "V 1"]) -> Float[Tensor, "V P"]:
    """Tukey's, of squared lengths: from 1 where there is no error to 0 at `CUT` deviations."""
    return (1 - error / (CUT**2 * variance)).clamp_min(0).square()
