"""Relational distillation: visual states as similar to each other as the teacher's features are.

Beyond the paper. With tokens of unit length as rows of X, G = X X^T has the cosines of all pairs of
a sample's tokens, for any number of channels. SpatioLM (arXiv 2608.01899) takes the L1 distance
between G of student and teacher, within and across views; MVRD (arXiv 2608.10864) takes cosines.

Shapes: B samples, N views, h w visual tokens, T = N h w tokens of a sample, R of them in a block,
H W the teacher's own patches, D and C channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from spatialsv.losses.distill import pool_features
from spatialsv.losses.terms import Term

Relation = Literal["l1", "cosine"]
BLOCK = 256  # rows of G at a time: memory grows with the number of tokens, not with its square


def relation_terms(
    states: Float[Tensor, "B N h w D"],
    features: Float[Tensor, "B N H W C"],
    tokens: Bool[Tensor, "B N h w"],
    names: tuple[Relation, ...] = ("l1", "cosine"),
) -> dict[str, Term]:
    """Return the distances between the relations of visual states and of the teacher's features.

    l1 is mean |G_ij - G'_ij| over the pairs of tokens within a view, plus the same across views.
    cosine is mean ( 1 - cos(G_i, G'_i) ) over tokens i, where rows G_i have only the tokens of its
    own view, plus the same with only those of other views.

    Args:
        states: visual states of one layer.
        features: the teacher's. They are average-pooled to the states' grid, without gradient.
        tokens: see `token_mask`; others are in no pair.
        names: the terms to return.
    """
    dtype = torch.promote_types(states.dtype, torch.float32)
    pooled = pool_features(features.detach().to(dtype), states.shape[2:4])
    keep = tokens.flatten(1)
    student, teacher = (
        _unit(own.to(dtype).flatten(1, 3), keep[..., None]) for own in (states, pooled)
    )
    views, each = tokens.shape[1], tokens[0, 0].numel()
    view = torch.arange(views, device=states.device).repeat_interleave(each)
    # Each block is computed again in the backward pass, or autograd would keep all of G.
    blocks = [
        checkpoint(_block_sums, student, teacher, keep, view, start, use_reentrant=False)
        for start in range(0, len(view), BLOCK)
    ]
    sums = dict(zip(("l1", "cosine"), torch.stack(blocks).sum(dim=0), strict=True))
    counts = count_relations(tokens)
    return {
        name: Term(tuple(zip(sums[name].unbind(), counts[name].unbind(), strict=True)))
        for name in names
    }


def count_relations(tokens: Bool[Tensor, "B N h w"]) -> dict[Relation, Int[Tensor, "2"]]:
    """Return the numbers of pairs (l1) and tokens (cosine), within a view and across views."""
    own = tokens.sum(dim=(2, 3))  # of each view
    others = own.sum(dim=1, keepdim=True) - own
    pairs = torch.stack([(own * own).sum(), (own * others).sum()])
    return {"l1": pairs, "cosine": torch.stack([own.sum(), own[others > 0].sum()])}


def _block_sums(
    student: Float[Tensor, "B T D"],
    teacher: Float[Tensor, "B T C"],
    keep: Bool[Tensor, "B T"],
    view: Int[Tensor, " T"],
    start: int,
) -> Float[Tensor, "2 2"]:
    """Return the sums over a block of rows: l1 and cosine, each within a view and across views."""
    rows = slice(start, start + BLOCK)
    with torch.autocast(student.device.type, enabled=False):  # bf16 has cosines to 0.004 only
        own, true = (x[:, rows] @ x.transpose(1, 2) for x in (student, teacher))  # (B, R, T)
    pairs = keep[:, rows, None] & keep[:, None]
    same = view[rows, None] == view
    sums = []
    for group in (pairs & same, pairs & ~same):
        one, other = own.where(group, 0), true.where(group, 0)
        cosine = 1 - F.cosine_similarity(one, other, dim=-1)
        sums += [(one - other).abs().sum(), cosine.where(group.any(dim=-1), 0).sum()]
    return torch.stack(sums).view(2, 2).T


def _unit(tokens: Float[Tensor, "B T D"], keep: Bool[Tensor, "B T 1"]) -> Float[Tensor, "B T D"]:
    """Return tokens of unit length, and zeros where they do not count, whatever they are."""
    return F.normalize(tokens.where(keep, 0), dim=-1)
