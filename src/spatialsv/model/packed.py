"""Attention over packed questions: each token sees the head and its own question, causally.

It is what masked attention over all tokens would give, without computing what the mask hides,
which is most of it.

Shapes as in `samples/packing.py`; H heads of queries, K of keys and values, D channels each.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from spatialsv.samples.packing import Packing

NAME = "packed_questions"  # as transformers' attn_implementation


def attend_packed(model: PreTrainedModel) -> None:
    """Let the LLM of `model` attend by `packing`, which its forward must then be given."""
    model.set_attn_implementation({"text_config": NAME})


def attend(
    module: torch.nn.Module,
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K T D"],
    value: Float[Tensor, "B K T D"],
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float,
    **_,
) -> tuple[Float[Tensor, "B T H D"], None]:
    """The attention, as transformers' layers call it."""
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    start = packing.head
    ahead = scaled_dot_product_attention(
        query[:, :, :start], key[:, :, :start], value[:, :, :start], is_causal=True, scale=scaling
    )
    _, questions, longest = packing.slots.shape
    offset = torch.arange(batch, device=query.device)[:, None]
    rows = (packing.slots.flatten(1) + offset * (length - start)).flatten()

    def by_question(states: Tensor) -> Tensor:  # (B, H, T, D) -> (B, H, Q, L, D)
        behind = states[:, :, start:].transpose(1, 2).flatten(0, 1).flatten(1)
        taken = behind.index_select(0, rows).view(batch, questions, longest, heads, width)
        return taken.permute(0, 3, 1, 2, 4)

    asked, own, told = by_question(query * scaling), by_question(key), by_question(value)
    later = torch.ones(longest, longest, dtype=torch.bool, device=query.device).triu(1)
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
    return torch.cat([ahead.transpose(1, 2), behind], dim=1), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
