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
NEVER = float("-inf")  # added to what is not seen


def enable_packed_attention(model: PreTrainedModel) -> None:
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
    if (groups := heads // key.shape[1]) > 1:
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    start, (_, questions, longest) = packing.head, packing.slots.shape
    (query, asked), (key, own), (value, told) = (  # a split's backward is cheaper than a slice's
        states.split([start, length - start], dim=2) for states in (query, key, value)
    )
    ahead = _causal(query, key, value, scaling)
    offset = torch.arange(batch, device=query.device)[:, None]
    rows = (packing.slots.flatten(1) + offset * (length - start)).flatten()

    def by_question(behind: Tensor) -> Tensor:  # (B, H, U, D) -> (B, H, Q, L, D)
        behind = behind.transpose(1, 2).flatten(0, 1).flatten(1)
        taken = behind.index_select(0, rows).view(batch, questions, longest, heads, width)
        return taken.permute(0, 3, 1, 2, 4)

    asked, own, told = by_question(asked * scaling), by_question(own), by_question(told)
    near = asked @ own.transpose(-1, -2)
    far = (asked.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (questions, longest))
    # Added rather than filled in, which would cost a pass in the backward as well.
    later = torch.full((longest, longest), NEVER, dtype=near.dtype, device=near.device).triu(1)
    hidden = torch.zeros_like(packing.sees, dtype=far.dtype).masked_fill_(~packing.sees, NEVER)
    far.add_(hidden[:, None, :, None])
    near.add_(later)
    share = torch.cat([far, near], dim=-1).softmax(dim=-1)
    far, near = share.split([start, longest], dim=-1)
    found = (far.flatten(2, 3) @ value).unflatten(2, (questions, longest)) + near @ told
    found = found.permute(0, 2, 3, 1, 4).reshape(batch * questions * longest, heads * width)
    places = (packing.places + offset * questions * longest).flatten()
    behind = found.index_select(0, places).view(batch, length - start, heads, width)
    return torch.cat([ahead.transpose(1, 2), behind], dim=1), None


def _causal(
    query: Float[Tensor, "B H P D"],
    key: Float[Tensor, "B H P D"],
    value: Float[Tensor, "B H P D"],
    scaling: float,
) -> Float[Tensor, "B H P D"]:
    """On a CPU in float32: the backward of PyTorch's in bf16 takes five times as long there."""
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    with torch.autocast("cpu", enabled=False):
        wide = (states.float() for states in (query, key, value))
        found = scaled_dot_product_attention(*wide, is_causal=True, scale=scaling)
    return found.to(query.dtype)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
