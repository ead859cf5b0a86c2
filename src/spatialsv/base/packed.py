"""Attention over lessons: a shared prompt, and behind it questions that do not see one another.

What masked attention over all tokens would give, without computing what the mask hides, which is
most of it.

Shapes: B lessons, T tokens: P of the prompt and U behind it; Q questions, L tokens of the longest;
H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "lessons"  # of the attention, as transformers' attn_implementation


@dataclass(frozen=True, kw_only=True, eq=False)
class Packing:
    """Where the questions of B lessons stand among their tokens."""

    prompt: int  # P
    slots: Int[Tensor, "B Q L"]  # which token behind the prompt; after the last, any
    places: Int[Tensor, "B U"]  # which of the Q * L slots holds each token behind the prompt
    sees: Bool[Tensor, "B Q P"]  # which tokens of the prompt a question sees


def attend(
    module: torch.nn.Module,
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B H T D"],
    value: Float[Tensor, "B H T D"],
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float,
    **_,
) -> tuple[Float[Tensor, "B T H D"], None]:
    """Causal attention of each token to the prompt and to its own question."""
    batch, heads, length, width = query.shape
    start = packing.prompt
    prompt = scaled_dot_product_attention(
        query[:, :, :start], key[:, :, :start], value[:, :, :start], is_causal=True, scale=scaling
    )
    _, questions, longest = packing.slots.shape
    offset = torch.arange(batch)[:, None]
    rows = (packing.slots.flatten(1) + offset * (length - start)).flatten()

    def by_question(states: Tensor) -> Tensor:  # (B, H, T, D) -> (B, H, Q, L, D)
        behind = states[:, :, start:].transpose(1, 2).flatten(0, 1).flatten(1)
        taken = behind.index_select(0, rows).view(batch, questions, longest, heads, width)
        return taken.permute(0, 3, 1, 2, 4)

    asked, own, told = by_question(query * scaling), by_question(key), by_question(value)
    later = torch.ones(longest, longest, dtype=torch.bool).triu(1)
    near = (asked @ own.transpose(-1, -2)).masked_fill_(later, float("-inf"))
    far = asked.flatten(2, 3) @ key[:, :, :start].transpose(-1, -2)
    far = far.unflatten(2, (questions, longest))
    far = far.masked_fill_(~packing.sees[:, None, :, None], float("-inf"))
    share = torch.cat([far, near], dim=-1).softmax(dim=-1)
    found = share[..., :start].flatten(2, 3) @ value[:, :, :start]
    found = found.unflatten(2, (questions, longest)) + share[..., start:] @ told
    found = found.permute(0, 2, 3, 1, 4).reshape(batch * questions * longest, heads * width)
    places = (packing.places + offset * questions * longest).flatten()
    behind = found.index_select(0, places).view(batch, length - start, heads, width)
    return torch.cat([prompt.transpose(1, 2), behind], dim=1), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
