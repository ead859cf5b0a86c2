"""Lessons as tokens: the chat format, piece by piece, with the answers scored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from spatialsv.base.lessons import IMAGE
from spatialsv.samples.chat import IGNORED

Turns = Sequence[tuple[str, str]]


class LessonEncoder:
    """Lessons to padded token tensors.

    Pieces of text recur, so each is tokenized once. A test holds the result against the
    tokenizer's own chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, tokens_per_image: int) -> None:
        pad = "<|image_pad|>"
        self.pad_id = tokenizer.pad_token_id
        self.image_id = tokenizer.convert_tokens_to_ids(pad)
        expanded = IMAGE.replace(pad, pad * tokens_per_image)

        @lru_cache(maxsize=400_000)
        def piece(text: str) -> tuple[int, ...]:
            ids = tokenizer(text.replace(IMAGE, expanded), add_special_tokens=False)["input_ids"]
            return tuple(ids)

        self._piece = piece

    def encode(self, turns: Turns) -> tuple[list[int], list[int]]:
        """Token ids and labels of one chat; only answers and what ends them are scored."""
        ids: list[int] = []
        labels: list[int] = []
        for user, assistant in turns:
            asked = [
                *self._piece("<|im_start|>user\n"),
                *self._piece(user),
                *self._piece("<|im_end|>\n<|im_start|>assistant\n"),
            ]
            answered = [*self._piece(assistant), *self._piece("<|im_end|>")]
            end = self._piece("\n")
            ids += [*asked, *answered, *end]
            labels += [IGNORED] * len(asked) + answered + [IGNORED] * len(end)
        return ids, labels

    def batch(self, lessons: Sequence[Turns]) -> dict[str, Int[Tensor, "B T"]]:
        """Right-padded tensors, as the model's forward takes them."""
        encoded = [self.encode(turns) for turns in lessons]
        length = max(len(ids) for ids, _ in encoded)
        input_ids = torch.full((len(encoded), length), self.pad_id)
        labels = torch.full_like(input_ids, IGNORED)
        mask = torch.zeros_like(input_ids)
        for row, (ids, scored) in enumerate(encoded):
            input_ids[row, : len(ids)] = torch.tensor(ids)
            labels[row, : len(ids)] = torch.tensor(scored)
            mask[row, : len(ids)] = 1
        return {
            "input_ids": input_ids,
            "labels": labels,
            "attention_mask": mask,
            "mm_token_type_ids": (input_ids == self.image_id).long(),
        }
