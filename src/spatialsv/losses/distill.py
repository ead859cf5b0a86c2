"""Feature distillation (Eq. 2): visual states that point where the teacher's features point.

Shapes: B samples, N views, h w visual tokens, H W the teacher's own patches, C channels.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor


def distill_loss(
    distilled: Float[Tensor, "B N h w C"],
    features: Float[Tensor, "B N H W C"],
    present: Bool[Tensor, "B N"],
) -> Float[Tensor, ""]:
    """Minus the mean cosine, in [-1, 1], over the tokens of views that have geometry.

    Features are average-pooled to the grid of visual tokens and carry no gradient.
    """
    target = pool_features(features.detach().to(distilled.dtype), distilled.shape[2:4])
    cosine = F.cosine_similarity(distilled, target, dim=-1)  # (B, N, h, w)
    counted = present[:, :, None, None].expand(cosine.shape)
    return -(cosine.where(counted, 0).sum() / counted.sum().clamp_min(1))


def pool_features(
    features: Float[Tensor, "B N H W C"], size: tuple[int, int]
) -> Float[Tensor, "B N h w C"]:
    """2D averages over the cells of a coarser grid."""
    flat = features.flatten(0, 1).movedim(-1, 1)  # (B N, C, H, W)
    pooled = F.adaptive_avg_pool2d(flat, tuple(size))
    return pooled.movedim(1, -1).unflatten(0, features.shape[:2])
