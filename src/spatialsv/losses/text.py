"""Next-token cross-entropy (Eq. 1) over the scored tokens.

Shapes: B samples, T tokens, K positions, V the vocabulary.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.losses.terms import Term

IGNORED = -100  # transformers' value

Reduction = Literal["mean", "sum"]


def text_term(
    logits: Float[Tensor, "B K V"], targets: Int[Tensor, "B K"], reduction: Reduction = "mean"
) -> Term:
    """Return the cross-entropy of `targets`, each position's next token, -100 where not scored.

    Args:
        logits: at the positions.
        targets: token ids.
        reduction: "mean" runs over all scored tokens of the batch, so that a step's size does not
            depend on the length of answers. "sum" adds over a sample's tokens, as Eq. 1 does, and
            averages over the samples that have any.

    Returns:
        The term. It is exactly 0, with zero gradient, where no token is scored.
    """
    flat = F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return Term(((flat, count_scored(targets, reduction)),))


def text_loss(
    logits: Float[Tensor, "B K V"], targets: Int[Tensor, "B K"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    """Return the value of `text_term` for one batch."""
    return text_term(logits, targets, reduction).mean()


def count_scored(targets: Int[Tensor, "B T"], reduction: Reduction) -> Int[Tensor, ""]:
    """Return the number of scored tokens or, for "sum", of samples that have any."""
    scored = targets != IGNORED
    return scored.sum() if reduction == "mean" else scored.any(dim=1).sum()
