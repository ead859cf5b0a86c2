"""Greedy generation for prompts that share images, with the shared work done once.

Most tokens of a prompt are its images', and many prompts show the same images. So a prompt is split
after its last visual token, or after its first token if it has no images: equal heads run once,
vision encoder included, and their keys and values are copied for each tail. Tails are padded on the
left, so that all responses of a batch grow at its right end; positions are explicit and padding is
masked, so a response does not depend on the rest of its batch.

Shapes: G heads, B prompts, S tokens of the longest tail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from spatialsv.model.families.family import Family
from spatialsv.model.finite import check_finite
from spatialsv.samples.views import PreparedViews


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The tokens of one prompt, placeholders of its views expanded; equal views are one object."""

    tokens: Int[Tensor, " T"]
    views: PreparedViews


@dataclass(frozen=True)
class _Group:
    """Prompts with the same views and the same tokens up to the last of them."""

    head: Int[Tensor, " P"]
    views: PreparedViews
    members: list[int]  # indices of the prompts
    tails: list[Int[Tensor, " _"]]  # of different lengths


def generate(
    model: PreTrainedModel,
    family: Family,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, str]]:
    """Generate the greedy response to each prompt, batch by batch.

    Args:
        model: in eval mode; its generation config names the tokens that end a response.
        family: the model's adapter.
        prompts: whose views are prepared.
        max_new_tokens: the longest response.
        batch_size: the greatest number of prompts in one forward pass.

    Yields:
        The index of a prompt and the text of its response.

    Raises:
        ValueError: the model has no token that ends a response, a prompt lacks its views'
            tokens, or logits are not finite.
    """
    eos = model.generation_config.eos_token_id if model.generation_config else None
    ids = [eos] if isinstance(eos, int) else eos
    if not ids:
        raise ValueError(
            f"{model.name_or_path}: generation_config.json has no eos_token_id, so that responses"
            " would not end. Add it."
        )
    stops = torch.tensor(ids, device=model.device)
    groups = _groups(prompts, torch.tensor(sorted(family.visual_tokens)), batch_size)
    for batch in _batches(groups, batch_size):
        responses = _generate_batch(model, family, batch, stops, max_new_tokens)
        members = [member for group in batch for member in group.members]
        for member, tokens in zip(members, responses, strict=True):
            yield member, family.tokenizer.decode(tokens, skip_special_tokens=True)


def _groups(
    prompts: Sequence[Prompt], visual_tokens: Int[Tensor, " _"], batch_size: int
) -> list[_Group]:
    """Group prompts by equal head, at most `batch_size` in a group."""
    by_head: dict[tuple, _Group] = {}
    for index, prompt in enumerate(prompts):
        positions = torch.isin(prompt.tokens, visual_tokens).nonzero()
        if not len(positions) and prompt.views.placeholders:
            raise ValueError(f"Prompt {index} has no image.")
        cut = int(positions[-1]) + 1 if len(positions) else 1
        head, tail = prompt.tokens[:cut], prompt.tokens[cut:]
        key = (id(prompt.views), tuple(head.tolist()))
        if key not in by_head:
            by_head[key] = _Group(head, prompt.views, [], [])
        by_head[key].members.append(index)
        by_head[key].tails.append(tail)
    parts = [
        (group, slice(start, start + batch_size))
        for group in by_head.values()
        for start in range(0, len(group.members), batch_size)
    ]
    return [_Group(g.head, g.views, g.members[part], g.tails[part]) for g, part in parts]


def _batches(groups: list[_Group], batch_size: int) -> Iterator[list[_Group]]:
    """Yield groups whose heads are equally long, as many as fit, otherwise in their order."""
    batch: list[_Group] = []
    for group in sorted(groups, key=lambda group: len(group.head)):
        size = sum(len(other.members) for other in batch) + len(group.members)
        if batch and (size > batch_size or len(batch[0].head) != len(group.head)):
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


@torch.inference_mode()
def _generate_batch(
    model: PreTrainedModel,
    family: Family,
    groups: list[_Group],
    stops: Int[Tensor, " E"],
    max_new_tokens: int,
) -> list[list[int]]:
    """Return the tokens of each response, without the one that ends it."""
    cache, position = _run_heads(model, family, groups)  # position: the next of each prompt, (B,)
    tails = [tail for group in groups for tail in group.tails]
    lengths = torch.tensor([len(tail) for tail in tails], device=model.device)
    longest = int(lengths.max())
    ids = torch.zeros(len(tails), longest, dtype=torch.long, device=model.device)
    for row, tail in enumerate(tails):
        ids[row, longest - len(tail) :] = tail
    offsets = torch.arange(longest, device=model.device) - (longest - lengths)[:, None]  # (B, S)
    mask = torch.cat([ids.new_ones(len(tails), cache.get_seq_length()), (offsets >= 0).long()], 1)
    positions = position[:, None] + offsets.clamp_min(0)
    responses: list[list[int]] = [[] for _ in tails]
    running = torch.ones(len(tails), dtype=torch.bool, device=model.device)
    for step in range(max_new_tokens):
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        check_finite(output.logits[:, -1], model, f"logits of token {step} of a response")
        ids = output.logits[:, -1].argmax(dim=-1, keepdim=True)  # (B, 1)
        running &= ~torch.isin(ids[:, 0], stops)
        for row in running.nonzero()[:, 0].tolist():
            responses[row].append(int(ids[row, 0]))
        if not running.any():
            break
        mask = torch.cat([mask, mask.new_ones(len(tails), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return responses


def _run_heads(
    model: PreTrainedModel, family: Family, groups: list[_Group]
) -> tuple[DynamicCache, Int[Tensor, " B"]]:
    """Return keys and values of the heads, copied for each prompt, and the position after each."""
    ids = torch.stack([group.head for group in groups])  # (G, P)
    inputs = family.batch_inputs([group.views for group in groups], ids)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    ids = ids.to(model.device)
    output = model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **inputs,
        past_key_values=DynamicCache(config=model.config.get_text_config()),
        use_cache=True,
        logits_to_keep=1,
    )
    # An image may take fewer positions than tokens: compute that of a token after the head.
    positions = family.packed_positions(model, ids, inputs, torch.zeros_like(ids[:, :1]))
    position = positions.reshape(-1, *positions.shape[-2:])[0, :, -1]  # (G,)
    sizes = torch.tensor([len(group.members) for group in groups], device=model.device)
    rows = torch.arange(len(groups), device=model.device).repeat_interleave(sizes)
    output.past_key_values.batch_select_indices(rows)
    return output.past_key_values, position[rows]
