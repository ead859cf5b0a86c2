"""Temporal consistency of depth, beyond the paper: neighbouring views change as their labels do."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.masked import Mean, masked_mean


def temporal_term(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    mask: Bool[Tensor, "B N H W"],
    change: float,
    mean: Mean = masked_mean,
) -> Float[Tensor, ""]:
    """mean | (y_n+1 - y_n) - (m_n+1 - m_n) | over pixels and pairs of neighbouring views.

    The temporal gradient matching of Video Depth Anything (arXiv 2501.12375) with signs kept. It
    needs no correspondences and lets things move: a pixel counts where both views are counted and
    the label changes by at most `change` of its depth, so that both most likely show one surface.
    Views must be in the order in which they were taken; 0 where there is one view.
    """
    before, after = target[:, :-1], target[:, 1:]
    pairs = mask[:, :-1] & mask[:, 1:] & ((after - before).abs() <= change * before)
    error = depth.diff(dim=1).where(pairs, 0) - (after - before).where(pairs, 0)
    return mean(error.abs(), pairs)
