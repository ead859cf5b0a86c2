"""Feature distillation (Eq. 2): visual states that point where the teacher's features point.

Shapes: B samples, N views, h w visual tokens, H W the teacher's own patches, C channels.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.losses.terms import Term


def distill_term(
    distilled: Float[Tensor, "B N h w C"],
    features: Float[Tensor, "B N H W C"],
    present: Bool[Tensor, "B N"],
) -> Term:
    """Return minus the mean cosine, in [-1, 1], over the tokens of views that have geometry.

    Features are average-pooled to the grid of visual tokens and carry no gradient.
    """
    target = pool_features(features.detach().to(distilled.dtype), distilled.shape[2:4])
    cosine = F.cosine_similarity(distilled, target, dim=-1)  # (B, N, h, w)
    mask = present[:, :, None, None].expand(cosine.shape)
    return Term(((-cosine.where(mask, 0).sum(), count_tokens(present, distilled.shape[2:4])),))


def count_tokens(present: Bool[Tensor, "B N"], grid: tuple[int, ...]) -> Int[Tensor, ""]:
    """Return the number of visual tokens, `grid` of each view, of views that have geometry."""
    rows, columns = grid
    return present.sum() * (rows * columns)


def pool_features(
    features: Float[Tensor, "B N H W C"], size: tuple[int, ...]
) -> Float[Tensor, "B N h w C"]:
    """Average over the cells of a coarser grid."""
    flat = features.flatten(0, 1).movedim(-1, 1)  # (B N, C, H, W)
    pooled = F.adaptive_avg_pool2d(flat, (size[0], size[1])).movedim(1, -1)
    return pooled.reshape(*features.shape[:2], *pooled.shape[1:])
