"""Feature distillation (Eq. 2): visual states that point where the teacher's features point.

Shapes: B samples, N views, h w visual tokens, H W the teacher's own patches, C channels.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels
from spatialsv.losses.terms import Term


def distill_term(
    distilled: Float[Tensor, "B N h w C"],
    features: Float[Tensor, "B N H W C"],
    tokens: Bool[Tensor, "B N h w"],
) -> Term:
    """Return minus the mean cosine, in [-1, 1], over `tokens` (see `token_mask`).

    Features are average-pooled to the grid of visual tokens and carry no gradient.
    """
    target = pool_features(features.detach().to(distilled.dtype), distilled.shape[2:4])
    cosine = F.cosine_similarity(distilled, target, dim=-1)  # (B, N, h, w)
    return Term(((-cosine.where(tokens, 0).sum(), tokens.sum()),))


def token_mask(labels: GeometryLabels, grid: tuple[int, ...]) -> Bool[Tensor, "B N h w"]:
    """Return the visual tokens that learn from features: of views with geometry, not of borders.

    Args:
        labels: say which views and patches these are.
        grid: height and width of a view in visual tokens.
    """
    rows, columns = grid
    tokens = labels.present[:, :, None, None].expand(-1, -1, rows, columns)
    if labels.border is None:
        return tokens
    border = F.adaptive_max_pool2d(labels.border.float(), (rows, columns))
    return tokens & (border == 0)


def pool_features(
    features: Float[Tensor, "B N H W C"], size: tuple[int, ...]
) -> Float[Tensor, "B N h w C"]:
    """Average over the cells of a coarser grid."""
    flat = features.flatten(0, 1).movedim(-1, 1)  # (B N, C, H, W)
    pooled = F.adaptive_avg_pool2d(flat, (size[0], size[1])).movedim(1, -1)
    return pooled.reshape(*features.shape[:2], *pooled.shape[1:])
