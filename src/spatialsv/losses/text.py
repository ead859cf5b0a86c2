"""Next-token cross-entropy (Eq. 1) over the tokens that are scored.

Shapes: B samples, K positions, V the vocabulary.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

IGNORED = -100  # transformers' value


def text_loss(
    logits: Float[Tensor, "B K V"],
    targets: Int[Tensor, "B K"],
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Cross-entropy of `targets`, each position's next token, -100 where it is not scored.

    "mean" runs over all scored tokens of the batch, so that a step's size does not depend on how
    long answers are; "sum" adds over a sample's tokens, as Eq. 1 does, and averages over samples
    that have any. Exactly 0, with zero gradient, when nothing is scored.
    """
    flat = F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    scored = targets != IGNORED
    count = scored.sum() if reduction == "mean" else scored.any(dim=1).sum()
    return flat / count.clamp_min(1)
