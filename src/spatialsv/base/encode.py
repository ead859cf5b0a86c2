"""Pretraining samples as tokens: a prompt of images, then questions independent of each other.

All questions of a room are packed behind its images (`samples/packing.py`), so that no answer gives
another one away.

Shapes: B samples, T tokens, P tokens of the shared prompt, Q questions of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from spatialsv.base.tasks import PretrainingQuestion
from spatialsv.samples.batch import Packing, pack
from spatialsv.samples.chat import IGNORED

BEGIN, NEXT, END = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"
PAD = "<|image_pad|>"


class TaskEncoder:
    """Turns samples into padded token tensors. Texts recur, so each is tokenized once.

    Args:
        tokenizer: the base MLLM's.
        views: images before the questions; 0 for samples without images.
        side: an image's visual tokens, in rows and in columns.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, views: int, side: int) -> None:
        self.pad_id = tokenizer.pad_token_id
        self.image_id = int(tokenizer.convert_tokens_to_ids(PAD))  # type: ignore[arg-type]  # one

        @lru_cache(maxsize=400_000)
        def tokenize(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        self._tokenize = tokenize
        begin = tokenize(BEGIN)
        image = tokenize(f"<|vision_start|>{PAD * side**2}<|vision_end|>")
        self.prompt = np.array([*begin, *(image * views)])
        self.view_of = np.array([-1] * len(begin) + [v for v in range(views) for _ in image])
        self.positions = _prompt_positions(len(begin), views, side)

    def encode_prompt(self, question: str) -> Int[Tensor, " T"]:
        """Return the tokens of the prompt and `question`, up to where the answer begins."""
        return torch.tensor([*self.prompt, *self._tokenize(question), *self._tokenize(NEXT)])

    def encode(self, question: PretrainingQuestion) -> tuple[list[int], list[int]]:
        """Return token ids and labels after the prompt; the answer and its end are scored.

        The first token of `question.option` is scored at the end of the question's first line.
        """
        prompt = [*self._tokenize(question.question), *self._tokenize(NEXT)]
        answer = [*self._tokenize(question.answer), *self._tokenize(END)]
        labels = [IGNORED] * len(prompt) + answer
        if question.option is not None:
            first_line = self._tokenize(question.question.split("\n")[0] + "\n")
            labels[len(first_line)] = self._tokenize(question.option)[0]
        return prompt + answer, labels

    def batch(self, samples: Sequence[Sequence[PretrainingQuestion]]) -> dict[str, Any]:
        """Collate samples.

        Args:
            samples: the questions of each sample.

        Returns:
            Padded tensors, as the model's forward takes them, with the answers' "labels" and
            "weights". `position_ids` are (3, B, T): time, row and column. An answer of n tokens
            weighs sqrt(n): a letter would be lost among long lists if all tokens had equal weights.
        """
        encoded = [[self.encode(question) for question in sample] for sample in samples]
        start = len(self.prompt)
        packing = pack(start, [[len(ids) for ids, _ in sample] for sample in encoded])
        shape = (len(samples), start + packing.slot_index.shape[1])
        input_ids = np.full(shape, self.pad_id)
        input_ids[:, :start] = self.prompt
        labels = np.full(shape, IGNORED)
        weights = np.zeros(shape, np.float32)
        for row, sample in enumerate(encoded):
            offset = start
            for ids, scored in sample:
                here = slice(offset, offset + len(ids))
                input_ids[row, here], labels[row, here] = ids, scored
                answer = np.array(scored) != IGNORED
                weights[row, here] = answer * answer.sum() ** -0.5
                offset += len(ids)
        next_position = int(self.positions.max()) + 1
        ahead = torch.from_numpy(self.positions)[:, None].expand(-1, len(samples), -1)
        behind = (next_position + packing.steps).expand(3, -1, -1)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy(weights),
            "position_ids": torch.cat([ahead, behind], dim=-1),
            "packing": replace(packing, visible=self._apply_view_masks(samples, packing)),
        }

    def _apply_view_masks(
        self, samples: Sequence[Sequence[PretrainingQuestion]], packing: Packing
    ) -> Bool[Tensor, "B Q P"]:
        """Return the prompt tokens that are visible to each question: all, or those of a view."""
        visible = packing.visible.clone()
        for row, sample in enumerate(samples):
            for number, question in enumerate(sample):
                if question.view is not None:
                    own = (self.view_of < 0) | (self.view_of == question.view)
                    visible[row, number] = torch.from_numpy(own)
        return visible


def _prompt_positions(begin: int, views: int, side: int) -> Int[np.ndarray, "3 P"]:
    """Return M-RoPE's time, row and column of the prompt's tokens, as Qwen2.5-VL numbers them.

    Text advances all three. An image stays at one time, and what follows it continues from its
    farthest row or column.
    """
    rows, columns = np.divmod(np.arange(side**2), side)
    image = np.stack([np.zeros_like(rows), rows, columns])
    parts, offset = [np.tile(np.arange(begin), (3, 1))], begin
    for _ in range(views):
        parts += [np.full((3, 1), offset), image + offset + 1, np.full((3, 1), offset + 1 + side)]
        offset += side + 2
    return np.concatenate(parts, axis=1)
