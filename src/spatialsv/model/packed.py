"""Attention over packed questions: a token sees the shared prefix and its own question, causally.

The result equals masked attention over all tokens, without computing what the mask hides, which is
most of it.

Shapes as in `samples/packing.py`: B samples, T = P + U tokens, Q questions of at most L tokens.
H heads of queries, K of keys and values, D channels each.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from spatialsv.samples.batch import Packing

NAME = "packed_questions"  # as transformers' attn_implementation
HIDDEN = float("-inf")  # added to the scores of hidden tokens


def enable_packed_attention(model: PreTrainedModel) -> None:
    """Make the LLM of `model` attend by `packing`, which its forward then requires."""
    model.set_attn_implementation({"text_config": NAME})


def packed_attention(
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
    """Attend as `packing` says; the signature is the one that transformers' layers call."""
    batch, heads, length, width = query.shape
    if (groups := heads // key.shape[1]) > 1:
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    start, (_batch, questions, longest) = packing.head, packing.slots.shape
    (query, queries), (key, keys), (value, values) = (  # a split's backward is cheaper than a slice
        states.split([start, length - start], dim=2) for states in (query, key, value)
    )
    prefix = _causal_attention(query, key, value, scaling)
    offset = torch.arange(batch, device=query.device)[:, None]
    rows = (packing.slots.flatten(1) + offset * (length - start)).flatten()

    def by_question(states: Tensor) -> Tensor:  # (B, H, U, D) -> (B, H, Q, L, D)
        states = states.transpose(1, 2).flatten(0, 1).flatten(1)
        slots = states.index_select(0, rows).view(batch, questions, longest, heads, width)
        return slots.permute(0, 3, 1, 2, 4)

    queries, keys, values = by_question(queries * scaling), by_question(keys), by_question(values)
    near = queries @ keys.transpose(-1, -2)  # within a question
    far = (queries.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (questions, longest))
    # Adding masks is cheaper than filling: that would cost another pass in the backward.
    later = torch.full((longest, longest), HIDDEN, dtype=near.dtype, device=near.device).triu(1)
    hidden = torch.zeros_like(packing.visible, dtype=far.dtype)
    hidden.masked_fill_(~packing.visible, HIDDEN)
    far.add_(hidden[:, None, :, None])
    near.add_(later)
    weights = torch.cat([far, near], dim=-1).softmax(dim=-1)
    far, near = weights.split([start, longest], dim=-1)
    out = (far.flatten(2, 3) @ value).unflatten(2, (questions, longest)) + near @ values
    out = out.permute(0, 2, 3, 1, 4).reshape(batch * questions * longest, heads * width)
    slots = (packing.slot_index + offset * questions * longest).flatten()
    out = out.index_select(0, slots).view(batch, length - start, heads, width)
    return torch.cat([prefix.transpose(1, 2), out], dim=1), None


def _causal_attention(
    query: Float[Tensor, "B H P D"],
    key: Float[Tensor, "B H P D"],
    value: Float[Tensor, "B H P D"],
    scaling: float,
) -> Float[Tensor, "B H P D"]:
    """Attend causally; on a CPU in float32, where PyTorch's bf16 backward is five times slower."""
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    with torch.autocast("cpu", enabled=False):
        out = scaled_dot_product_attention(
            query.float(), key.float(), value.float(), is_causal=True, scale=scaling
        )
    return out.to(query.dtype)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
